from __future__ import annotations

import pytest

from occopus_core.rest.connections import ConnectionLimits, client_of


class Connection:
    def __init__(self, address, authenticated=False, unread=False):
        self.client, self.authenticated, self.unread, self.aborted = (address, 1), authenticated, unread, False

    def abort(self):
        self.aborted = True


def limits(**given):
    return ConnectionLimits(**{"most": 10, "most_idle": 3, "reserve": 2, **given})


def connect(made, *addresses, busy=False, **what):
    connections = [Connection(address, **what) for address in addresses]
    for one in connections:
        made.opened(one)
        if busy:
            made.busy(one)
    return connections


def aborted(connections):
    return [one.aborted for one in connections]


def test_the_longest_idle_connection_of_a_client_is_closed_when_it_has_too_many():
    connections = connect(limits(), *["192.0.2.1"] * 5, "192.0.2.2")
    assert aborted(connections) == [True, True, False, False, False, False]


def test_busy_connections_are_not_idle():
    made = limits()
    connections = connect(made, *["192.0.2.1"] * 5, busy=True) + connect(made, *["192.0.2.1"] * 3)
    assert not any(aborted(connections))


def test_after_an_answer_a_connection_is_the_least_idle():
    made = limits()
    first, second, third = connect(made, *["192.0.2.1"] * 3)
    made.busy(first)
    made.idle(first)
    connect(made, "192.0.2.1")
    assert aborted([first, second, third]) == [False, True, False]


def test_a_request_that_waits_to_be_read_is_not_idleness():
    made = limits()
    asking = connect(made, *["192.0.2.1"] * 2, unread=True)
    others = connect(made, *["192.0.2.1"] * 3)
    assert aborted([*asking, *others]) == [False, False, True, True, False]
    made = limits(most_idle=3)
    connections = connect(made, *["192.0.2.1"] * 4, unread=True)
    assert aborted(connections) == [True, False, False, False]


def test_of_all_clients_idle_connections_without_a_token_are_closed_first():
    made = limits()
    authenticated = connect(made, "192.0.2.1", authenticated=True)
    others = connect(made, *(f"198.51.100.{number}" for number in range(12)))
    assert not any(aborted(authenticated))
    assert aborted(others) == [True] * 3 + [False] * 9
    assert len(made) == 10
    assert not made.crowded


def test_where_all_are_busy_there_is_a_reserve_and_no_more():
    made = limits()
    busy = connect(made, *(f"198.51.100.{number}" for number in range(10)), busy=True)
    reserve = connect(made, "192.0.2.1", "192.0.2.2", busy=True)
    assert made.crowded
    (late,) = connect(made, "192.0.2.3")
    assert late.aborted
    assert not any(aborted([*busy, *reserve]))
    made.closed(busy[0])
    made.closed(busy[1])
    assert not made.crowded


def test_a_named_proxy_may_have_many_idle_connections():
    made = limits(proxies=["192.0.2.0/24"])
    assert not any(aborted(connect(made, *["192.0.2.1"] * 5)))
    assert any(aborted(connect(made, *["198.51.100.1"] * 5)))


def test_a_closed_connection_leaves_nothing_behind():
    made = limits()
    connections = connect(made, *["192.0.2.1"] * 3, *(f"2001:db8::{number}" for number in range(3)))
    for one in connections:
        made.closed(one)
        made.idle(one)  # the answer of a request that was under way
        made.closed(one)
    assert len(made) == 0
    assert (made._idle, made._idle_authenticated, made._idle_by_client) == ({}, {}, {})


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("x" * 99, "x" * 64),
    ],
)
def test_a_client_is_identified_by_what_it_cannot_choose(address, client):
    assert client_of(address) == client
