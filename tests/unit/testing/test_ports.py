"""A port that is held for a program which a test starts."""

from __future__ import annotations

import socket

import pytest

from occopus_core.testing.ports import held_port

OTHER = "127.0.0.99"


def test_connections_are_refused_without_a_listener():
    with held_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
                pass


def test_it_is_free_on_all_addresses():
    with held_port("127.0.0.1", OTHER) as port, socket.create_server((OTHER, port)):
        pass
    with socket.create_server((OTHER, port)), pytest.raises(OSError, match="in use"), held_port(OTHER, port=port):
        pass


def test_an_address_of_another_machine_is_an_error():
    with pytest.raises(OSError, match="assign"), held_port("192.0.2.1"):
        pass
