"""A real MariaDB server on the loopback."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
import trustme

from occopus_core.testing.processes import end

START_SECONDS = 120
PASSWORD = "s3cret-of-app"


@dataclass(frozen=True)
class Server:
    """Where it listens; `root` runs statements through its socket."""

    port: int
    socket: str

    def root(self, *statements: str) -> None:
        connection = pymysql.connect(unix_socket=self.socket, user="root")
        try:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            connection.commit()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A server that offers TLS, with a certificate of its own."""
    with tempfile.TemporaryDirectory(prefix="occopus-certificate-") as name:
        certificate, key = Path(name, "server.pem"), Path(name, "server.key")
        issued = trustme.CA().issue_cert("node.internal")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        with _running(f"--ssl-cert={certificate}", f"--ssl-key={key}") as server:
            yield server


@pytest.fixture(scope="session")
def plain_mariadb() -> Iterator[Server]:
    """A server without TLS."""
    with _running("--skip-ssl") as server:
        yield server


@contextlib.contextmanager
def _running(*more: str) -> Iterator[Server]:
    """Has the database `shop`, the user `app` who may use it, and the user `guest` who may not."""
    program = shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    installer = shutil.which("mariadb-install-db")
    if program is None or installer is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    with tempfile.TemporaryDirectory(prefix="occopus-mariadb-") as name:
        folder = Path(name)
        common = ["--no-defaults", f"--user={folder.owner()}", f"--datadir={folder / 'data'}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run([installer, *common, *options], check=True, capture_output=True, timeout=START_SECONDS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        path = str(folder / "server.sock")
        files = [f"--socket={path}", f"--pid-file={folder / 'pid'}", f"--log-error={folder / 'log'}"]
        network = ["--bind-address=127.0.0.1", f"--port={port}", "--skip-log-bin"]
        process = subprocess.Popen([program, *common, *files, *network, *more])
        try:
            yield _prepared(Server(port, path), process, folder / "log")
        finally:
            end(process, START_SECONDS)


def _prepared(server: Server, process: subprocess.Popen[bytes], log: Path) -> Server:
    deadline = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_UNIX) as knocking:
        while knocking.connect_ex(server.socket):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
    server.root(
        "CREATE DATABASE shop",
        f"CREATE USER 'app'@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT ALL ON shop.* TO 'app'@'%'",
        f"CREATE USER 'guest'@'%' IDENTIFIED BY '{PASSWORD}'",
    )
    return server


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port that is taken and not listened at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield server.getsockname()[1]
