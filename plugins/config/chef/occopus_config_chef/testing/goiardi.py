"""goiardi, a Chef server, as a child process on the loopback."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from occopus_config_chef.manager import Chef
from occopus_config_chef.server import ChefServer, time_of_day
from occopus_core.api import Connection, TransientError
from occopus_core.testing.ports import held_port
from occopus_core.testing.processes import end

START_SECONDS = 600.0
"""The server makes three RSA keys at its first start."""
_KINDS = ("nodes", "clients", "roles", "environments")
_BUILT_IN = {"clients": {"admin", "chef-validator", "chef-webui"}, "environments": {"_default"}}


def installed() -> bool:
    """Whether goiardi is installed."""
    return shutil.which("goiardi") is not None


class Goiardi:
    """A running Chef server: ``with Goiardi() as server``. Its objects survive `stop` and `start`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._port = self._stack.enter_context(held_port())
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._folder = Path(tempfile.mkdtemp(prefix="occopus-goiardi-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and return when it listens. Raises `RuntimeError` if it does not."""
        for each in ("conf", "files"):
            (self._folder / each).mkdir(exist_ok=True)
        address = ["-I", "127.0.0.1", "-H", "127.0.0.1", "-P", str(self._port)]
        folders = [f"--conf-root={self._folder / 'conf'}", f"--local-filestore-dir={self._folder / 'files'}"]
        data = ["-i", str(self._folder / "index"), "-D", str(self._folder / "data"), "-F", "1"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["goiardi", "-A", *address, *folders, *data], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / "log").read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"goiardi does not listen: {said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, after which its objects are on disk. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            end(process, START_SECONDS)

    @property
    def key(self) -> str:
        """The private key of the client ``admin``."""
        return (self._folder / "conf" / "admin.pem").read_text()

    @property
    def validation_key(self) -> str:
        """The private key of the client ``chef-validator``, with which new clients register."""
        return (self._folder / "conf" / "chef-validator.pem").read_text()

    def connection(self, **auth: str) -> Connection:
        """The connection of the administrator."""
        known = {"client_name": "admin", "client_key": self.key}
        return Connection("chef", {"endpoint": self.endpoint}, {**known, **auth})

    def manager(self, **auth: str) -> Chef:
        """A configuration manager on it."""
        return Chef(self.connection(**auth))

    @property
    def server(self) -> ChefServer:
        """Its API, with the administrator's login."""
        return ChefServer(self.connection(), time_of_day)

    def converge(self, node_id: str, at: float, **automatic: object) -> None:
        """Save what a client saves at the end of its run."""
        node = self.server.get("nodes", node_id)
        node["automatic"] = {**node["automatic"], "ohai_time": at, **automatic}
        self.server.put("nodes", node_id, body=node)

    def names(self, kind: str) -> set[str]:
        """The names of all its ``nodes``, ``clients``, ``roles`` or ``environments``.

        Repeats a request whose answer was truncated. Raises `TransientError` if the server is down.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return set(self.server.get(kind))
            except TransientError as error:
                if error.unreached or time.monotonic() > deadline:
                    raise

    def left(self) -> list[str]:
        """All objects except those of its first start, such as ``nodes/NAME``."""
        return sorted(f"{kind}/{name}" for kind in _KINDS for name in self.names(kind) - _BUILT_IN.get(kind, set()))

    def _listens(self) -> bool:
        keys = [self._folder / "conf" / f"{name}.pem" for name in ("admin", "chef-validator")]
        if not all(file.exists() and "END" in file.read_text() for file in keys):
            return False
        with socket.socket() as knocking:
            return not knocking.connect_ex(("127.0.0.1", self._port))
