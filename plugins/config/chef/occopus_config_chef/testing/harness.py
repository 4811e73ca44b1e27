"""The harness of the manager for the conformance suite: a real goiardi behind a proxy with fault injection."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Mapping
from email.message import Message
from typing import Any, ClassVar

import requests

from occopus_config_chef import Chef
from occopus_config_chef.testing.goiardi import Goiardi, installed
from occopus_core.api import ConfigManager, ConfigNode, Connection
from occopus_core.testing.config import ConfigHarness, Kind
from occopus_core.testing.conformance import Fault
from occopus_core.testing.standing import Unavailable, until_exit
from occopus_core.testing.web import PAGE, Reply, answering

SECONDS = 60.0
HANG_SECONDS = 30.0
"""Longer than a call with the short time limit may take, even on a busy machine."""
EPOCH = 1764280000
"""The time of the first run, in seconds."""
REFUSALS: Mapping[Fault, Reply] = {
    Fault.AUTH: (401, {}, b'{"error": ["Failed to authenticate"]}'),
    Fault.THROTTLE: (429, {"Retry-After": "3"}, b'{"error": ["slow down"]}'),
    Fault.PERMANENT: (400, {}, b'{"error": ["Field is invalid"]}'),
    Fault.SERVER_ERROR: (500, {}, b'{"error": ["internal error"]}'),
}


class ChefHarness(ConfigHarness):
    """A given goiardi, or one that is started once for the process."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("requests", "cryptography")
    published: ClassVar[Mapping[str, Any]] = {"fqdn": "node.internal"}
    faults: ClassVar[frozenset[Fault]] = frozenset({*REFUSALS, Fault.HANG, Fault.CUT_REPLY, Fault.FOREIGN_REPLY})
    not_applicable: ClassVar[Mapping[str, str]] = {
        "configure_repeated": "the client on the node begins its runs by itself: the server has no jobs to count",
        "failed_says_why": "a Chef server does not record a run that failed",
        "side_by_side": "a Chef server does not record a run that failed",
    }
    patience: ClassVar[int] = 20
    grace: ClassVar[float] = 15.0

    def __init__(self, goiardi: Goiardi | None = None) -> None:
        super().__init__()
        self._goiardi = goiardi if goiardi is not None else _shared_goiardi()
        self._fault: Fault | None = None
        self._released = threading.Event()
        self._calls = itertools.count()
        self._made = 0
        self._hang = 0.1  # seconds, for clauses that do not measure the time
        self._clock = itertools.count(EPOCH)
        self._stack = contextlib.ExitStack()
        self._closed = False
        self.endpoint = self._stack.enter_context(answering(respond=self._respond))

    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new manager for the proxy, with the administrator's login."""
        if call_timeout is not None:
            self._hang = HANG_SECONDS
        auth = {"client_name": "admin", "client_key": self._goiardi.key}
        return Chef(Connection("chef", {"endpoint": self.endpoint}, auth, call_timeout or SECONDS))

    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A run list; that of a job that never ends is skipped by the clients of this harness."""
        recipes = {"plain": "recipe[web]", "endless": "recipe[endless]", "failing": "recipe[failing]"}
        return {"endpoint": self.endpoint, "run_list": [recipes[kind], *["recipe[more]"] * variant]}

    def settle(self) -> None:
        """Run every client once, except those whose job never ends."""
        server = self._goiardi.server
        for node in list(server.search_nodes("*:*")):
            mark = node.get("normal", {}).get("occopus", {})
            plain = "recipe[web]" in node["run_list"]
            if str(mark.get("installation", "")).startswith(self.installation) and plain:
                self._goiardi.converge(node["name"], float(next(self._clock)), fqdn="node.internal")

    def lose(self, node: ConfigNode) -> None:
        """Delete the node on the server."""
        self._goiardi.server.delete("nodes", node.node_id)

    def calls(self) -> int:
        """The number of requests to the proxy."""
        return self._made

    def inject(self, fault: Fault) -> None:
        """Let the proxy answer every request in this way."""
        self._fault = fault

    def clear(self) -> None:
        """Let the proxy forward requests. Idempotent."""
        self._fault = None

    def secrets(self) -> tuple[str, ...]:
        """The private key of the administrator."""
        return (self._goiardi.key,)

    def close(self) -> None:
        """Delete the nodes of the harness, and stop the proxy. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.clear()
        self._released.set()
        with self._stack:
            manager = self.manager()
            for installation in (self.installation, f"{self.installation}-other"):
                for found in list(manager.list_registered(installation)):
                    self._goiardi.server.delete("nodes", found.node_id)
                    manager.forget_infrastructure(found.infra_id)

    def _respond(self, method: str, path: str, headers: Message, body: bytes) -> Reply:
        self._made = next(self._calls) + 1
        if self._fault is not None and self._fault in REFUSALS:
            return REFUSALS[self._fault]
        if self._fault is Fault.HANG:
            self._released.wait(self._hang)
            raise TimeoutError  # closes the connection without an answer
        sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        url = self._goiardi.endpoint + path
        answer = requests.request(method, url, headers=sent, data=body or None, timeout=SECONDS)
        if self._fault is Fault.FOREIGN_REPLY:
            return 200, {"Content-Type": "text/html"}, PAGE
        content = answer.content[: len(answer.content) // 2] if self._fault is Fault.CUT_REPLY else answer.content
        return answer.status_code, {"Content-Type": "application/json"}, content


@functools.cache
def _shared_goiardi() -> Goiardi:
    """One server for all clauses, until the process ends. Raises `Unavailable`."""
    if not installed():
        raise Unavailable("goiardi is not installed: apt-get install goiardi")
    return until_exit(Goiardi())
