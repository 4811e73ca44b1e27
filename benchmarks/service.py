"""One service that maintains many infrastructures, while clients read and scale them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import build, child, shapes
from occopus_core.testing.simcloud.process import SimulatedCloud

CLIENTS = 50
NODES = ("web", "db")
BOOT_SECONDS = 0.1
INSTANCES = 5
"""Instances of each node at the start."""

LOOK_SECONDS = 1.0
"""The interval between two requests of a client, whatever the duration of the answer."""

SCALE_EVERY = 10
"""Every n-th request of a client scales a node instead."""

SETTLE_SECONDS = 600.0
"""The time limit until everything is built, and until all requests are applied."""

PARTS = 10
"""The number of periods, to detect growth."""


class AnswerError(child.ChildError):
    """An answer with an error."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Part:
    """One period."""

    looks: int
    median: float
    """Seconds from the scheduled time of a request until the report has arrived."""
    p99: float
    scalings: int
    scaling_p99: float
    memory: float
    """Resident memory of the service at the end, in MiB."""
    cpu: float
    """Cores in use by the service."""


@dataclass(frozen=True, slots=True)
class Endured:
    """The result of the measurement."""

    infrastructures: int
    seconds: float
    parts: Sequence[Part]
    errors: Sequence[str]
    """Failed requests, and wrong answers."""
    missed: Sequence[str]
    """Infrastructures that did not reach the last requested state."""

    @property
    def sound(self) -> bool:
        """True if every request was answered correctly and applied."""
        return not self.errors and not self.missed


@dataclass
class Client:
    """Reads its own infrastructures in turn, and sometimes scales them."""

    base: str
    infra_ids: Sequence[str]
    phase: int
    """Clients scale at different times."""
    looks: list[tuple[float, float]] = field(default_factory=list)
    """The scheduled time of each report, and the seconds until it arrived."""
    scalings: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)

    def work(self, delay: float, until: float) -> None:
        """Call until that time of `time.monotonic`, starting after `delay` seconds."""
        due, number = time.monotonic() + delay, self.phase
        with connected(self.base) as call:
            while due < until:
                time.sleep(max(0.0, due - time.monotonic()))
                self._call(call, due, number)
                due, number = due + LOOK_SECONDS, number + 1

    def _call(self, call: Callable[..., Any], due: float, number: int) -> None:
        infra_id = self.infra_ids[number % len(self.infra_ids)]
        scales = number % SCALE_EVERY == SCALE_EVERY - 1
        try:
            if scales:
                count = INSTANCES + number // SCALE_EVERY % 2
                call("POST", f"/infrastructures/{infra_id}/scaleto/web/{count}")
                self.wanted[infra_id] = count
            else:
                report = call("GET", f"/infrastructures/{infra_id}")
                if set(report) != set(NODES):
                    self.errors.append(f"a report without its nodes: {report}")
        except child.ChildError as error:
            self.errors.append(str(error))
        (self.scalings if scales else self.looks).append((due, time.monotonic() - due))


@contextlib.contextmanager
def connected(base: str) -> Iterator[Callable[..., Any]]:
    """Makes calls over one connection, and returns the answers. Calls raise `child.ChildError`."""
    address = urlsplit(base)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)

    def call(method: str, path: str, body: str | None = None) -> Any:
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise child.ChildError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status >= http.client.BAD_REQUEST:
            raise AnswerError(f"{method} {path}: {answer.status} {text.decode()}", answer.status)
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text.decode()

    try:
        yield call
    finally:
        connection.close()


def measure(infrastructures: int, seconds: float) -> Endured:
    """This many infrastructures of ten nodes, for this duration. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud, build.workspace() as here:
        definitions = shapes.independent(1, BOOT_SECONDS).definitions(cloud.endpoint)
        here.run("occopus-import", here.write("nodes.yaml", definitions))
        with serving(here) as (pid, base):
            infra_ids = _built(base, infrastructures)
            clients = [Client(base, infra_ids[number::CLIENTS], number) for number in range(CLIENTS)]
            parts = list(_parts(clients, pid, seconds))
            errors = [error for client in clients for error in client.errors]
            wanted = {infra_id: count for client in clients for infra_id, count in client.wanted.items()}
            missed = _missed(base, {**dict.fromkeys(infra_ids, INSTANCES), **wanted}, cloud)
    return Endured(infrastructures, seconds, parts, errors, missed)


@contextlib.contextmanager
def serving(here: build.Workspace, *options: str) -> Iterator[tuple[int, str]]:
    """A service: its process id and URL. Its output goes to the file `said`."""
    command: list[str | Path] = [build.executable("occopus-rest-service"), "--port", "0", "--parallelize", *options]
    with (here.folder / "said").open("wb") as said:
        process = child.start(command, here.folder, here.environment, said)
    try:
        pattern = re.compile(r"listening on (\S+)")
        _await(lambda: pattern.search((here.folder / "said").read_text("utf-8")) is not None, "the service listens")
        found = pattern.search((here.folder / "said").read_text("utf-8"))
        assert found is not None, "it was waited for"
        yield process.pid, found[1]
    finally:
        process.terminate()
        process.wait()


def _built(base: str, count: int) -> list[str]:
    scaling = {"min": INSTANCES, "max": INSTANCES + 1}
    nodes = [
        {"name": name, "type": shapes.DEFINITION, "variables": {"boot": BOOT_SECONDS}, "scaling": scaling}
        for name in NODES
    ]
    description = json.dumps({"user_id": "benchmark", "infra_name": "benchmark", "nodes": nodes})
    with connected(base) as call:
        infra_ids = [_created(call, description) for _ in range(count)]
        _await(lambda: f'{{state="ready"}} {count}.0' in call("GET", "/metrics"), "everything is built")
    return infra_ids


def _created(call: Callable[..., Any], description: str) -> str:
    while True:
        try:
            infra_id: str = call("POST", "/infrastructures/", description)["infraid"]
        except AnswerError as error:
            if error.status != http.client.SERVICE_UNAVAILABLE:
                raise
            time.sleep(1.0)  # the limit of concurrent builds is reached
        else:
            return infra_id


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise child.ChildError(f"after {SETTLE_SECONDS:g} s still not: {what}")
        time.sleep(1.0)


def _parts(clients: Sequence[Client], pid: int, seconds: float) -> Iterator[Part]:
    began = time.monotonic()
    moments = [began + seconds * part / PARTS for part in range(PARTS + 1)]
    used = _cpu_of(pid)
    with ThreadPoolExecutor(len(clients)) as pool:
        working = [
            pool.submit(client.work, LOOK_SECONDS * number / len(clients), moments[-1])
            for number, client in enumerate(clients)
        ]
        marks = []
        for moment in moments[1:]:
            time.sleep(max(0.0, moment - time.monotonic()))
            before, used = used, _cpu_of(pid)
            marks.append((_memory_of(pid), (used - before) * PARTS / seconds))
        for one in working:
            one.result()
    for (first, last), (memory, cpu) in zip(itertools.pairwise(moments), marks, strict=True):
        looks = [took for client in clients for at, took in client.looks if first <= at < last]
        scalings = [took for client in clients for at, took in client.scalings if first <= at < last]
        yield Part(len(looks), statistics.median(looks), _p99(looks), len(scalings), _p99(scalings), memory, cpu)


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 99 // 100] if values else 0.0


def _memory_of(pid: int) -> float:
    (found,) = re.findall(r"^VmRSS:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
    return int(found) / 1024


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _missed(base: str, wanted: Mapping[str, int], cloud: SimulatedCloud) -> list[str]:
    left = dict.fromkeys(wanted)
    with connected(base) as call:

        def none_left() -> bool:
            for infra_id in list(left):
                if _is_done(call("GET", f"/infrastructures/{infra_id}")["web"], wanted[infra_id]):
                    del left[infra_id]
            return not left

        with contextlib.suppress(child.ChildError):
            _await(none_left, "what was asked for is done")
    count = len(cloud.inventory())
    surplus = count - sum(wanted.values()) - INSTANCES * len(wanted)
    return [*left, *([f"{surplus:+} instances in the cloud"] if surplus else [])]


def _is_done(web: Mapping[str, Any], count: int) -> bool:
    states = [one["state"] for one in web["instances"].values()]
    return states == ["ready"] * count and not web["scaling"]["pending"]
