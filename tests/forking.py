"""Commands forked from a process that has imported the project: most of the time of a command is its imports.

`Command` starts one and is used like `subprocess.Popen`. It is a process of its own with its own environment, working
directory, streams and signals; only the console script is left out, and the modules are there before it begins.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from occopus_core.cli import entry

SCRIPTS = Path(sys.executable).parent
ON_DEMAND = [
    *("alembic.command", "alembic.runtime.migration", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql"),
    *(
        "rich.console",
        "rich.live",
        "rich.table",
        "jsonschema",
        "jinja2",
        "stevedore",
        "requests",
        "paramiko",
        "uvicorn",
    ),
]
"""What functions of the core import when they need it."""
PLUGINS = ["occopus_resource_sim", "occopus_resource_local", "occopus_health_network", "occopus_config_sim"]
NUMBER = struct.Struct("!i")
STREAMS = ("stdin", "stdout", "stderr")


class Command:
    """A command that is running. Where a test fails in its `with`, it is killed: it may be one that never ends."""

    def __init__(self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], **streams: int | IO) -> None:
        self.args = [str(word) for word in words]
        self.returncode: int | None = None
        self._lock = threading.Lock()
        given = [streams.get(name) for name in STREAMS]
        with contextlib.ExitStack() as stack:
            theirs, ours = zip(*(_ends(number, one, stack) for number, one in enumerate(given)), strict=True)
            theirs = [theirs[1] if one == subprocess.STDOUT else end for one, end in zip(given, theirs, strict=True)]
            self.stdin, self.stdout, self.stderr = ours
            report, reporting = socket.socketpair()
            stack.callback(reporting.close)
            _server().order({"words": self.args, "cwd": str(cwd), "env": dict(env)}, [*theirs, reporting.fileno()])
        self._report = report.detach()
        self.pid = self._number()

    def __del__(self) -> None:
        os.close(self._report)

    def _number(self) -> int:
        return NUMBER.unpack(os.read(self._report, NUMBER.size))[0]

    def poll(self) -> int | None:
        """Its return code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its return code, when it has ended. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None and not select.select([self._report], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        with self._lock:
            if self.returncode is None:
                self.returncode = self._number()
                os.write(self._report, b"!")  # it need not stay to be looked at
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str | None, str | None]:
        """What it still writes, when it has ended. Raises `subprocess.TimeoutExpired`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        written: dict[str, str] = {}

        def read(name: str, stream: IO[str]) -> None:
            with stream:
                written[name] = stream.read()

        threads = [
            threading.Thread(target=read, args=(name, stream), daemon=True)
            for name in ("stdout", "stderr")
            if (stream := getattr(self, name)) is not None
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return written.get("stdout"), written.get("stderr")

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:
            self.kill()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()


def _ends(number: int, given: int | IO | None, stack: contextlib.ExitStack) -> tuple[int, IO[str] | None]:
    """The end of a stream that the command gets, and the one that stays here, if any."""
    if given == subprocess.PIPE:
        reading, writing = os.pipe()
        theirs, ours = (reading, open(writing, "w")) if number == 0 else (writing, open(reading))  # noqa: PTH123, SIM115
        stack.callback(os.close, theirs)
        return theirs, ours
    if given == subprocess.DEVNULL:
        theirs = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, theirs)
        return theirs, None
    if given is None or given == subprocess.STDOUT:
        return number, None
    return given if isinstance(given, int) else given.fileno(), None


class _Server:
    """The process that commands are forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # tests start commands in threads, too
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def order(self, what: Mapping[str, object], descriptors: Sequence[int]) -> None:
        body = json.dumps(what).encode()
        with self._lock:
            socket.send_fds(self._socket, [NUMBER.pack(len(body))], list(descriptors))
            self._socket.sendall(body)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


_starting = threading.Lock()


def _server() -> _Server:
    with _starting:
        return _started()


@functools.cache
def _started() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def main() -> None:
    """Import the project, then fork a command for each order until the socket is closed."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    import_all()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, descriptors, _, _ = socket.recv_fds(orders, NUMBER.size, len(STREAMS) + 1)
        if not head:
            return
        order = json.loads(orders.recv(NUMBER.unpack(head)[0], socket.MSG_WAITALL))
        if os.fork() == 0:
            orders.close()
            _watch(order, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def import_all() -> None:
    """Import what commands import."""
    import occopus_core  # noqa: PLC0415

    for module in pkgutil.walk_packages(occopus_core.__path__, "occopus_core."):
        if not {"testing", "migrations", "__main__"} & set(module.name.split(".")):
            importlib.import_module(module.name)
    for name in (*ON_DEMAND, *PLUGINS):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread does not survive a fork"


def _watch(order: dict, descriptors: Sequence[int]) -> None:
    """Run the command in a process below this one; report its id, and how it ended."""
    *streams, report = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        _become(order, streams)
        return
    for descriptor in (*streams, 0, 1, 2):
        os.close(descriptor)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a signal to the process group is for the command
    with contextlib.suppress(BrokenPipeError):
        os.write(report, NUMBER.pack(pid))
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        os.write(report, NUMBER.pack(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
        os.read(report, 1)  # until then /proc has it, as it has one below `Popen`
        os.waitpid(pid, 0)
    os._exit(0)


def _become(order: dict, streams: Sequence[int]) -> None:
    """Be the command."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.argv, sys.path[0] = order["words"], str(SCRIPTS)
    sys.stdin = sys.__stdin__ = open(0)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace")  # noqa: SIM115
    name = Path(sys.argv[0]).name.removeprefix("occopus-").replace("-", "_")
    sys.exit(getattr(entry, "import_" if name == "import" else name)())


if __name__ == "__main__":
    main()
