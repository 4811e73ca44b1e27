"""Translates a node's context into the stages that its supervisor runs: shell scripts, by name and in order.

It supports `bootcmd`, `write_files` and `runcmd` of cloud-config, and refuses other keys by name: with a silently
ignored key a node would look ready without being so.
"""

from __future__ import annotations

import base64
import binascii
import collections
import getpass
import grp
import itertools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import yaml

from occopus_core.api import Context, PermanentError, did_you_mean
from occopus_resource_local import write_files

T = TypeVar("T")

HEADER = "#cloud-config"
_KEYS = ("bootcmd", "write_files", "runcmd")
_FILE_KEYS = ("path", "content", "permissions", "encoding", "append", "owner")
_PLAIN = frozenset({"text/plain", ""})
_BASE64 = frozenset({"b64", "base64"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROGRAM = re.compile(r"[A-Za-z0-9_./+-]{1,64}")
_DEFAULT_PERMISSIONS = 0o644
_PAIRS = (("if", "fi"), ("case", "esac"), ("do", "done"), ("{", "}"))
"""Shell words that begin and end constructs of several lines."""
_OWNER = re.compile(r"[^\s:]+(:[^\s:]+)?")
_MARK = """_occopus_at() { _occopus_status=$?; echo "$*" 2>/dev/null >"$0.at"; return $_occopus_status; }"""
"""Records the next command without changing `$?`. In an `&&` list it never ends a script that stops at errors."""


def program(context: Context) -> dict[str, str]:
    """The stages for a context, run by the user of this process.

    Raises `PermanentError` naming everything that this handler does not support, including what this user may not do.
    """
    if context.user_data is None:
        return _command(context)
    config = _parse(context.user_data)
    faults = [
        _refusal(
            key,
            f"a local node cannot do {key!r} of cloud-config, only {_listed(_KEYS)}"
            + (
                did_you_mean(str(key), _KEYS)
                or ": it is a process of this host, so do it by a command, or use another resource type"
            ),
        )
        for key in config
        if key not in _KEYS
    ]
    stages = {
        "bootcmd": _script("bootcmd", config.get("bootcmd"), faults),
        "write_files": _files(config.get("write_files"), faults),
        "runcmd": _script("runcmd", config.get("runcmd"), faults),
    }
    if faults:
        first, *others = faults
        raise PermanentError(first.message, at=first.at, more=others)
    _refuse_other_owners(config.get("write_files") or ())
    return {name: script for name, script in stages.items() if script}


def _refusal(at: str, message: str, *, here: bool = False) -> PermanentError:
    """The error for a path of the cloud-config; with `here`, one that holds for the user of this process only."""
    return PermanentError(message, at=f"contextualisation.context_template.{at}".removesuffix("."), here=here)


def _command(context: Context) -> dict[str, str]:
    """The only stage `command`; none without a command: the node is then an address and a folder."""
    exports = [_export(entry) for entry in context.env]
    words = context.words()
    return {"command": "\n".join([*exports, f"exec {shlex.join(words)}", ""])} if words else {}


def _export(entry: str) -> str:
    name, equals, value = entry.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise PermanentError(
            f"contextualisation.env cannot set {name!r}: write NAME=value, the name of letters, digits and _",
            at="contextualisation.env",
        )
    return f"export {name}={shlex.quote(value)}"


def _parse(user_data: str) -> Mapping[str, Any]:
    if user_data.split("\n", 1)[0].strip() != HEADER:
        raise _refusal("", f"a local node takes cloud-config only: the first line of the user data must be {HEADER}")
    try:
        config = yaml.safe_load(user_data)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PermanentError(f"the cloud-config is not valid YAML{where}") from None  # the text may contain secrets
    except yaml.YAMLError:
        raise PermanentError("the cloud-config is not valid YAML: it holds a character YAML does not allow") from None
    if not isinstance(config or {}, dict):
        raise _refusal("", "the cloud-config must be a mapping with the keys " + _listed(_KEYS))
    return config or {}


def _script(key: str, commands: Any, faults: list[PermanentError]) -> str:
    """One script of all commands, so that each sees the folder and variables that earlier ones set."""
    lines = _each(key, commands, _line, faults)
    if lines and all(map(_is_whole, lines)):
        marks = [f"_occopus_at {number} {_program(line)} && :" for number, line in enumerate(lines)]
        lines = [_MARK, *itertools.chain.from_iterable(zip(marks, lines, strict=True))]
    return "\n".join([*lines, ""]) if lines else ""


def _is_whole(line: str) -> bool:
    """Whether the shell certainly reads this text as complete commands, so that another one can precede the next."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an unclosed quote
        return False
    counts = collections.Counter(words)
    operators = [word for word in words if set(word) <= {*lexer.punctuation_chars}]
    parentheses = collections.Counter(itertools.chain.from_iterable(operators))
    return (
        "<<" not in line
        and not line.rstrip().endswith(("\\", "|", "&&"))
        and all(counts[begin] == counts[end] for begin, end in _PAIRS)
        and parentheses["("] == parentheses[")"]
    )


def _program(line: str) -> str:
    """The first word of a line if it is the name of a program, else empty."""
    first = line.split(maxsplit=1)[:1]
    return first[0] if first and _PROGRAM.fullmatch(first[0]) else ""


def _line(at: str, command: Any) -> str:
    if isinstance(command, str):
        return command
    if isinstance(command, list) and command and all(isinstance(word, str | int | float) for word in command):
        return shlex.join(map(str, command))
    raise _refusal(at, f"{at} of the cloud-config must be a text (a line of shell) or a list of words; quote it")


def _files(entries: Any, faults: list[PermanentError]) -> str:
    files = _each("write_files", entries, _file, faults)
    if not files:
        return ""
    words = [sys.executable, "-I", "-S", write_files.__file__]
    # JSON is one line that starts with a bracket, so no content can end the here-document.
    return f"exec {shlex.join(words)} <<'END'\n{json.dumps(files)}\nEND\n"


def _file(at: str, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _refusal(at, f"{at} of the cloud-config must be a mapping with a `path`")
    for key in entry:
        if key not in _FILE_KEYS:
            raise _refusal(f"{at}.{key}", f"a local node cannot do {key!r} of {at}, only {_listed(_FILE_KEYS)}")
    path = entry.get("path")
    if not isinstance(path, str) or not path.strip("/") or "\0" in path:
        raise _refusal(at, f"{at} of the cloud-config needs a `path`: the name of a file, as text")
    owner = entry.get("owner")
    if owner is not None and not (isinstance(owner, str) and _OWNER.fullmatch(owner)):
        raise _refusal(f"{at}.owner", f"`owner` of {at} must be a text: USER or USER:GROUP")
    return {
        "path": path,
        "content": _content(at, entry),
        "permissions": _permissions(at, entry.get("permissions")),
        "append": bool(entry.get("append", False)),
    }


def _content(at: str, entry: Mapping[str, Any]) -> str:
    """The content, in base64."""
    content, encoding = entry.get("content", ""), entry.get("encoding", "text/plain")
    if not isinstance(content, str):
        raise _refusal(f"{at}.content", f"`content` of {at} must be a text; quote it")
    if encoding in _PLAIN:
        return base64.b64encode(content.encode()).decode()
    if encoding not in _BASE64:
        message = f"a local node cannot do this `encoding` of {at}, only text/plain, b64 and base64"
        raise _refusal(f"{at}.encoding", message)
    try:
        return base64.b64encode(base64.b64decode("".join(content.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise PermanentError(f"`content` of {at} is not valid base64, as its `encoding` says") from None


def _permissions(at: str, value: Any) -> int:
    """The mode. YAML has already turned an unquoted 0644 into the intended number."""
    try:
        mode = _DEFAULT_PERMISSIONS if value is None else value if isinstance(value, int) else int(value, 8)
    except (TypeError, ValueError):
        mode = -1
    if not 0 <= mode <= 0o7777:  # noqa: PLR2004
        raise _refusal(f"{at}.permissions", f"`permissions` of {at} must be an octal text such as '0644'")
    return mode


def _refuse_other_owners(entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse other owners: a node runs as the user who runs Occopus, without the right to change owners."""
    owners = {f"write_files[{number}]": entry["owner"] for number, entry in enumerate(entries) if entry.get("owner")}
    if not owners:
        return
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    for at, owner in owners.items():
        if owner not in (user, f"{user}:{group}"):
            message = f"a local node cannot do this `owner` of {at}: its files belong to {user}:{group}"
            raise _refusal(f"{at}.owner", message, here=True)


def _each(key: str, values: Any, make: Callable[[str, Any], T], faults: list[PermanentError]) -> list[T]:
    """Convert each value of a list; errors are appended to `faults`."""
    if not isinstance(values, list | None):
        faults.append(_refusal(key, f"`{key}` of the cloud-config must be a list"))
        return []
    made: list[T] = []
    for number, value in enumerate(values or ()):
        try:
            made.append(make(f"{key}[{number}]", value))
        except PermanentError as fault:
            faults.append(fault)
    return made


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
