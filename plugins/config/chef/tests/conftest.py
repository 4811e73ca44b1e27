"""A real Chef API server, goiardi, on the loopback; and what a chef-client does to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from occopus_config_chef import Chef
from occopus_config_chef.server import ChefServer, time_of_day
from occopus_core.api import Connection
from occopus_core.testing.processes import end

START_SECONDS = 120


@dataclass(frozen=True)
class Goiardi:
    """Where it listens, and the key of its administrator."""

    endpoint: str
    key: str

    def connection(self, **auth: str) -> Connection:
        known = {"client_name": "admin", "client_key": self.key}
        return Connection("chef", {"endpoint": self.endpoint}, {**known, **auth})

    def manager(self, **auth: str) -> Chef:
        return Chef(self.connection(**auth))

    @property
    def server(self) -> ChefServer:
        return ChefServer(self.connection(), time_of_day)

    def converge(self, node_id: str, at: float, **automatic: object) -> None:
        """What a client saves at the end of its run."""
        node = self.server.get("nodes", node_id)
        node["automatic"] = {**node["automatic"], "ohai_time": at, **automatic}
        self.server.put("nodes", node_id, body=node)

    def names(self, kind: str) -> set[str]:
        return set(self.server.get(kind))


@pytest.fixture(scope="session")
def goiardi() -> Iterator[Goiardi]:
    program = shutil.which("goiardi")
    if program is None:
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    with tempfile.TemporaryDirectory(prefix="occopus-goiardi-") as name:
        folder = Path(name)
        for each in ("conf", "files"):
            (folder / each).mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = ["-I", "127.0.0.1", "-H", "127.0.0.1", "-P", str(port)]
        folders = [f"--conf-root={folder / 'conf'}", f"--local-filestore-dir={folder / 'files'}"]
        log = (folder / "log").open("wb")
        process = subprocess.Popen([program, "-A", *address, *folders], stdout=log, stderr=log)
        log.close()
        try:
            yield Goiardi(f"http://127.0.0.1:{port}", _key(folder, port, process))
        finally:
            end(process, START_SECONDS)


def _key(folder: Path, port: int, process: subprocess.Popen[bytes]) -> str:
    """The administrator's key, once the server listens."""
    file, deadline = folder / "conf" / "admin.pem", time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as knocking:
            if file.exists() and "END" in file.read_text() and not knocking.connect_ex(("127.0.0.1", port)):
                return file.read_text()
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
