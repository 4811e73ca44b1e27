"""The harness of the checker for the conformance suite: a real MariaDB server on the loopback."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import trustme

from occopus_core.api import Probe
from occopus_core.testing.health import HealthHarness
from occopus_core.testing.ports import held_port
from occopus_core.testing.processes import end
from occopus_core.testing.standing import Unavailable, until_exit
from occopus_health_mysql import MySqlDatabases

START_SECONDS = 600.0
GENEROUS = 60.0
TIMEOUT = 0.5
"""The time limit for a check of a silent target."""
PASSWORD = "s3cret-of-app"  # noqa: S105 - it opens nothing but a server for tests
WRONG_PASSWORD = "not-the-hidden-one"  # noqa: S105 - it opens nothing


@dataclass(frozen=True)
class Server:
    """The server's address; `root` runs statements through its socket."""

    port: int
    socket: str

    def root(self, *statements: str) -> None:
        """Run statements as root."""
        with contextlib.closing(pymysql.connect(unix_socket=self.socket, user="root")) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            connection.commit()


def lacking() -> str:
    """Why no MariaDB can be started here; empty if it can."""
    found = _program(), shutil.which("mariadb-install-db")
    return "" if all(found) else "MariaDB is not installed: apt-get install mariadb-server"


def _program() -> str | None:
    return shutil.which("mariadbd", path="/usr/sbin:/usr/bin")


@contextlib.contextmanager
def encrypting() -> Iterator[Server]:
    """A server with TLS and a self-signed certificate."""
    with tempfile.TemporaryDirectory(prefix="occopus-certificate-") as name:
        certificate, key = Path(name, "server.pem"), Path(name, "server.key")
        issued = trustme.CA().issue_cert("node.internal")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        with running(f"--ssl-cert={certificate}", f"--ssl-key={key}") as server:
            yield server


@contextlib.contextmanager
def running(*more: str) -> Iterator[Server]:
    """A server with the database `shop`, the user `app` with access to it, and the user `guest` without.

    Raises `Unavailable` if MariaDB is not installed, `RuntimeError` if it does not start.
    """
    if reason := lacking():
        raise Unavailable(reason)
    with tempfile.TemporaryDirectory(prefix="occopus-mariadb-") as name, held_port() as port:
        folder = Path(name)
        common = ["--no-defaults", f"--user={folder.owner()}", f"--datadir={folder / 'data'}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        install = ["mariadb-install-db", *common, *options]
        subprocess.run(install, check=True, capture_output=True, timeout=START_SECONDS)
        path = str(folder / "server.sock")
        files = [f"--socket={path}", f"--pid-file={folder / 'pid'}", f"--log-error={folder / 'log'}"]
        network = ["--bind-address=127.0.0.1", f"--port={port}", "--skip-log-bin"]
        process = subprocess.Popen([str(_program()), *common, *files, *network, *more])
        try:
            yield _prepared(Server(port, path), process, folder / "log")
        finally:
            end(process, START_SECONDS)


def _prepared(server: Server, process: subprocess.Popen[bytes], log: Path) -> Server:
    deadline = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_UNIX) as knocking:
        while knocking.connect_ex(server.socket):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
    server.root(
        "CREATE DATABASE shop",
        f"CREATE USER 'app'@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT ALL ON shop.* TO 'app'@'%'",
        f"CREATE USER 'guest'@'%' IDENTIFIED BY '{PASSWORD}'",
    )
    return server


def probe(port: int, timeout: float = GENEROUS, auth: Mapping[str, str] | None = None, **database: Any) -> Probe:
    """A probe of the database `shop` as `app`, with optional changes."""
    value = [{"name": "shop", "user": "app", "port": port, **database}]
    return Probe("db", "127.0.0.1", value, timeout, auth or {})


def _password(text: str) -> dict[str, Any]:
    return {"pass": text}  # `pass` is a keyword, so it cannot be an argument


class MySqlHarness(HealthHarness):
    """A given server, or one that is started once for the process, and a silent port."""

    __slots__ = ("_stack",)

    def __init__(self, server: Server | None = None) -> None:
        stack = contextlib.ExitStack()
        object.__setattr__(self, "_stack", stack)  # the dataclass is frozen
        chosen = server if server is not None else _shared_server()
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512)).getsockname()[1]
        super().__init__(
            MySqlDatabases(),
            healthy=probe(chosen.port, **_password(PASSWORD)),
            unhealthy=probe(chosen.port, **_password(WRONG_PASSWORD)),
            silent=probe(silent, TIMEOUT, **_password(PASSWORD)),
            secret=WRONG_PASSWORD,
        )

    def close(self) -> None:
        """Close the silent port. Idempotent."""
        self._stack.close()  # type: ignore[attr-defined]


@functools.cache
def _shared_server() -> Server:
    return until_exit(encrypting())
