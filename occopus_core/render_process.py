"""Renders templates in short-lived processes that the system holds to a time and a memory.

A helper process is started when it is first needed and stays warm. For each text it forks a child. The child has
`SECONDS` of processor time, `MEMORY` bytes beyond what the helper has, and no credentials; it can start no process and
write no file. Functions that look at other nodes or run commands are called back in this process. What a child sends is
read as JSON and limited in length.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import itertools
import json
import os
import pickle  # only towards the child
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from occopus_core.evaluate import FaultError, evaluate
from occopus_core.sandbox import OverBudgetError
from occopus_core.template_errors import RefusalError, without_values

SECONDS = 2.0
"""Processor time of one text. The system ends a child that takes more."""

MEMORY = 256 * 2**20
"""Bytes of one text. An allocation beyond that fails."""

WALL_SECONDS = 120.0
"""A child that neither answers nor uses up its processor time is given up after this: the machine stands still."""

LONGEST_TEXT = 16 * 2**20
"""Bytes of the rendered text."""

MOST_CALLS = 10_000
"""Functions that one text may call in the process that asks for it."""

AT_ONCE = 2
"""So many children of one process run side by side."""

NICENESS = 5
"""The children let the service go first."""

_CUT_OFF = f"the template takes more than {SECONDS:g} s or {MEMORY >> 20} MiB"
_BUSY = f"the template was not rendered within {WALL_SECONDS:g} s: this machine is too busy"
_AWAY = "the process for templates cannot be used"
_STARTED, _RENDER, _ASKED = b"+", b"r", b"?"
_LENGTH = struct.Struct("!I")


class Usage(NamedTuple):
    """Processor time in seconds, and memory in bytes."""

    seconds: float
    memory: int


class _Helper:
    """The helper process. Any thread may use it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def render(self, text: str, scope: Mapping[str, object], left: int) -> tuple[str, float]:
        """See `render`."""
        functions = {name: value for name, value in scope.items() if callable(value)}
        values = {name: value for name, value in scope.items() if name not in functions}
        try:
            request = pickle.dumps((text, values, tuple(functions), left))
        except Exception as error:  # noqa: BLE001  # whatever an object raises that cannot be copied
            raise FaultError(None, f"a value that it uses cannot be copied: {type(error).__name__}") from None
        with self._turns:
            began = time.monotonic()
            try:
                return self._ask(request, functions)
            except FaultError as fault:
                if not fault.cut_off or not isinstance(fault.__cause__, OSError) or time.monotonic() - began >= SECONDS:
                    raise
            # It ended before it can have used up its time: the system kills children first when memory is short.
            return self._ask(request, functions)

    def _ask(self, request: bytes, functions: Mapping[str, Any]) -> tuple[str, float]:
        with self._child() as child:
            try:
                _send(child, request)
                return _converse(child, functions)
            except TimeoutError:
                raise FaultError(None, _BUSY) from None
            except (OSError, ValueError, KeyError, TypeError) as error:  # it ended, or what it says makes no sense
                raise FaultError(None, _CUT_OFF, cut_off=True) from error

    @contextlib.contextmanager
    def _child(self) -> Any:
        """A connection to a child that has begun. Raises `FaultError`."""
        for _ in range(2):  # the helper may have been killed since it was used last
            ours, theirs = socket.socketpair()
            with ours:
                ours.settimeout(WALL_SECONDS)
                try:
                    with theirs:
                        self._hand_over(theirs)
                    begun = ours.recv(1) == _STARTED
                except OSError:
                    begun = False
                if begun:
                    yield ours
                    return
            self.close()
        raise FaultError(None, _AWAY)

    def worst(self) -> Usage:
        """See `worst`."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(WALL_SECONDS)
            with theirs:
                self._hand_over(theirs, _ASKED)
            seconds, memory = json.loads(_receive(ours))
        return Usage(float(seconds), int(memory))

    def _hand_over(self, connection: socket.socket, what: bytes = _RENDER) -> None:
        with self._lock:
            if self._control is None:
                self._start()
            assert self._control is not None, "it was started"
            socket.send_fds(self._control, [what], [connection.fileno()])

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "occopus_core.render_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": path, "PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
        self._control = ours

    def close(self) -> None:
        """End the helper; it is started again when it is needed. Idempotent."""
        if self._owner != os.getpid():  # a fork of the process that started it
            return
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._control = self._process = None


@functools.cache
def _helper_of(_process: int) -> _Helper:
    made = _Helper()
    atexit.register(made.close)
    return made


def render(text: str, scope: Mapping[str, object], left: int) -> tuple[str, float]:
    """Render a template in a process of its own; the text, and the seconds of processor time that it took.

    `left` is what it may cost by the counts of the sandbox. Raises `FaultError`, whose `cut_off` is true where the
    template needs too much time or memory.
    """
    return _helper_of(os.getpid()).render(text, scope, left)


def worst() -> Usage:
    """The most that any child which has ended took of each, counting memory that it shared. Raises `OSError`."""
    return _helper_of(os.getpid()).worst()


def _converse(child: socket.socket, functions: Mapping[str, Any]) -> tuple[str, float]:
    """Answer the calls of a child until it has rendered. Raises `FaultError`."""
    while True:
        heard = json.loads(_receive(child))
        if "text" in heard:
            return str(heard["text"]), min(max(float(heard["seconds"]), 0.0), SECONDS)
        if "call" in heard:
            _send(child, _dump(_answer(functions[heard["call"]], heard["arguments"])))
            continue
        line = heard["line"] if isinstance(heard["line"], int) else None
        raise FaultError(line, str(heard["reason"]), cut_off=bool(heard["cut_off"]))


def _answer(function: Callable[..., object], arguments: list[object]) -> dict[str, object]:
    try:
        return {"value": function(*arguments)}
    except RefusalError as error:
        return {"refused": str(error), "names": error.names}
    except Exception as error:  # noqa: BLE001  # arguments of any kind
        return {"refused": without_values(error), "names": ()}


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(data)) + data)


def _receive(connection: socket.socket) -> bytes:
    """One message. Raises `OSError` where the other side ended, `ValueError` for one that is too long."""
    length = _LENGTH.unpack(_exactly(connection, _LENGTH.size))[0]
    if length > LONGEST_TEXT:
        raise ValueError("the message is too long")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 2**20))
        if not part:
            raise ConnectionError("the other side ended")
        data += part
    return bytes(data)


# In the helper and its children


def _serve() -> None:
    """Fork a child for each connection that comes over standard input, until that ends."""
    os.nice(NICENESS)
    gc.freeze()  # what was imported is never garbage
    control, worst = socket.socket(fileno=0), Usage(0.0, 0)
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            return
        if not data:
            return
        worst = _reap(worst)
        for descriptor in descriptors:
            if data == _ASKED:
                with socket.socket(fileno=os.dup(descriptor)) as connection:
                    _send(connection, _dump([worst.seconds, worst.memory]))
            else:
                _fork(control, descriptor)
            os.close(descriptor)


def _reap(worst: Usage) -> Usage:
    """Collect the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, _, used = os.wait4(-1, os.WNOHANG)
            if not child:
                break
            seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
            worst = Usage(max(worst.seconds, seconds), max(worst.memory, memory))
    return worst


def _fork(control: socket.socket, descriptor: int) -> None:
    try:
        child = os.fork()
    except OSError:
        return  # the connection closes: the other side knows by that
    if child:
        return
    try:
        control.close()
        with socket.socket(fileno=descriptor) as connection:
            _limit()
            connection.sendall(_STARTED)
            _render(connection)
    finally:
        os._exit(0)


def _limit() -> None:
    with contextlib.suppress(OSError):  # where memory is short, this process is the first to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {"AS": used + MEMORY, "CPU": int(SECONDS) + 1, "CORE": 0, "FSIZE": 0, "NPROC": 0, "NOFILE": 16}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process, whatever it is at


def _render(connection: socket.socket) -> None:
    out_of_memory = _dump({"line": None, "reason": _CUT_OFF, "cut_off": True})
    try:
        text, values, names, left = pickle.loads(_receive(connection))  # noqa: S301  # it comes from our parent
        calls = itertools.count(1)
        scope = {**values, **{name: functools.partial(_call, connection, calls, name) for name in names}}
        try:
            found: dict[str, object] = {"text": evaluate(text, scope, [left]), "seconds": time.process_time()}
        except FaultError as fault:
            found = {"line": fault.line, "reason": fault.reason[:2000], "cut_off": fault.cut_off}
        answer = _dump(found)
        if len(answer) > LONGEST_TEXT:
            answer = out_of_memory
    except MemoryError:
        answer = out_of_memory
    _send(connection, answer)


def _call(connection: socket.socket, calls: Iterator[int], name: str, *arguments: object) -> object:
    """Have the parent call a function. Raises `OverBudgetError`.

    The timer of the system samples: it misses much of the time of a process that sleeps and wakes with every call.
    """
    if next(calls) > MOST_CALLS or time.process_time() > SECONDS:
        raise OverBudgetError("the template calls functions too often")
    plain = [each if isinstance(each, str | int | float | bool | None) else str(each) for each in arguments]
    _send(connection, _dump({"call": name, "arguments": plain}))
    answer = json.loads(_receive(connection))
    if "refused" in answer:
        raise RefusalError(answer["refused"], *answer["names"])
    return answer["value"]


if __name__ == "__main__":
    _serve()
