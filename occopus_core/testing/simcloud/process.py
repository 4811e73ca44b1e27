"""The simulated cloud as a child process of a test or a benchmark."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from occopus_core.testing.ports import held_port
from occopus_core.testing.processes import end
from occopus_core.testing.simcloud.inventory import PAGE

_START_SECONDS = 600.0
_STOP_SECONDS = 10.0
_CALL_SECONDS = 600.0


class SimulatedServer:
    """A server in a separate process: use it in a ``with`` block, or `start` and `stop` it.

    Without a `database` its data is temporary; it survives `kill` and `restart`, not `stop`.
    """

    module: ClassVar[str]
    """The module to run."""
    what: ClassVar[str]
    """The name of the server, for messages."""

    def __init__(self, database: Path | None = None, *, seed: int = 0, api_key: str | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._database = database
        self._port: int | None = None
        self._options = ["--seed", str(seed), *(["--api-key", api_key] if api_key is not None else [])]
        self._process: subprocess.Popen[str] | None = None
        self.endpoint = ""
        """The URL; the same after a restart."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The server's process id. Raises `RuntimeError` if it is not running."""
        return self._running().pid

    def start(self) -> None:
        """Start the server and return when it listens. Raises `RuntimeError` if it does not."""
        if self._database is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="occopus-simcloud-"))
            self._database = Path(folder, "inventory.sqlite")
            self._stack.callback(setattr, self, "_database", None)
        if self._port is None:
            self._port = self._stack.enter_context(held_port(port=urlsplit(self.endpoint).port or 0))
            self._stack.callback(setattr, self, "_port", None)
        command = [sys.executable, "-m", self.module, "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--database", str(self._database), *self._options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        listens, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        if not listens or not (line := self._process.stdout.readline()):
            self.stop()
            raise RuntimeError(f"the {self.what} did not start; its own message is on standard error")
        self.endpoint = line.strip()

    def kill(self) -> None:
        """Kill the server (SIGKILL); the inventory is kept."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the server and start it on the same port and inventory, without faults, limits and counts."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Stop the server and remove a temporary inventory. Idempotent."""
        self._end(signal.SIGTERM)
        self._stack.close()

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules (see `occopus_core.testing.simcloud.faults`). Raises `ValueError`."""
        self._call("PUT", "/faults", list(rules))

    def calls(self) -> dict[str, Any]:
        """`total` by operation, and `most_at_once`."""
        counted: dict[str, Any] = self._call("GET", "/calls")
        return counted

    def log(self) -> list[dict[str, Any]]:
        """The last 100,000 calls, oldest first: time, operation, tokens of a create or delete, and outcome."""
        logged: list[dict[str, Any]] = self._call("GET", "/log")
        return logged

    def reset(self) -> None:
        """Remove every instance, fault, limit and count."""
        self._call("POST", "/reset")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f"the {self.what} is not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process, _STOP_SECONDS, how)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        self._running()
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=_CALL_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != http.client.OK:
            raise ValueError(answer["message"])
        return answer


class SimulatedCloud(SimulatedServer):
    """A running simulated cloud."""

    module = "occopus_core.testing.simcloud.server"
    what = "simulated cloud"

    def set_limits(
        self, quotas: Mapping[str, int] | None = None, images: Sequence[str] | None = None, page: int = PAGE
    ) -> None:
        """Set the most instances by project, the images (None: all but ``unknown…``), and the page size."""
        self._call("PUT", "/limits", {"quotas": quotas or {}, "images": images, "page": page})

    def change(self, id: str, action: str, reason: str = "", state: str = "") -> None:
        """``stop``, ``start``, ``fail`` or ``lose`` an instance, or ``set`` its `state` to any name.

        Raises `ValueError` for an unknown one.
        """
        self._call("POST", "/change", {"id": id, "action": action, "reason": reason, "state": state})

    def inventory(self) -> list[dict[str, Any]]:
        """All instances, including unfinished, departing and not yet visible ones."""
        found: list[dict[str, Any]] = self._call("GET", "/inventory")
        return found
