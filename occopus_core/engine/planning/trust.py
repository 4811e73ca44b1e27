"""Restrictions on node definitions from the network: they may reach no machine other than their nodes."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api import scalars
from occopus_core.api.declared import JUMP, guarded_keys
from occopus_core.api.written import items_of
from occopus_core.credentials import Credentials, Section
from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError, Position, Problem
from occopus_core.registry import PluginError, PluginState, Registry
from occopus_core.sound_errors import sound_text
from occopus_core.template_inspection import calls_commands

_DEVIOUS = re.compile(r"\{[{%#]|\.\.|[\\%@\s]")
"""In a source: templates, and ways out of a folder or to another host."""
_MOST_KEYS = 100
"""Keys of one section that are tried for the place of a refusal."""
_TEMPLATE = re.compile(r"\{[{%#]")
_PLACE = re.compile(r"(.*):(\d+):(\d+)")
_ADVICE = "occopus-import this definition on the server"


def refuse_powers(
    definitions: Sequence[NodeDefinition], registry: Registry, endpoints: Collection[str], credentials: Credentials
) -> None:
    """Refuse definitions that only a local user may import. Raises `DescriptionError` with all of them.

    `endpoints` and the entries of the credentials are what the operator allows. Raises `PluginError`.
    """
    allowed = _Allowed(frozenset(map(_normal, endpoints)), credentials)
    problems = [
        Problem(_position(one, at), ".".join(filter(None, (f"node_def:{definition.name}[{index}]", at))), message)
        for definition in definitions
        for index, one in enumerate(definition.implementations)
        for at, message in _faults(one, registry, allowed)
    ]
    if problems:
        raise DescriptionError(problems)


def _position(one: Implementation, at: str) -> Position:
    """Of the key at this path of an implementation; of the request as a whole where it is not known."""
    found = _PLACE.fullmatch(one.place(at, key=True)) if at and one.place is not None else None
    return Position(found[1], int(found[2]), int(found[3])) if found else Position("request")


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What the operator allows definitions from the network to name."""

    endpoints: frozenset[str]
    credentials: Credentials

    def value(self, section: Section, type: str, key: str, value: Any) -> bool:
        """True for a value of a connection key that was named, on the command line or in an entry for the plugin."""
        if isinstance(value, Mapping | list | tuple):
            return False
        named = _normal(scalars.canonical(value))
        return named in self.endpoints or named in map(_normal, self.credentials.values(section, type, key))

    def source(self, source: str) -> bool:
        """True if the source, or a folder that contains it, was named and cannot be rendered to something else."""
        if _DEVIOUS.search(source):
            return False
        named = {*self.endpoints, *map(_normal, self.credentials.endpoints)}
        return any(_normal(source) == each or source.startswith(f"{each}/") for each in named if each)


def _normal(endpoint: str) -> str:
    return endpoint.rstrip("/")


def _faults(one: Implementation, registry: Registry, allowed: _Allowed) -> Iterator[tuple[str, str]]:
    """What is refused: the path within the implementation, empty for all of it, and the message."""
    for at, section in _sections(one).items():
        for text_at in _calling(section, at):
            yield text_at, f"cmd() is not for definitions from the network: {_ADVICE}"
    broken = list(breaches(one, registry))
    if broken:
        yield from broken
        return
    for at, power in _powers(one, registry):
        yield at, f"{sound_text(power)}: {_ADVICE}"
    for at in _jumps(one):
        yield (
            at,
            f"`jump` is refused: the service would log in to its host with the credentials of the server: {_ADVICE}",
        )
    handler = registry.resource(one.resource["type"])
    yield from _strangers("resource", one.resource, handler, allowed)
    if one.config_management is not None:
        manager = registry.config(one.config_management["type"])
        yield from _strangers("config_management", one.config_management, manager, allowed)
    asked = functools.partial(registry.texts, "resource", one.resource["type"], "sources")
    for at, source in _placed("resource", one.resource, asked):
        if not allowed.source(source):
            why = f"start the service with --endpoint, or {_ADVICE}"
            yield at, f"fetching is not allowed from '{_without_secrets(source)}': {why}"


def _sections(one: Implementation) -> dict[str, Any]:
    """By path: its sections and the values for its health checkers."""
    sections = {
        "resource": one.resource,
        "contextualisation": one.contextualisation,
        "config_management": one.config_management,
    }
    checks = {f"health_check.{key}": value for key, value in one.health_check.checks.items()}
    return {**{at: section for at, section in sections.items() if section is not None}, **checks}


def _calling(value: Any, at: str) -> Iterator[str]:
    """The paths of the texts that refer to `cmd`."""
    if isinstance(value, str) and calls_commands(value):
        yield at
    for step, item in items_of(value):
        yield from _calling(item, f"{at}.{step}" if isinstance(value, Mapping) else f"{at}[{step}]")


def breaches(one: Implementation, registry: Registry) -> Iterator[tuple[str, str]]:
    """The path and the message of each plugin whose `powers` or `sources` break its contract."""
    for kind, name, at, value in _plugins(one):
        for method in ("powers", "sources") if kind == "resource" else ("powers",):
            try:
                registry.texts(kind, name, method, value)
            except PluginError as error:
                if error.state is PluginState.BREAKS_CONTRACT:
                    yield _place(at, kind), str(error)


def _plugins(one: Implementation) -> Iterator[tuple[str, str, str, Any]]:
    """The plugins of an implementation: kind, name, and the path and the value of their section or key."""
    yield "resource", one.resource["type"], "resource", one.resource
    if one.contextualisation is not None:
        yield "context", one.contextualisation["type"], "contextualisation", one.contextualisation
    if one.config_management is not None:
        yield "config", one.config_management["type"], "config_management", one.config_management
    for key, value in one.health_check.checks.items():
        yield "health", key, f"health_check.{key}", value


def _place(at: str, kind: str) -> str:
    """The path at which a section names its plugin."""
    return at if kind == "health" else f"{at}.type"


def _powers(one: Implementation, registry: Registry) -> Iterator[tuple[str, str]]:
    """What each plugin of its sections refuses in definitions from the network: path and message."""
    for kind, name, at, value in _plugins(one):
        yield from _placed(at, value, functools.partial(registry.texts, kind, name, "powers"))


def _placed(at: str, value: Any, asked: Callable[[Any], Sequence[str]]) -> Iterator[tuple[str, str]]:
    """What a method of a plugin answers for a value, with the path of the key or item that each answer is about.

    The answers of plugins have no place: an answer is about a key if it is not given without this key, and about an
    item of a list if it is given for this item alone. Otherwise it is about the whole value.
    """
    found = asked(value)
    places: dict[str, str] = {}
    if found and isinstance(value, Mapping):
        for key in list(value)[:_MOST_KEYS]:
            rest = _tried(asked, {other: item for other, item in value.items() if other != key})
            if rest is not None:
                places = {answer: f"{at}.{key}" for answer in found if answer not in rest} | places
    elif found and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            for answer in _tried(asked, [item]) or ():
                places.setdefault(answer, f"{at}[{index}]")
    for answer in found:
        yield places.get(answer, at), answer


def _tried(asked: Callable[[Any], Sequence[str]], value: Any) -> Sequence[str] | None:
    """The answer for a part of a value; None where the plugin fails, as it may without a key that is required."""
    try:
        return asked(value)
    except Exception:  # noqa: BLE001  # it was asked for the whole value before
        return None


def _jumps(one: Implementation) -> Iterator[str]:
    """The paths of the sections that have the key `jump`, or, anywhere within them, a jump host under this key."""
    checks = {f"health_check.{key}": value for key, value in one.health_check.checks.items()}
    for at, section in {"resource": one.resource, "config_management": one.config_management, **checks}.items():
        if isinstance(section, Mapping) and (JUMP in section or _has_jump_host(section)):
            yield f"{at}.{JUMP}" if JUMP in section else at


def _has_jump_host(value: Any) -> bool:
    if isinstance(value, Mapping):
        way = value.get(JUMP)
        return (isinstance(way, Mapping) and "host" in way) or any(map(_has_jump_host, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_jump_host, value))


def _without_secrets(source: str) -> str:
    """A source without user, password, query and fragment, as it is shown."""
    return sound_text(re.split(r"[?#]", re.sub(r"//[^/]*@", "//", source))[0])


def _strangers(kind: Section, section: Mapping[str, Any], plugin: type, allowed: _Allowed) -> Iterator[tuple[str, str]]:
    """Where, or as whom, the section would have this side connect without the operator's leave."""
    for key in sorted(guarded_keys(plugin) & section.keys()):
        value = section[key]
        if _TEMPLATE.search(str(value)):  # whatever is allowed: variables, which clients choose, decide what it becomes
            why = f"a template is never allowed here: write the value itself, or {_ADVICE}"
        elif not allowed.value(kind, section["type"], key, value):
            why = (
                f"start the service with --endpoint {shlex.quote(scalars.canonical(value))}, which allows this value "
                f"in other keys that need leave too, name it in an entry of the credentials file, or {_ADVICE}"
            )
        else:
            continue
        yield f"{kind}.{key}", f"the {key} '{value}' is not allowed: {why}"
