"""A small image without a registry: `busybox` in a tar."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
"""Statically linked: Debian's package `busybox-static`."""
_FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "tmp")
_PROGRAMS = ("cat", "echo", "env", "false", "httpd", "mkdir", "ping", "sh", "sleep", "true", "wget")


def root_file_system(files: Mapping[str, str] | None = None) -> bytes:
    """A tar of a root file system with the programs of busybox and these executable files, by path."""
    return _tar(tuple((files or {}).items()))


@functools.cache
def _tar(files: tuple[tuple[str, str], ...]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for folder in _FOLDERS:
            tar.addfile(_entry(folder, tarfile.DIRTYPE))
        tar.add(BUSYBOX.resolve(), "bin/busybox", filter=_by_root)
        for program in _PROGRAMS:
            tar.addfile(_entry(f"bin/{program}", tarfile.SYMTYPE, "busybox"))
        for path, text in files:
            entry = _entry(path, tarfile.REGTYPE)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return written.getvalue()


def _entry(path: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname, entry.mode = kind, target, 0o755
    return entry


def _by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make the tar reproducible: owner root, no times."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
