"""Lists the installed plugins: which can be used, why others cannot, and what each provides.

Imports those that are listed. A broken plugin is an entry of its own and does not affect the others.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import invalidate_caches, metadata
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from occopus_core import printable
from occopus_core.api.declared import JUMP, guarded_keys
from occopus_core.error_place import described
from occopus_core.plugin_code import plugin_code
from occopus_core.plugin_import import begun
from occopus_core.registry import (
    WORDS,
    PluginError,
    PluginState,
    clash,
    imported,
    named,
    owner,
    sound_schema,
    unreadable,
    usable,
)

PluginClass: TypeAlias = type
"""The type of a plugin class."""
SLOW_SECONDS = 5.0
"""Seconds after which the import of a plugin goes on beside those of others."""
_LONGEST = 300
"""The longest reason in characters: errors of plugins may have any length."""
_LONGEST_POWER = 2000
"""The most characters that are shown of a power."""
_TEMPLATE = "{{ anything }}"
_LOGS_IN = "the service logs in to this host with its credentials: clients of the REST service may not set it"
_NEEDS_LEAVE = (
    "where, or as whom, this side connects: clients of the REST service need the operator's leave for a value"
)
_SOURCE = (
    "where the provider, or this side, fetches from: clients of the REST service need the operator's leave for another "
    "source than the default"
)


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One plugin, as one distribution provides it."""

    kind: str
    type: str
    distribution: str
    version: str
    contract_version: int | None
    """The version of the contract that it is written for, if it can be imported and declares one."""
    state: PluginState
    reason: str = ""
    """Why it cannot be used, in one line."""
    note: str = ""
    """What its distribution needs and does not have, in one line."""
    plugin: PluginClass | None = field(default=None, repr=False)
    """Its class, if it can be used."""
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The schema of its section, if it can be used."""

    def summary(self) -> dict[str, Any]:
        """The entry of a list, in JSON types."""
        return {
            "kind": self.kind,
            "type": self.type,
            "distribution": self.distribution,
            "version": self.version,
            "contract_version": self.contract_version,
            "state": self.state.value,
            "reason": self.reason,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a plugin's section."""

    name: str
    types: str
    """The types of its values, in words; empty if the schema has none."""
    required: bool
    description: str
    powers: Sequence[str]
    """The powers beyond the node that a value of this key may give its writer, and why others may be refused."""


@dataclass(frozen=True, slots=True)
class Need:
    """A distribution that the plugin's distribution requires, with the version that is installed, if one is."""

    requirement: str
    installed: str | None
    met: bool

    def __str__(self) -> str:
        state = "" if self.met or self.installed is None else ", not met"
        return f"{self.requirement} ({self.installed or 'not installed'}{state})"


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a usable plugin."""

    keys: Sequence[Key]
    powers: Sequence[str]
    """The powers beyond the node that every section of it gives its writer."""
    connection_keys: Sequence[str]
    forms: Sequence[str]
    """The forms of context that it passes on (a handler) or makes (a contextualiser)."""
    features: Sequence[str]


def installed_plugins(
    kind: str | None = None, type: str | None = None, waiting: Callable[[str], None] = lambda _what: None
) -> list[InstalledPlugin]:
    """The installed plugins, or those of a kind or a type, which alone are imported.

    They are sorted by kind and type, those of one name by distribution. An import that takes long goes on beside the
    others; `waiting` is called with its KIND/TYPE.
    """
    kinds = [one for one in WORDS if kind in (None, one)]
    found = [(each, point) for each in kinds for point in _points(each) if type in (None, point.name)]
    providers: dict[tuple[str, str], list[metadata.EntryPoint]] = {}
    for each, point in found:
        providers.setdefault((each, point.name), []).append(point)
    loads: dict[tuple[str, str], Callable[[], object]] = {}
    for (each, name), (point, *others) in providers.items():
        under_way = None if others else begun(each, name, point.load, SLOW_SECONDS)
        loads[each, name] = point.load if under_way is None else under_way.result
        if under_way is not None and under_way.is_alive():
            waiting(f"{each}/{name}")
    return [_examined(each, point, providers[each, point.name], loads[each, point.name]) for each, point in found]


def installed_types() -> list[str]:
    """The types of all installed plugins. Imports none."""
    return sorted({point.name for kind in WORDS for point in _points(kind)})


class PluginList:
    """`installed_plugins`, listed again only when a distribution with plugins was installed, changed or removed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: frozenset[tuple[str, ...]] = frozenset()
        self._listed: Sequence[InstalledPlugin] = ()

    def __call__(self) -> Sequence[InstalledPlugin]:
        """The plugins that are installed now. Takes some milliseconds where nothing has changed. Thread-safe."""
        with self._lock:
            found = metadata.entry_points()
            points = frozenset(
                (kind, point.name, point.value, owner(point), _version(owner(point)) or "")
                for kind in WORDS
                for point in found.select(group=f"occopus.{kind}")
            )
            if points != self._points:
                invalidate_caches()  # the import system lists folders
                self._points, self._listed = points, installed_plugins()
            return self._listed


def usable_schemas(plugins: Collection[InstalledPlugin]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The schemas of the usable plugins, by kind and type."""
    return {
        kind: {one.type: one.schema for one in plugins if one.kind == kind and one.state is PluginState.USABLE}
        for kind in WORDS
    }


def details(one: InstalledPlugin) -> Details:
    """The details of a usable plugin."""
    plugin: Any = one.plugin
    always = _powers(plugin, {})
    defaults = _sources(plugin, {})
    required = one.schema.get("required", ())
    forms: Collection[Any] = getattr(plugin, "context_forms", getattr(plugin, "forms", ()))
    keys = [
        Key(
            name,
            _types(piece),
            name in required,
            piece.get("description", "") if isinstance(piece, Mapping) else "",
            [
                *_guarded(plugin, name),
                *(each for each in _powers(plugin, {name: _anything(piece)}) if each not in always),
                *([_SOURCE] if set(_sources(plugin, {name: _anything(piece)})) - set(defaults) else []),
            ],
        )
        for name, piece in one.schema.get("properties", {}).items()
    ]
    return Details(
        keys,
        always,
        list(getattr(plugin, "connection_keys", ())),
        sorted(form.name.lower() for form in forms),
        sorted(feature.name.lower() for feature in getattr(plugin, "features", ())),
    )


def needs(distribution: str) -> list[Need]:
    """The requirements of a distribution, without extras, and those for other machines."""
    try:
        required = metadata.requires(distribution) or []
    except (metadata.PackageNotFoundError, ValueError):  # it has no name
        return []
    return [need for text in required if (need := _need(text)) is not None]


def _need(text: str) -> Need | None:
    """A requirement as metadata have it; None for one that does not apply here."""
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        return Need(text, None, met=False)
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return None
    installed = _version(wanted.name)
    return Need(text, installed, met=installed is not None and _meets(installed, wanted))


def _meets(installed: str, wanted: Requirement) -> bool:
    """Whether a version meets a requirement. A development or pre-release version counts as its release, too."""
    try:
        release = Version(installed).base_version
    except InvalidVersion:
        return False
    return any(wanted.specifier.contains(each, prereleases=True) for each in (installed, release))


def source(distribution: str) -> str:
    """The folder or the file that a distribution was installed from, as pip takes it; empty where it is not known.

    It begins with ``-e`` where the folder itself is what is imported. One that is gone is not known.
    """
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError, LookupError, TypeError):
        noted = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
        url = urlsplit(noted["url"])
        path = Path(unquote(url.path))
        if url.scheme == "file" and path.exists():
            return f"{'-e ' if noted.get('dir_info', {}).get('editable') else ''}{path}"
    return ""


def one_line(error: BaseException | str) -> str:
    """An error, or another text, as one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _points(kind: str) -> list[metadata.EntryPoint]:
    found = {(point.name, owner(point), point.value): point for point in metadata.entry_points(group=f"occopus.{kind}")}
    return [found[key] for key in sorted(found)]


def _examined(
    kind: str, point: metadata.EntryPoint, providers: Sequence[metadata.EntryPoint], load: Callable[[], object]
) -> InstalledPlugin:
    stated: object = None
    plugin: PluginClass | None = None
    schema: Mapping[str, Any] = {}
    try:
        if len(providers) > 1:
            raise clash(kind, point.name, providers)
        loaded = imported(kind, point, load)
        with plugin_code(lambda error: unreadable(kind, point.name, error)):
            stated = getattr(loaded, "contract_version", None)
        plugin = usable(kind, point.name, loaded)
        schema = sound_schema(kind, named(kind, point.name), plugin)
        state, reason = PluginState.USABLE, ""
    except PluginError as error:
        plugin, state, reason = None, error.state or PluginState.BREAKS_CONTRACT, one_line(error)
    version = point.dist.version if point.dist is not None else ""
    contract = stated if isinstance(stated, int) and not isinstance(stated, bool) else None
    lacking = [str(need) for need in needs(owner(point)) if not need.met]
    note = one_line(f"its distribution needs {', '.join(lacking)}") if lacking else ""
    return InstalledPlugin(kind, point.name, owner(point), version, contract, state, reason, note, plugin, schema)


def _powers(plugin: Any, section: Mapping[str, Any]) -> Sequence[str]:
    """The powers of a section; empty if the plugin fails for an incomplete one."""
    found: Sequence[str] = ()
    with contextlib.suppress(PluginError), plugin_code(lambda error: PluginError(described(error))):
        found = [printable.one_line(str(power), str, _LONGEST_POWER) for power in plugin.powers(copy.deepcopy(section))]
    return found


def _sources(plugin: Any, section: Mapping[str, Any]) -> Sequence[str]:
    """The sources of a section; empty if the plugin fails for it, or is of a kind that has none."""
    found: Sequence[str] = ()
    with contextlib.suppress(PluginError), plugin_code(lambda error: PluginError(described(error))):
        found = [str(source) for source in plugin.sources(copy.deepcopy(section))]
    return found


def _guarded(plugin: PluginClass, key: str) -> Sequence[str]:
    if key == JUMP:
        return [_LOGS_IN]
    return [_NEEDS_LEAVE] if key in guarded_keys(plugin) else []


def _anything(piece: Any) -> Any:
    """A value of the key that could render to anything."""
    is_list = isinstance(piece, Mapping) and piece.get("type") == "array"
    return [_TEMPLATE] if is_list else _TEMPLATE


def _types(piece: Any) -> str:
    if not isinstance(piece, Mapping):
        return ""
    if "enum" in piece:
        return " | ".join(map(str, piece["enum"]))
    declared = piece.get("type", [])
    return " | ".join([declared] if isinstance(declared, str) else declared)
