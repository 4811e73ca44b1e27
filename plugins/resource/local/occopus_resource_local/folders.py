"""State on disk: one folder per node, ``<root>/<token>/``.

====================  ==================================================================================
``occopus.lock``      held during a step of a creation or deletion; marks the folder as a node's
``node.json``         owner, token, address: written before anything is started
``supervisor``        process id and start of the supervisor, locked by it during its life
``stages/``, ``log/`` the scripts it runs and their output
``exits``             their exit statuses
``outside``           the files the node has written elsewhere
``deleting``          deletion has begun
``work/``             working directory of the node's commands
====================  ==================================================================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from occopus_core.api import Owner, PermanentError
from occopus_resource_local import supervisor
from occopus_resource_local.locks import try_lock

_TOKEN = re.compile(r"(?!addresses$)[a-z][a-z0-9-]{0,62}")


@functools.cache
def boot_id() -> str:
    """Identifies the current boot of this host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Record:
    """The content of ``node.json``."""

    token: str
    owner: Owner
    address: str
    boot_id: str = dataclasses.field(default_factory=boot_id)


class NodeFolder:
    """The folder of one node. The node's token is also its instance id. Methods let `OSError` through."""

    def __init__(self, root: Path, token: str) -> None:
        self.token = token
        self.path = root / token
        self.work = self.path / "work"
        self.log = self.path / "log"
        self.stages = self.path / "stages"
        self._lock = self.path / "occopus.lock"
        self._deleting = self.path / "deleting"

    @classmethod
    def all(cls, root: Path) -> Iterator[NodeFolder]:
        """Every node below `root`. An empty folder, left by a creation that never started, is removed."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(root.iterdir()):
                folder = cls(root, path.name)
                if _TOKEN.fullmatch(path.name) and path.is_dir():
                    with contextlib.suppress(OSError):
                        path.rmdir()
                    if folder.exists():
                        yield folder

    def exists(self) -> bool:
        """True if this is a node's folder; folders of users are left alone."""
        return _TOKEN.fullmatch(self.token) is not None and (self._lock.exists() or self._deleting.exists())

    def make(self) -> None:
        """Make the empty folder. Idempotent. Raises `PermanentError` for a token that is no valid folder name."""
        if not _TOKEN.fullmatch(self.token):
            raise PermanentError(f"{self.token!r} cannot name a node: use a-z, 0-9 and -, starting with a letter")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> contextlib.AbstractContextManager[bool]:
        """Lock the node for one step; False if another caller has locked it, or the folder is gone. Never waits."""
        return try_lock(self._lock, os.O_RDWR | os.O_CREAT)

    def record(self) -> Record | None:
        """The node's record, None if it is not written yet. Raises `PermanentError` if it cannot be read."""
        text = _read(self.path / "node.json")
        if text is None:
            return None
        try:
            fields = json.loads(text)
            fields.pop("stop_seconds", None)  # from an older version, which stored it here
            return Record(**{**fields, "owner": Owner(**fields["owner"])})
        except (ValueError, TypeError, KeyError) as exc:
            raise PermanentError(f"{self.path / 'node.json'} is damaged; delete the node {self.token}") from exc

    def write_record(self, record: Record) -> None:
        """Write the node's record atomically, so that it survives a crash of this host."""
        temporary = self.path / "node.json.new"
        with _private(temporary, os.O_TRUNC) as file:
            json.dump(dataclasses.asdict(record), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.path / "node.json")
        _sync(self.path)
        _sync(self.path.parent)

    def write_stages(self, scripts: dict[str, str]) -> None:
        """Write the stages for the supervisor, by name. Idempotent."""
        for folder in (self.work, self.log, self.stages):
            folder.mkdir(mode=0o700, exist_ok=True)
        for stage, script in scripts.items():
            with _private(self.stages / f"{stage}.sh", os.O_TRUNC) as file:
                file.write(script)

    def supervisor(self) -> tuple[int, int] | None:
        """Process id and start (in clock ticks since boot) of the node's supervisor, None if not recorded yet."""
        text = _read(self.path / "supervisor")
        if not text or not text.endswith("\n"):
            return None
        pid, ticks = text.split()
        return int(pid), int(ticks)

    def living_supervisor(self) -> int | None:
        """Process id of the supervisor, None if it is not running (any more, or yet)."""
        recorded = self.supervisor()
        return recorded[0] if recorded and supervisor.start_ticks(recorded[0]) == recorded[1] else None

    def exits(self) -> dict[str, int]:
        """Exit status of every stage that has ended; minus the number of the signal that ended it."""
        text = _read(self.path / "exits") or ""
        whole = text[: text.rfind("\n") + 1]  # a full disk may have truncated the last line
        return {stage: int(status) for stage, status in map(str.split, whole.splitlines())}

    def command_of(self, stage: str) -> str:
        """The last command that a stage began, by its place in the cloud-config and its program: `runcmd[0] (make …)`.

        The name of the stage if its script does not record commands. Arguments are left out: they may contain secrets.
        """
        number, _, program = (_read(self.stages / f"{stage}.sh.at") or "").strip().partition(" ")
        return f"{stage}[{number}]" + (f" ({program} …)" if program else "") if number.isdigit() else stage

    def is_deleting(self) -> bool:
        """Whether deletion has begun."""
        return self._deleting.exists()

    def mark_deleting(self) -> None:
        """Begin deletion. Idempotent. No supervisor starts after this."""
        with contextlib.suppress(FileExistsError, FileNotFoundError), _private(self._deleting, os.O_EXCL):
            pass

    def remove(self) -> None:
        """Remove the folder, its record last, so that it can be found until then. Idempotent."""
        last = [self.path / "node.json", self._lock, self._deleting]
        _open_up(self.path)
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry not in last:
                entry.unlink()
        for entry in last:
            entry.unlink(missing_ok=True)
        self.path.rmdir()


def _open_up(folder: Path) -> None:
    """Make the content writable for the owner: some programs write-protect their folders."""
    folder.chmod(0o700)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _open_up(Path(entry))


def _private(path: Path, flags: int) -> TextIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "w")


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
