"""A PostgreSQL server of our own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from occopus_core.testing.ports import held_port

LONGEST = 600.0
"""Seconds after which a program is taken for stuck."""


class PostgreSQL:
    """A server of our own on a port of the loopback, as the user postgres where we are root."""

    def __init__(self, binaries: Path, folder: Path, port: int) -> None:
        self._binaries = binaries
        self._folder = folder
        self._numbers = itertools.count()
        self._identity = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self._port = port

    def start(self) -> None:
        if self._identity:
            shutil.chown(self._folder, "postgres", "postgres")
        options = ["-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8"]
        self._run("initdb", "-D", "data", *options).wait(LONGEST)
        socket_and_port = ["-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._folder)]
        self._process = self._run("postgres", "-D", "data", *socket_and_port, "-c", "fsync=off")

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + LONGEST
        while True:
            with contextlib.suppress(self._driver.OperationalError):
                self._execute("SELECT 1")
                return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # disconnects everybody
        self._process.wait(LONGEST)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"store_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def _execute(self, statement: str) -> None:
        with self._driver.connect(
            host="127.0.0.1", port=self._port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._binaries / program, *arguments], cwd=self._folder, stdout=log, stderr=log, **self._identity
            )

    @property
    def _driver(self):
        import psycopg  # noqa: PLC0415  # only those who have the server need it

        return psycopg


def is_installed() -> bool:
    """Whether there is a server to run."""
    return bool(_installed())


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    """A running server; `new_database` makes an empty database on it."""
    with (
        tempfile.TemporaryDirectory(prefix="occopus-pg-", ignore_cleanup_errors=True) as folder,
        held_port() as port,
    ):
        server = PostgreSQL(_installed()[-1].parent, Path(folder), port)
        server.start()
        try:
            server.wait()
            yield server
        finally:
            server.stop()


def _installed() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
