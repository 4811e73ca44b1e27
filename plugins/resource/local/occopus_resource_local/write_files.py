"""The stage `write_files`, a separate short process, and the removal of files written outside the node's folder.

Nothing is isolated: an absolute path is a path of this host. So the paths a node has written outside its own folder are
claimed in ``<root>/<token>/outside``, one JSON text per line (a folder ends with ``/``). A file of the host that no
node has claimed is never touched, and one that several nodes have claimed stays until the last of them is deleted.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLAIMS = "outside"


class RefusedError(Exception):
    """A file that may not be written, with the reason."""


def main() -> int:
    """Write the entries in the JSON list on standard input; return 1, after a line of explanation, on a refusal."""
    work = Path(os.environ["OCCOPUS_NODE_DIR"])
    for entry in json.load(sys.stdin):
        try:
            write(work, entry)
        except (RefusedError, OSError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            print(f"write_files could not write {entry['path']}: {reason}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


def write(work: Path, entry: dict[str, Any]) -> None:
    """Write one file. Raises `RefusedError` and `OSError`."""
    target = Path(os.path.realpath(work / entry["path"]))
    if target.is_relative_to(work):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(target, entry)
        return
    node = work.parent
    with _exclusively(node.parent):
        if target.exists() and str(target) not in {*claims(node), *_claimed_by_others(node)}:
            raise RefusedError("this host already has a file there, which no local node wrote")
        for folder in reversed([parent for parent in target.parents if not parent.exists()]):
            _claim(node, f"{folder}/")
            folder.mkdir()
        _claim(node, str(target))
        put(target, entry)


def put(target: Path, entry: dict[str, Any]) -> None:
    """Write content and permissions. Raises `OSError`."""
    how = os.O_APPEND if entry["append"] else os.O_TRUNC
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
        file.write(base64.b64decode(entry["content"]))
        os.fchmod(file.fileno(), entry["permissions"])


def remove_outside(node: Path) -> None:
    """Remove what only this node wrote outside its folder. Idempotent. Raises `OSError`.

    The caller holds the lock of the root.
    """
    others = _claimed_by_others(node)
    for path in reversed(claims(node)):
        if path.endswith("/"):
            with contextlib.suppress(OSError):  # another process uses the folder
                Path(path).rmdir()
        elif path not in others:
            Path(path).unlink(missing_ok=True)
    (node / CLAIMS).unlink(missing_ok=True)


def claims(node: Path) -> list[str]:
    """The paths the node has claimed, oldest first."""
    try:
        text = (node / CLAIMS).read_text()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]  # a line truncated by a full disk was never acted on
    return [json.loads(line) for line in whole.splitlines()]


def _claim(node: Path, path: str) -> None:
    with (node / CLAIMS).open("a") as file:
        file.write(json.dumps(path) + "\n")


def _claimed_by_others(node: Path) -> set[str]:
    return {path for other in node.parent.glob(f"*/{CLAIMS}") if other.parent != node for path in claims(other.parent)}


@contextlib.contextmanager
def _exclusively(root: Path) -> Iterator[None]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
