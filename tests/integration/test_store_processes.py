"""Several processes on one store, some of which are killed during a change."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.store.database import open_database
from occopus_core.store.listing import list_infrastructures
from occopus_core.store.records import InstanceRecord, Stage
from occopus_core.store.repository import InfrastructureTakenError, Store

from .conftest import LONGEST

pytestmark = pytest.mark.integration

PROCESSES = 8
TRANSITIONS = int(os.environ.get("OCCOPUS_TEST_TRANSITIONS", "2000"))
INFRASTRUCTURES = [f"infra-{number:02}" for number in range(20)]
DESCRIPTION = Infrastructure("infra", (NodeDescription("web", "web"),))
WAY = Implementation({"type": "memory"})


@pytest.fixture
def store(store_url):
    with contextlib.closing(open_database(store_url)) as database:
        yield Store(database)


def add_counter(store, infra_id):
    """Add an infrastructure with an instance whose reason counts its changes."""
    record = InstanceRecord(
        node_id=infra_id, infra_id=infra_id, node_name="web", position=0, token=infra_id, implementation=WAY.digest,
        connection="", fingerprint="", stage=Stage.RESERVED, since=0.0, created_at=0.0, reason="0"
    )  # fmt: skip
    lease = store.add_infrastructure(infra_id, DESCRIPTION, {"web": 1}, "test", 0.0)
    with store.changing(lease) as change:
        change.add_implementations([WAY])
        change.add_instances([record])
    store.release(lease)


class Workers:
    """Processes of `store_worker`, with their output in one pipe."""

    def __init__(self, url):
        self._command = [sys.executable, str(Path(__file__).with_name("store_worker.py")), url, *INFRASTRUCTURES]
        output, self._input = os.pipe()
        self._lines = open(output, encoding="utf-8")  # noqa: PTH123, SIM115  # closed by `close`
        self._running = [self._started() for _ in range(PROCESSES)]
        self.killed = 0
        self._deadline = threading.Timer(LONGEST, self.stop)
        self._deadline.start()

    def _started(self):
        return subprocess.Popen(self._command, stdout=self._input)

    def lines(self):
        """Their output lines, as (word, rest)."""
        for line in self._lines:
            word, _, rest = line.strip().partition(" ")
            assert word != "error", rest
            yield word, rest

    def kill_one(self):
        process = self._running.pop(0)
        process.kill()
        process.wait()
        self.killed += 1

    def replace_one(self):
        self.kill_one()
        self._running.append(self._started())

    @contextlib.contextmanager
    def standing_still(self):
        """Stop all of them: the files on disk are then those that a snapshot would contain."""
        for process in self._running:
            process.send_signal(signal.SIGSTOP)
        for process in self._running:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            for process in self._running:
                process.send_signal(signal.SIGCONT)

    def stop(self):
        """Kill all of them; their remaining output ends."""
        while self._running:
            self.kill_one()
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def close(self):
        self._deadline.cancel()
        self.stop()
        self._lines.close()


def check_copy(url, copy):
    """A copy made during writes is a valid store."""
    files = (url.removeprefix("sqlite:///"), copy)
    with contextlib.ExitStack() as stack:
        source, target = (stack.enter_context(contextlib.closing(sqlite3.connect(file))) for file in files)
        source.backup(target)
    check_store(copy)


def check_snapshot(url, folder, workers):
    """The same for the files as they lie on the disk at any moment, the log of changes among them."""
    folder.mkdir()
    source = Path(url.removeprefix("sqlite:///"))
    with workers.standing_still():
        for file in (source, source.with_name(f"{source.name}-wal")):
            shutil.copy(file, folder / file.name)
    check_store(folder / source.name)


def check_store(file):
    with contextlib.closing(sqlite3.connect(file)) as target:
        assert target.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert target.execute("PRAGMA foreign_key_check").fetchall() == []
    with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
        store = Store(database)
        for infra_id in INFRASTRUCTURES:  # any process may continue it
            lease = store.acquire(infra_id, "another", time.time() + 60)
            assert lease is not None
            (record,) = store.instances(infra_id)
            with store.changing(lease) as change:
                change.put_instances([record])
    assert [one.id for one in list_infrastructures(f"sqlite:///{file}")] == INFRASTRUCTURES


def test_no_change_is_lost_and_no_process_is_refused(store, store_url, tmp_path):
    for infra_id in INFRASTRUCTURES:
        add_counter(store, infra_id)
    committed, copies, began = Counter(), 0, time.monotonic()
    with contextlib.closing(Workers(store_url)) as workers:
        for word, infra_id in workers.lines():
            committed[infra_id] += word == "committed"
            done = committed.total()
            if done >= TRANSITIONS:
                break
            if done >= (workers.killed + 1) * TRANSITIONS / PROCESSES:
                workers.replace_one()
                if store_url.startswith("sqlite"):
                    check_copy(store_url, tmp_path / f"copy-{workers.killed}.db")
                    check_snapshot(store_url, tmp_path / f"snapshot-{workers.killed}", workers)
                    copies += 2
        workers.stop()
        for word, infra_id in workers.lines():
            committed[infra_id] += word == "committed"
    assert committed.total() >= TRANSITIONS
    counted = {infra_id: int(store.instances(infra_id)[0].reason) for infra_id in INFRASTRUCTURES}
    assert all(counted[infra_id] >= committed[infra_id] for infra_id in INFRASTRUCTURES)
    # Each killed process may have committed one change without reporting it.
    assert sum(counted.values()) <= committed.total() + workers.killed
    seconds = time.monotonic() - began
    print(f"{committed.total()} transitions reported, {sum(counted.values())} counted, in {seconds:.0f} s; ", end="")
    print(f"{PROCESSES} processes, {workers.killed} killed meanwhile or at the end, {copies} copies opened")


def test_of_many_who_add_or_take_an_infrastructure_one_does(store_url):
    """Each with connections of its own, as processes have."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(PROCESSES) as pool:
        databases = list(pool.map(open_database, [store_url] * PROCESSES))
        for database in databases:
            stack.callback(database.close)
        assert len({database.installation for database in databases}) == 1
        stores = [Store(database) for database in databases]

        def add(store):
            with contextlib.suppress(InfrastructureTakenError):
                return store.add_infrastructure("i", DESCRIPTION, {}, "test", 0.0)

        def acquire(store, now):
            return store.acquire("i", "test", now)

        (lease,) = filter(None, pool.map(add, stores))
        for turn in range(2, 12):
            before = lease.epoch
            (lease,) = filter(None, pool.map(acquire, stores, [1000.0 * turn] * len(stores)))
            assert lease.epoch == before + 1


def test_those_who_open_a_new_store_at_once_make_one(store_url):
    program = (
        "import sys; from occopus_core.store.database import open_database; input(); "
        "print(open_database(sys.argv[1]).installation)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, store_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=LONGEST) for process in processes}
    assert len(answers) == 1, answers
    assert answers.pop()[1] == ""
