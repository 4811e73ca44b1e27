"""Processes beside the kills with a Chef server: the clients on the machines, and an observer of the server."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import requests

from occopus_config_chef import objects
from occopus_config_chef.testing import Goiardi
from occopus_core.api import ProviderError
from occopus_core.testing.processes import end

_PAUSE = 0.05
"""Seconds between two looks of the clients."""
_SECONDS = 300.0


class Observer:
    """A process that asks goiardi on behalf of this one."""

    def __init__(self, endpoint: str, key: Path) -> None:
        words = [sys.executable, "-m", "tests.torture.chef_side", "observe", endpoint, str(key)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End it."""
        end(self._process, 10)
        self._process.stdin.close()

    def nodes(self) -> list[dict]:
        """Every node, whole."""
        return self._ask("all nodes")

    def names(self, kind: str) -> set[str]:
        """As `Goiardi.names`."""
        return set(self._ask(kind))

    def left(self) -> list[str]:
        """As `Goiardi.left`."""
        return self._ask("left")

    def _ask(self, what: str):
        print(what, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


class Running(Goiardi):
    """A goiardi that another process has started."""

    def __init__(self, endpoint: str, key: str) -> None:
        self.endpoint = endpoint
        self._admin = key

    @property
    def key(self) -> str:
        """See `Goiardi.key`."""
        return self._admin


def observe(goiardi: Running) -> None:
    """Answer what an `Observer` asks, a line each, until it is closed."""
    for line in sys.stdin:
        match line.strip():
            case "left":
                found = goiardi.left()
            case "all nodes":
                found = [goiardi.server.get("nodes", name) for name in goiardi.names("nodes")]
            case kind:
                found = sorted(goiardi.names(kind))
        print(json.dumps(found), flush=True)


def clients(goiardi: Running, cloud_endpoint: str) -> None:
    """Do what chef-client does on every machine that runs: register, converge. Until the process is ended."""
    server = goiardi.server
    clock = itertools.count(1)

    def running() -> set[str]:
        found = requests.get(f"{cloud_endpoint}/inventory", timeout=_SECONDS).json()
        return {one["owner"]["node_id"] for one in found if one["state"] == "ready"}

    while True:
        time.sleep(_PAUSE)
        with contextlib.suppress(ProviderError, OSError):
            for node in list(server.search_nodes("*:*")):
                name = node["name"]
                if objects.converged(node) or name not in running():
                    continue
                with contextlib.suppress(ProviderError):
                    server.post("clients", body={"name": name})
                    if name not in running():  # its machine went meanwhile: it would not have registered
                        server.delete("clients", name)
                present = server.get("nodes", name)
                reported = {"ohai_time": float(next(clock)), "fqdn": "node.internal"}
                server.put("nodes", name, body={**present, "automatic": {**present["automatic"], **reported}})


def main() -> None:
    """Be the clients, or answer an `Observer`."""
    role, endpoint, file, *more = sys.argv[1:]
    goiardi = Running(endpoint, Path(file).read_text())
    if role == "clients":
        clients(goiardi, *more)
    observe(goiardi)


if __name__ == "__main__":
    main()
