"""The folders in which configuration and credentials are searched if no option and no variable names a file."""

from __future__ import annotations

import os
import stat

FOLDER = "~/.occopus"
_SHARED = ("./", "/etc/occopus/")
"""Searched after the home folder. Other users may have put a file there, so its owner and permissions are checked."""
_OTHERS_WRITE = stat.S_IWOTH


def find(name: str, option: str) -> str | None:
    """The first file of this name in the home folder, `./` or `/etc/occopus/`; None if there is none.

    `option` is the command-line option that names such a file, for the message. Raises `DescriptionError` for a file
    that other users may change.
    """
    path = os.path.expanduser(f"{FOLDER}/{name}")  # noqa: PTH111 - pathlib costs a millisecond of every start
    if os.path.exists(path):  # noqa: PTH110
        return path
    for folder in _SHARED:
        path = f"{folder}{name}"
        if os.path.exists(path):  # noqa: PTH110
            _refuse_foreign(path, folder, option)
            return path
    return None


def _refuse_foreign(path: str, folder: str, option: str) -> None:
    """Raise `DescriptionError` for a file that other users may change or replace."""
    reason = _fault(path) or _fault(folder)
    if not reason:
        return
    from occopus_core.descriptions.problems import DescriptionError, Position, Problem  # noqa: PLC0415

    message = f"this file is not used: {reason}; to use it all the same: {option} {path}"
    raise DescriptionError([Problem(Position(path), "", message)])


def _fault(path: str) -> str:
    """Why other users control a file or folder; empty if they do not."""
    status = os.stat(path)  # noqa: PTH116
    what = f"the folder {path}" if stat.S_ISDIR(status.st_mode) else "it"
    if status.st_uid not in {0, os.geteuid()}:
        return f"{what} belongs to another user"
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return ""  # in a folder such as /tmp only the owner of a file can replace it
    if status.st_mode & _OTHERS_WRITE:
        return f"others may write {what} (chmod o-w)"
    if status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid):
        return f"its group may write {what} (chmod g-w)"
    return ""


def _is_own_group(gid: int) -> bool:
    """True for root's group and for the private group that many systems give each user."""
    import grp  # noqa: PLC0415  # only for files that a group may write
    import pwd  # noqa: PLC0415

    if gid == 0:
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
