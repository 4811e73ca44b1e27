"""State on disk: one folder for each infrastructure, with one for each node.

::

    ROOT/INFRASTRUCTURE/lock                held by the worker of the infrastructure during its life
    ROOT/INFRASTRUCTURE/worker.log
    ROOT/INFRASTRUCTURE/nodes/ID/node.json    the owner
    ROOT/INFRASTRUCTURE/nodes/ID/order.json   the current order; absent without one
    ROOT/INFRASTRUCTURE/nodes/ID/work-X.json  the input of the job of order X, until it has ended
    ROOT/INFRASTRUCTURE/nodes/ID/status.json  the progress of an order
    ROOT/INFRASTRUCTURE/jobs/ID/              the files of one run of Ansible, during the run
    ROOT/INFRASTRUCTURE/removed-ID/           a node's folder during its removal

Jobs need credentials and rendered values: every folder and file is readable only by its owner, and the files with
secrets are removed with the job.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import struct
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ORDER, STATUS, NODE = "order.json", "status.json", "node.json"
_FLOCK = struct.Struct("hhqqi4x")


class InfraFolder:
    """The folder of one infrastructure, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes = path / "nodes"
        self.jobs = path / "jobs"
        self.log = path / "worker.log"
        self._lock = path / "lock"

    def node(self, node_id: str) -> NodeFolder:
        """The folder of one node, which need not exist."""
        return NodeFolder(self.nodes / node_id)

    def all_nodes(self) -> list[NodeFolder]:
        """The folders of all nodes. Raises `OSError` if they cannot be read."""
        try:
            return [NodeFolder(path) for path in sorted(self.nodes.iterdir())]
        except FileNotFoundError:
            return []

    def all_jobs(self) -> list[Path]:
        """The folders of all runs. Raises `OSError` if they cannot be read."""
        try:
            return sorted(self.jobs.iterdir())
        except FileNotFoundError:
            return []

    def take_lock(self) -> int | None:
        """Take the lock of the worker: a descriptor that holds it, None if another process does.

        A process that inherits the descriptor holds the lock too. Raises `OSError`.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def is_locked(self) -> bool:
        """Whether a worker lives. Takes no lock, so it blocks no other process. Raises `OSError`."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            wanted = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted))
        finally:
            os.close(descriptor)
        return bool(kind != fcntl.F_UNLCK)

    def remove_if_empty(self) -> None:
        """Remove the folder, unless it has a node, or a worker lives, which removes it at its end. Idempotent.

        Raises `OSError`.
        """
        if not self.all_nodes() and not self.is_locked():
            shutil.rmtree(self.path, ignore_errors=True)


class NodeFolder:
    """The folder of one node, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.node_id = path.name

    def owner(self) -> dict[str, Any] | None:
        """The owner of the node; None if it is not registered."""
        return self._read(NODE)

    def order(self) -> dict[str, Any] | None:
        """The current order; None without one."""
        return self._read(ORDER)

    def work(self, order_id: str) -> dict[str, Any] | None:
        """The input of an order's job; None if the job has ended or the order was replaced."""
        return self._read(_work(order_id))

    def status(self) -> dict[str, Any]:
        """The last status that the worker has written; empty if it has not started."""
        return self._read(STATUS) or {}

    def register(self, owner: Mapping[str, Any]) -> None:
        """Make the folder. Idempotent. Raises `OSError`."""
        for folder in (*reversed(self.path.parents[:3]), self.path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(NODE, owner)

    def write_order(self, order: Mapping[str, Any], work: Mapping[str, Any]) -> None:
        """Replace the order and the input of its job. Raises `OSError`, also if the node is not registered."""
        self._write(_work(order["id"]), work)
        self._write(ORDER, order)
        self._tidy(_work(order["id"]))

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status; does nothing if the node was removed. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError):
            self._write(STATUS, status)

    def finish(self, order_id: str) -> None:
        """Remove the input of an order's job. Idempotent. Raises `OSError`."""
        (self.path / _work(order_id)).unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Remove the order: its job has to end. Idempotent. Raises `OSError`."""
        (self.path / ORDER).unlink(missing_ok=True)
        self._tidy("")

    def remove(self) -> None:
        """Remove the folder. Idempotent. Raises `OSError`."""
        self.withdraw()
        (self.path / NODE).unlink(missing_ok=True)
        removed = self.path.parents[1] / f"removed-{self.node_id}"  # writers no longer find the folder under this name
        shutil.rmtree(removed, ignore_errors=True)  # left by a killed removal
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)

    def _tidy(self, kept: str) -> None:
        for file in self.path.glob(_work("*")):
            if file.name != kept:
                file.unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return None
        return found

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_private(self.path / name, json.dumps(content))


def _work(order_id: str) -> str:
    return f"work-{order_id}.json"


def write_private(file: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner. Raises `OSError`."""
    draft = file.with_name(f".{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(text)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def infra_folders(root: Path) -> Iterator[InfraFolder]:
    """The folders of all infrastructures below a root. Raises `OSError` if it cannot be read."""
    try:
        found = sorted(root.iterdir())
    except FileNotFoundError:
        return
    yield from (InfraFolder(path) for path in found if path.is_dir())
