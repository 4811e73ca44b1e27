"""The boundaries between the steps of a process: each is counted and written down, and at one of them it may end.

They are put around the store's transactions, the calls of the handler and of the configuration manager `sim`, and the
check of the lease, from outside: the program has no switch for it. What is written down are lines such as
``before commit 3``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from urllib.parse import urlsplit

from occopus_config_sim.client import Client as ManagerClient
from occopus_core.engine.kernel.journal import Journal
from occopus_core.store.database import Database
from occopus_resource_sim.client import Client

from .acts import AFTER, ANSWERED, BEFORE, INTERRUPT, KILL, PAUSE, SENT, Act

CHANGING = ("create", "delete")
MANAGER_CHANGING = ("register", "configure", "leave", "forget", "forget_infrastructure")
"""The calls of a configuration manager for which the lease is checked."""

_SIGNALS = {KILL: signal.SIGKILL, PAUSE: signal.SIGSTOP, INTERRUPT: signal.SIGINT}
ANSWER_SECONDS = 2.0


class Boundaries:
    """Those of this process. `trace` is a descriptor that lines are written to."""

    def __init__(self, act: Act, trace: int) -> None:
        self._blow = act.where if act.how in _SIGNALS else ""
        self._signal = _SIGNALS.get(act.how)
        self._trace = trace
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.writing = threading.RLock()
        """Held within transactions."""
        self._cleared: set[int] = set()

    def install(self) -> None:
        """Put them around everything."""
        Database.writing = _around_commits(Database.writing, self)
        Client.call = _around_calls(Client.call, self, "instances")
        ManagerClient.call = _around_calls(ManagerClient.call, self, "nodes")
        Journal.refuse_if_lost = _around_checks(Journal.refuse_if_lost, self)

    def reach(self, what: str, number: int | None = None) -> int:
        """Here is one; its number, which is counted unless it is known."""
        with self._lock:
            if number is None:
                self._counts[what] += 1
                number = self._counts[what]
            self._write(f"{what} {number}")
        if self.strikes(what, number):
            self._strike()
        return number

    def _strike(self) -> None:
        with contextlib.ExitStack() as stack:
            if self._signal == signal.SIGSTOP:
                # One that stands still within a transaction keeps all others from writing: that is SQLite's way.
                stack.enter_context(self.writing)
                # Calls for which the lease was checked already may still leave: that gap is known.
                self._write(f"paused {len(self._cleared)}")
            # To this very thread: it must not take another step.
            signal.pthread_kill(threading.get_ident(), self._signal)

    def strikes(self, what: str, number: int) -> bool:
        """Whether the process is to end at this one."""
        return f"{what} {number}" == self._blow

    def clear(self, *, cleared: bool) -> None:
        """Whether this thread may send a call that changes something."""
        (self._cleared.add if cleared else self._cleared.discard)(threading.get_ident())

    def _write(self, line: str) -> None:
        os.write(self._trace, f"{line}\n".encode())


def _around_commits(writing, boundaries: Boundaries):
    @contextlib.contextmanager
    def around(self, **how):
        with boundaries.writing, writing(self, **how) as connection:
            yield connection
            boundaries.reach(f"{BEFORE} commit")
        boundaries.reach(f"{AFTER} commit")

    return around


def _around_checks(check, boundaries: Boundaries):
    def around(self):
        boundaries.clear(cleared=False)
        boundaries.reach(f"{BEFORE} check")
        check(self)
        boundaries.clear(cleared=True)

    return around


def _around_calls(call, boundaries: Boundaries, folder: str):
    def around(self, operation, body, read):
        name = "list_registered" if (folder, operation) == ("nodes", "list") else operation
        number = boundaries.reach(f"{BEFORE} {name}")
        for moment in (SENT, ANSWERED):
            if boundaries.strikes(f"{moment} {name}", number):
                _send(self, f"/{folder}/{operation}", body, wait=moment == ANSWERED)
                boundaries.reach(f"{moment} {name}", number)
        try:
            return call(self, operation, body, read)
        finally:
            if operation in (*CHANGING, *MANAGER_CHANGING):
                boundaries.clear(cleared=False)
            boundaries.reach(f"{AFTER} {name}", number)

    return around


def _send(client: Client | ManagerClient, path: str, body, *, wait: bool) -> None:
    """Send the call as the plugin does; `wait` until it is answered, but read nothing."""
    url = urlsplit(client._endpoint)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=ANSWER_SECONDS)
    with contextlib.suppress(OSError):
        content = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body).encode(), content)
        if wait:
            connection.sock.recv(1, socket.MSG_PEEK)
