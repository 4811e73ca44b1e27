"""The configuration manager `chef` keeps the contract, on a real goiardi behind a proxy that can fail."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import requests

from occopus_config_chef import Chef
from occopus_core.api import Connection
from occopus_core.testing.config import ConfigHarness, ConfigManagerConformance
from occopus_core.testing.conformance.harness import Fault
from occopus_core.testing.web import PAGE, answering

SECONDS = 60.0
HANG_SECONDS = 30.0
"""Longer than a call with the short time limit may take, on a busy machine too."""


class ChefHarness(ConfigHarness):
    sdk_modules: ClassVar[tuple[str, ...]] = ("requests", "cryptography")
    published: ClassVar[Mapping[str, Any]] = {"fqdn": "node.internal"}
    faults: ClassVar[frozenset[Fault]] = frozenset(
        {
            Fault.AUTH,
            Fault.THROTTLE,
            Fault.PERMANENT,
            Fault.SERVER_ERROR,
            Fault.HANG,
            Fault.CUT_REPLY,
            Fault.FOREIGN_REPLY,
        }
    )
    not_applicable: ClassVar[Mapping[str, str]] = {
        "configure_repeated": "the client on the node begins its runs by itself: the server has no jobs to count",
        "failed_says_why": "a Chef server does not record a run that failed",
        "side_by_side": "a Chef server does not record a run that failed",
    }
    patience = 20
    grace = 15.0

    def __init__(self, goiardi):
        super().__init__()
        self._goiardi = goiardi
        self._fault = None
        self._released = threading.Event()
        self._calls = itertools.count()
        self._made = 0
        self._hang = 0.1  # seconds, where a clause does not measure the time
        self._clock = itertools.count(1764280000)
        self._stack = contextlib.ExitStack()
        self.endpoint = self._stack.enter_context(answering(respond=self._respond))

    def manager(self, *, call_timeout=None):
        if call_timeout is not None:
            self._hang = HANG_SECONDS
        auth = {"client_name": "admin", "client_key": self._goiardi.key}
        return Chef(Connection("chef", {"endpoint": self.endpoint}, auth, call_timeout or SECONDS))

    def section(self, kind="plain", variant=0):
        # What never converges is a node whose run list says so: the clients of this harness leave it alone.
        recipes = {"plain": "recipe[web]", "endless": "recipe[endless]", "failing": "recipe[failing]"}
        return {"endpoint": self.endpoint, "run_list": [recipes[kind], *["recipe[more]"] * variant]}

    def settle(self):
        """Every client runs once, but for those that do not get to an end."""
        server = self._goiardi.server
        for node in list(server.search_nodes("*:*")):
            mark = node.get("normal", {}).get("occopus", {})
            plain = "recipe[web]" in node["run_list"]
            if str(mark.get("installation", "")).startswith(self.installation) and plain:
                self._goiardi.converge(node["name"], float(next(self._clock)), fqdn="node.internal")

    def lose(self, node):
        self._goiardi.server.delete("nodes", node.node_id)

    def calls(self):
        return self._made

    def inject(self, fault):
        self._fault = fault

    def clear(self):
        self._fault = None

    def secrets(self):
        return (self._goiardi.key,)

    def close(self):
        self.clear()
        self._released.set()
        manager = self.manager()
        for installation in (self.installation, f"{self.installation}-other"):
            for found in list(manager.list_registered(installation)):
                self._goiardi.server.delete("nodes", found.node_id)
                manager.forget_infrastructure(found.infra_id)
        self._stack.close()

    def _respond(self, method, path, headers, body):
        self._made = next(self._calls) + 1
        refusals = {
            Fault.AUTH: (401, {}, b'{"error": ["Failed to authenticate"]}'),
            Fault.THROTTLE: (429, {"Retry-After": "3"}, b'{"error": ["slow down"]}'),
            Fault.PERMANENT: (400, {}, b'{"error": ["Field is invalid"]}'),
            Fault.SERVER_ERROR: (500, {}, b'{"error": ["internal error"]}'),
        }
        if self._fault in refusals:
            return refusals[self._fault]
        if self._fault is Fault.HANG:
            self._released.wait(self._hang)
            raise TimeoutError  # the connection is closed without an answer
        sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        url = self._goiardi.endpoint + path
        answer = requests.request(method, url, headers=sent, data=body or None, timeout=SECONDS)
        if self._fault is Fault.FOREIGN_REPLY:
            return 200, {"Content-Type": "text/html"}, PAGE
        content = answer.content[: len(answer.content) // 2] if self._fault is Fault.CUT_REPLY else answer.content
        return answer.status_code, {"Content-Type": "application/json"}, content


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, goiardi):
        harness = ChefHarness(goiardi)
        yield harness
        harness.close()
