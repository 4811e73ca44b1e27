"""The installed plugins, loaded by name with stevedore. Plugins are imported only on demand."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib import invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

from jsonschema.protocols import Validator

from occopus_core.api.config import ConfigManager, SectionFault
from occopus_core.api.context import Context, ContextForm, Contextualiser, Render
from occopus_core.api.declared import (
    asked_methods,
    fault_of_answer,
    fault_of_context,
    fault_of_declarations,
    fault_of_method,
)
from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.api.health import HealthChecker
from occopus_core.api.notify import Notifier
from occopus_core.api.resource import InstanceId, ResourceHandler
from occopus_core.api.schema import load_schema
from occopus_core.api.signatures import fault_of_signatures
from occopus_core.api.spelling import did_you_mean
from occopus_core.api.version import CONTRACT_VERSION
from occopus_core.descriptions.coercion import coerced, leaves
from occopus_core.descriptions.schema import CORE_KEYS, is_template, section_schema, validator
from occopus_core.descriptions.soundness import fault_of_schema
from occopus_core.error_place import TO_ITS_AUTHOR, breach_text, described, import_failure, log_traceback, place_of
from occopus_core.named_secrets import hiding
from occopus_core.plugin_code import plugin_code
from occopus_core.plugin_import import ImportHangsError, listed, within_limit
from occopus_core.sound_errors import sound, sound_text

T = TypeVar("T")

_BASES: Mapping[str, type] = {
    "resource": ResourceHandler,
    "config": ConfigManager,
    "health": HealthChecker,
    "context": Contextualiser,
    "notify": Notifier,
}
WORDS = {
    "resource": "resource handler",
    "config": "configuration manager",
    "health": "health checker",
    "context": "contextualisation",
    "notify": "notifier",
}
"""The name of each kind of plugin in messages."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONTEXT = "contextualisation"
"""The section of a contextualiser in a node definition."""


class PluginState(enum.Enum):
    """The state of an installed plugin."""

    USABLE = "usable"
    IMPORT_ERROR = "import error"
    OTHER_CONTRACT = "other contract"
    CLASH = "clash"
    BREAKS_CONTRACT = "breaks its contract"
    MALFORMED_SCHEMA = "malformed schema"


class PluginError(LookupError):
    """A plugin is missing, provided twice, cannot be imported, has another contract version, or breaks the contract.

    `state` is that of the plugin; None for one that is not installed.
    """

    def __init__(self, message: str, state: PluginState | None = None) -> None:
        super().__init__(message)
        self.state = state


class Registry:
    """Finds plugins by kind and name. `extra` adds plugins that are not installed, for tests and embedding."""

    def __init__(self, extra: Mapping[tuple[str, str], type] | None = None) -> None:
        self._extra = dict(extra or {})
        self._loaded: dict[tuple[str, str], type] = {}
        self._schemas: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._validators: dict[tuple[str, str], Validator] = {}
        self._templated: dict[tuple[str, str, str], bool] = {}

    def resource(self, name: str) -> type[ResourceHandler]:
        """The resource handler of a type. Raises `PluginError`."""
        return cast("type[ResourceHandler]", self._load("resource", name))

    def config(self, name: str) -> type[ConfigManager]:
        """The configuration manager of a type. Raises `PluginError`."""
        return cast("type[ConfigManager]", self._load("config", name))

    def health(self, name: str) -> type[HealthChecker]:
        """The checker for a key of `health_check`. Raises `PluginError`."""
        return cast("type[HealthChecker]", self._load("health", name))

    def context(self, name: str) -> type[Contextualiser]:
        """The contextualiser of a type. Raises `PluginError`."""
        return cast("type[Contextualiser]", self._load("context", name))

    def notify(self, name: str) -> type[Notifier]:
        """The notifier of a type. Raises `PluginError`."""
        return cast("type[Notifier]", self._load("notify", name))

    def schema(self, kind: str, name: str) -> Mapping[str, Any]:
        """The JSON Schema of a plugin's section, with the core's keys for its features. Raises `PluginError`."""
        if (kind, name) not in self._schemas:
            self._schemas[kind, name] = sound_schema(kind, self.named(kind, name), self._load(kind, name))
        return self._schemas[kind, name]

    def section_faults(self, section: Mapping[str, Any]) -> Sequence[SectionFault]:
        """What the configuration manager of a section finds wrong with it. May take seconds. Raises `PluginError`."""
        name = str(section["type"])
        plugin = self.config(name)
        with self._calling("config", name, "faults"):
            answer: Any = plugin.faults(copy.deepcopy(section))
            found = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, str | bytes) else [answer]
        wrong = [type(each).__name__ for each in found if not isinstance(each, SectionFault)]
        if wrong:
            fault = f"faults() answered {wrong[0]}, expected a sequence of SectionFault{place_of(plugin.faults)}"
            raise self._breach("config", name, fault)
        unknown = [each.key for each in found if each.key not in section]
        if unknown:
            fault = f"faults() answered a fault of {unknown[0]!r}, which is not in the section"
            raise self._breach("config", name, f"{fault}{place_of(plugin.faults)}")
        redact = hiding(section)
        return [dataclasses.replace(each, message=sound_text(each.message, redact)) for each in found]

    def texts(self, kind: str, name: str, method: str, section: Any) -> Sequence[str]:
        """What a class method of a plugin, such as `powers`, answers for a section. Raises `PluginError`."""
        plugin: Any = self._load(kind, name)
        with self._calling(kind, name, method):
            answer: Any = getattr(plugin, method)(copy.deepcopy(section))
            found = list(answer) if isinstance(answer, Iterator) else answer
            fault = fault_of_answer(method, found)
        if fault:
            raise self._breach(kind, name, f"{fault}{place_of(getattr(plugin, method))}")
        return list(found)

    def auth_fault(self, name: str, auth: Mapping[str, str]) -> str:
        """Why a resource handler cannot use these credentials; empty if it may. Raises `PluginError`."""
        plugin = self.resource(name)
        with self._calling("resource", name, "auth_fault"):
            answer = plugin.auth_fault(dict(auth))
        if fault := fault_of_answer("auth_fault", answer):
            raise self._breach("resource", name, f"{fault}{place_of(plugin.auth_fault)}")
        return sound_text(answer, hiding(auth))

    def way_in(self, name: str, settings: Mapping[str, Any], id: InstanceId) -> str:
        """A command by which people enter an instance without SSH; empty if there is none. Raises `PluginError`."""
        plugin = self.resource(name)
        with self._calling("resource", name, "way_in"):
            command: object = plugin.way_in(copy.deepcopy(settings), id)
        if not isinstance(command, str):
            fault = f"way_in() answered {type(command).__name__}, expected a text{place_of(plugin.way_in)}"
            raise self._breach("resource", name, fault)
        return sound_text(command)

    def contextualised(self, section: Mapping[str, Any], render: Render) -> Context:
        """The context that the contextualiser of a section makes.

        Raises `PluginError`, the errors of `render`, and `PermanentError`, also where the plugin breaks its contract.
        Each `PermanentError` that names no place in the node definition is placed at the section.
        """
        name = str(section["type"])
        plugin = self.context(name)
        who = self.named("context", name)

        def unexpected(error: BaseException) -> BaseException:
            if isinstance(error, Exception) and type(error).__module__.startswith("occopus_core."):
                return error
            return PermanentError(breach_text(who, f"contextualise() raised {described(error)}"), at=_CONTEXT)

        with plugin_code(unexpected):
            try:
                made: object = plugin().contextualise(copy.deepcopy(section), render)
            except ProviderError as error:
                redact = hiding(section)
                refusal = sound(error, redact, lambda how: breach_text(who, f"contextualise() raised {how}"))
                if isinstance(refusal, PermanentError):
                    for each in (refusal, *refusal.more):
                        each.at = each.at or _CONTEXT
                raise refusal from None
        fault = fault_of_context(made, plugin.forms)
        if isinstance(made, Context) and not fault:
            return made
        raise PermanentError(breach_text(who, f"{fault}{place_of(plugin.contextualise)}"), at=_CONTEXT)

    def typed(self, kind: str, name: str, rendered: T, source: Mapping[str, Any], digest: str) -> T:
        """A rendered section with its scalars converted to the types of the plugin's schema; changed in place.

        `source` is the section before it was rendered; `digest` identifies it. A value that cannot be converted stays
        as it is, for the plugin to refuse. Raises `PluginError`.
        """
        if (kind, name) not in self._validators:
            self._validators[kind, name] = validator(self.schema(kind, name))
        using, key = self._validators[kind, name], (kind, name, digest)
        if key not in self._templated:
            errors = (each for error in using.iter_errors(source) for each in leaves(error))
            self._templated[key] = any(is_template(each.instance) for each in errors)
        if self._templated[key]:
            coerced(rendered, using)
        return rendered

    def undeliverable(self, resource_type: str, context_type: str) -> Collection[ContextForm]:
        """The forms of context that the contextualiser makes but the handler does not pass on. Raises `PluginError`."""
        return self.context(context_type).forms - self.resource(resource_type).context_forms

    def named(self, kind: str, name: str, label: str = "") -> str:
        """A plugin in messages: its kind, its type or `label`, and its distribution, if it has one."""
        if (kind, name) in self._extra:
            return f"the {WORDS[kind]} '{label or name}'"
        return named(kind, name, label)

    def _breach(self, kind: str, name: str, fault: str) -> PluginError:
        return PluginError(breach_text(self.named(kind, name), fault), PluginState.BREAKS_CONTRACT)

    def _calling(self, kind: str, name: str, method: str) -> contextlib.AbstractContextManager[None]:
        """Whatever a class method of a plugin raises within is a `PluginError`."""
        return plugin_code(lambda error: self._breach(kind, name, f"{method}() raised {described(error)}"))

    def installed(self, kind: str) -> list[str]:
        """The names of all plugins of a kind, without importing them."""
        known = {name for known_kind, name in {**self._extra, **self._loaded} if known_kind == kind}
        return sorted(known | entry_points(group=f"occopus.{kind}").names)

    def _load(self, kind: str, name: str) -> type:
        if (kind, name) not in self._loaded:
            plugin = self._extra.get((kind, name))
            if plugin is None:
                plugin = self._import(kind, name)
            elif fault := fault_of_class(plugin):
                raise self._breach(kind, name, fault)
            self._loaded[kind, name] = plugin
        return self._loaded[kind, name]

    def _import(self, kind: str, name: str) -> type:
        with plugin_code(lambda error: self._import_error(kind, name, error)):
            found = within_limit(kind, name, lambda: listed(kind, name))
        return usable(kind, name, found[0] if len(found) == 1 else self._changed_since(kind, name))

    def _import_error(self, kind: str, name: str, error: BaseException) -> PluginError:
        points = [*entry_points(group=f"occopus.{kind}", name=name)]  # none if it was uninstalled meanwhile
        return import_error(kind, points[0], error) if points else PluginError(self._advice(kind, name))

    def _changed_since(self, kind: str, name: str) -> object:
        """The plugin, where stevedore's list, made when the process began, has none or several of this name.

        Packages are installed and removed while a service runs. Raises `PluginError` where none or several have it now.
        """
        invalidate_caches()  # the import system lists folders, too
        points = {(point.value, owner(point)): point for point in entry_points(group=f"occopus.{kind}", name=name)}
        if not points:
            raise PluginError(self._advice(kind, name))
        if len(points) > 1:
            raise clash(kind, name, list(points.values()))
        (point,) = points.values()
        try:
            return imported(kind, point)
        except PluginError as error:
            missing = error.__cause__
            if not isinstance(missing, ModuleNotFoundError) or missing.name != _package(point):
                raise
            why = "this process cannot find it, since it was installed after the start: start the process again"
            raise import_error(kind, point, missing, why) from missing

    def _advice(self, kind: str, name: str) -> str:
        folders = _published().get(kind, {})
        if name in folders:
            return f"no {WORDS[kind]} '{name}' is installed: pip install ./{folders[name]} in a checkout of Occopus"
        installed = self.installed(kind)
        others = sorted(folders.keys() - installed)
        lists = {"installed are": installed, "known and not installed": others}
        listed = "".join(f"; {which}: {', '.join(names)}" for which, names in lists.items() if names)
        close = did_you_mean(name, installed).removeprefix(": ")
        hint = f" ({close})" if close else ""
        return f"there is no {WORDS[kind]} '{name}'{hint}{listed}"


def _published() -> Mapping[str, Mapping[str, str]]:
    """The folder in the project's repository of each published plugin, by kind and type."""
    found: Mapping[str, Mapping[str, str]] = load_schema("occopus_core", "published.json")
    return found


def named(kind: str, name: str, label: str = "") -> str:
    """An installed plugin in messages: its kind, its type or `label`, and its distribution."""
    points = entry_points(group=f"occopus.{kind}", name=name)
    by = next((f" of {point.dist.name}" for point in points if point.dist is not None), "")
    return f"the {WORDS[kind]} '{label or name}'{by}"


def imported(kind: str, point: EntryPoint, load: Callable[[], object] | None = None) -> object:
    """What the entry point of a plugin names; `load` gives that of an import already begun. Raises `PluginError`."""
    with plugin_code(lambda error: import_error(kind, point, error)):
        loaded: object = within_limit(kind, point.name, load or point.load)
        return loaded


def unreadable(kind: str, name: str, error: BaseException) -> PluginError:
    """The error for a plugin that raises an exception when its attributes are read."""
    fault = f"reading its class attributes raised {described(error)}"
    return PluginError(breach_text(named(kind, name), fault), PluginState.BREAKS_CONTRACT)


def usable(kind: str, name: str, plugin: object) -> type:
    """The plugin, if it is a class of its kind for this version of the contract. Raises `PluginError`."""
    with plugin_code(lambda error: unreadable(kind, name, error)):
        error = _error_of(kind, name, named(kind, name), plugin)
    if error is not None:
        raise error
    return cast("type", plugin)


def _error_of(kind: str, name: str, who: str, plugin: object) -> PluginError | None:
    if not _NAME.fullmatch(name):
        fault = "the name of its entry point is its type in descriptions: expected ASCII letters, digits, '_', '-', '.'"
        return PluginError(breach_text(who, fault), PluginState.BREAKS_CONTRACT)
    if not (isinstance(plugin, type) and issubclass(plugin, _BASES[kind])):
        message = breach_text(who, _fault_of_base(kind, plugin))
        return PluginError(message, PluginState.BREAKS_CONTRACT)
    version: object = getattr(plugin, "contract_version", None)
    if version is None:
        return PluginError(
            f"{who} does not say which version of the plugin contract it is written for: "
            f"its class needs contract_version = {CONTRACT_VERSION}{place_of(plugin)}",
            PluginState.OTHER_CONTRACT,
        )
    if not isinstance(version, int) or isinstance(version, bool):
        fault = f"its class attribute contract_version is {reprlib.repr(version)}, expected the integer"
        message = breach_text(who, f"{fault} {CONTRACT_VERSION}{place_of(plugin)}")
        return PluginError(message, PluginState.BREAKS_CONTRACT)
    if version != CONTRACT_VERSION:
        return PluginError(
            f"{who} speaks version {version} of the plugin contract, this core version "
            f"{CONTRACT_VERSION}: upgrade the older of the two",
            PluginState.OTHER_CONTRACT,
        )
    missing = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
    called, fault = fault_of_signatures(plugin)
    if missing:
        fault = f"its class {plugin.__name__} has no {missing}{place_of(plugin)}"
    elif fault:
        fault += place_of(called) or place_of(plugin)
    else:
        fault = fault_of_class(plugin)
    return PluginError(breach_text(who, fault), PluginState.BREAKS_CONTRACT) if fault else None


def fault_of_class(plugin: type) -> str:
    """What is wrong with the class attributes of a plugin and the answers of its class methods, with the place."""
    if fault := fault_of_declarations(plugin):
        return f"{fault}{place_of(plugin)}"
    for name in asked_methods(plugin):
        method: object = getattr(plugin, name)
        # A call that raises is no fault: an empty section may lack what the method needs.
        with contextlib.suppress(PluginError), plugin_code(lambda error: PluginError(described(error))):
            if fault := fault_of_method(name, method):
                return f"{fault}{place_of(method) or place_of(plugin)}"
    return ""


def sound_schema(kind: str, who: str, plugin: type) -> Mapping[str, Any]:
    """The schema of a plugin's section, checked for use in validation. Raises `PluginError`; `who` is its name."""

    def malformed(fault: str) -> PluginError:
        return PluginError(f"{who} has a malformed schema: {fault}; {TO_ITS_AUTHOR}", PluginState.MALFORMED_SCHEMA)

    with plugin_code(lambda error: malformed(f"schema() raised {described(error)}")):
        answer = cast("Any", plugin).schema()
        fault = fault_of_schema(answer, CORE_KEYS.get(kind, ()))
    if fault:
        raise malformed(f"{fault}{place_of(cast('Any', plugin).schema)}")
    return section_schema(plugin, answer)


def _fault_of_base(kind: str, plugin: object) -> str:
    """The mistake of an entry point that names something else than a class of its kind."""
    point = f"its entry point of the group occopus.{kind} names"
    if not isinstance(plugin, type):
        return f"{point} {type(plugin).__name__}, expected a class"
    other = next((one for one, base in _BASES.items() if issubclass(plugin, base)), "")
    why = f"is not derived from occopus_core.api.{_BASES[kind].__name__}"
    if other:
        why = f"is a {_BASES[other].__name__} and belongs to the group occopus.{other}"
    return f"{point} the class {plugin.__name__}, which {why}{place_of(plugin)}"


def import_error(kind: str, point: EntryPoint, error: BaseException, way_on: str = "") -> PluginError:
    """The error for a plugin whose module raises an exception when it is imported; `way_on` is what the user can do.

    The traceback is logged, for commands with ``--verbose``.
    """
    log_traceback(error)
    package = _package(point)
    why = f"{error}{error.place(package)}" if isinstance(error, ImportHangsError) else import_failure(error, package)
    if why == AttributeError.__name__:  # not raised in the plugin
        why = f"its entry point names {point.value or 'nothing'}{', which does not exist' if point.value else ''}"
    way_on = way_on or (_needs(kind, point) if isinstance(error, ImportError) else TO_ITS_AUTHOR)
    message = f"{named(kind, point.name)} cannot be imported: {why}; {way_on}"
    return PluginError(message, PluginState.IMPORT_ERROR)


def _needs(kind: str, point: EntryPoint) -> str:
    """What the user can do where a module is missing that a plugin imports."""
    if point.dist is not None and point.dist.requires:
        return f"`occopus-plugins show {kind}/{point.name}` lists what it needs"
    return f"its distribution does not declare what it needs; {TO_ITS_AUTHOR}"


def _package(point: EntryPoint) -> str:
    """The top-level package of a plugin. The text of the entry point may be malformed."""
    return point.value.partition(":")[0].partition(".")[0].strip()


def clash(kind: str, name: str, points: Sequence[EntryPoint]) -> PluginError:
    """The error for a plugin that several distributions provide, or one of them twice."""
    owners = sorted({owner(point) for point in points})
    by = f"is provided by {' and by '.join(owners)}: uninstall one of them"
    if len(owners) == 1:
        values = " and ".join(sorted(point.value for point in points))
        by = f"has several entry points of {owners[0]}, {values}; {TO_ITS_AUTHOR}"
    return PluginError(f"the {WORDS[kind]} '{name}' {by}", PluginState.CLASH)


def owner(point: EntryPoint) -> str:
    """The distribution that provides a plugin; where that is not known, the class."""
    return point.dist.name if point.dist is not None else point.value
