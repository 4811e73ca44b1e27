"""Checks of a plugin class that the suites of all kinds of plugins share."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from occopus_core.api import CONTRACT_VERSION

_MODULES_FOR_SCHEMA = """
import functools, importlib, json, sys
functools.reduce(getattr, sys.argv[2].split("."), importlib.import_module(sys.argv[1])).schema()
print(json.dumps(sorted(sys.modules)))
"""
_IMPORT_SECONDS = 600
_GROUPS = tuple(f"occopus.{kind}" for kind in ("resource", "config", "health", "context", "notify"))
_NETWORK = frozenset({"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})
_PROCESSES = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork"})
_FILES = frozenset({"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink"})
_WRITING = 3  # O_WRONLY | O_RDWR


def plugin_class(made: object) -> type:
    """The plugin's class, for an object from a harness.

    A harness may use a subclass of the plugin that counts calls or records arguments: if the subclass states no version
    of the contract and is not installed as a plugin, the plugin is the nearest installed base class.
    """
    own = type(made)
    for cls in own.__mro__:
        if _is_installed(cls):
            return cls
        if "contract_version" in vars(cls):
            break
    return own


def _is_installed(cls: type) -> bool:
    package = cls.__module__.partition(".")[0]
    points = (point for group in _GROUPS for point in entry_points(group=group))
    return any(point.load() is cls for point in points if point.module.partition(".")[0] == package)


def assert_states_version(plugin: type) -> None:
    """Fail unless the class itself states that it is written for this version of the contract."""
    stated = next((cls for cls in plugin.__mro__ if "contract_version" in vars(cls)), None)
    name, add = plugin.__name__, f"add contract_version = {CONTRACT_VERSION} to the class"
    assert stated is not None, f"{name} does not state the version of the contract: {add}"
    assert stated is plugin, f"{name} inherits contract_version from {stated.__name__}: {add}"
    version = vars(plugin)["contract_version"]
    assert version == CONTRACT_VERSION, f"written for version {version}, the suite is of version {CONTRACT_VERSION}"


def assert_describes_properties(schema: Mapping[str, Any]) -> None:
    """Fail unless every property, at any depth, has a description, and every pattern a message about valid values."""
    properties = list(_properties(schema))
    bare = [path for path, value in properties if not value.get("description")]
    assert not bare, f"properties without a description: {', '.join(bare)}"
    mute = [path for path, value in properties if any(map(_is_mute, (value, value.get("items"))))]
    assert not mute, f"a pattern without a patternErrorMessage: {', '.join(mute)}"


def assert_imports_none(plugin: type, modules: Collection[str]) -> None:
    """Fail if reading the schema of the class, in a new process, imports one of these modules, or fails."""
    loaded = subprocess.run(
        [sys.executable, "-c", _MODULES_FOR_SCHEMA, plugin.__module__, plugin.__qualname__],
        check=False,
        capture_output=True,
        text=True,
        timeout=_IMPORT_SECONDS,
    )
    if loaded.returncode:
        error = (loaded.stderr.strip() or f"exit code {loaded.returncode}").splitlines()
        name = f"{plugin.__module__}.{plugin.__qualname__}"
        raise AssertionError("\n".join([f"a new process cannot ask {name} for its schema: {error[-1]}", *error]))
    wrong = set(modules) & set(json.loads(loaded.stdout))
    assert not wrong, f"asking for the schema imported {', '.join(sorted(wrong))}"


def assert_no_io(act: Callable[[], object]) -> None:
    """Fail if the call connects, starts a process or changes a file, in this thread."""
    with _watched() as seen:
        act()
    assert not seen, f"it does I/O: {', '.join(seen)}"


class _Watch(threading.local):
    """The I/O of the current thread while it is watched; otherwise None."""

    seen: list[str] | None = None


_watch = _Watch()
_installing = threading.Lock()
_installed = False


@contextmanager
def _watched() -> Iterator[list[str]]:
    """The I/O of this thread during the block, as names of audit events."""
    global _installed  # noqa: PLW0603 - an audit hook can be installed once and never removed
    with _installing:
        if not _installed:
            sys.addaudithook(_note)
            _installed = True
    _watch.seen = []
    try:
        yield _watch.seen
    finally:
        _watch.seen = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    seen = _watch.seen
    if seen is None:
        return
    if event in _NETWORK or event in _PROCESSES or event in _FILES:
        seen.append(event)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        seen.append(f"open {arguments[0]!r} for writing")


def _is_mute(schema: object) -> bool:
    return isinstance(schema, Mapping) and "pattern" in schema and "patternErrorMessage" not in schema


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property at any depth, with its path."""
    if isinstance(schema, list):
        for item in schema:
            yield from _properties(item, path)
    elif isinstance(schema, Mapping):
        for name, value in schema.get("properties", {}).items():
            yield f"{path}{name}", value
            yield from _properties(value, f"{path}{name}.")
        for keyword in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "if", "then", "else"):
            yield from _properties(schema.get(keyword), path)
