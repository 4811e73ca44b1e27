"""Ports on this machine for programs that tests start."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def held_port(*addresses: str, port: int = 0) -> Iterator[int]:
    """A port that is free on all these addresses (the loopback by default), reserved during the block.

    Connections are refused until a program listens on it, which needs `SO_REUSEADDR`, as servers set it; the program
    may be restarted. `port` is used instead of any free one; raises `OSError` if it is not free.
    """
    with contextlib.ExitStack() as held:
        yield _hold(addresses or (LOOPBACK,), port, held)


def _hold(addresses: tuple[str, ...], port: int, held: contextlib.ExitStack) -> int:
    while True:
        with contextlib.ExitStack() as stack:
            try:
                found = port
                for address in addresses:
                    one = stack.enter_context(socket.socket())
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.bind((address, found))
                    found = int(one.getsockname()[1])
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
            else:
                held.enter_context(stack.pop_all())
                return found
