"""The installed plugins, loaded by name with stevedore. One that is not asked for is never imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NoReturn, TypeVar, cast

from jsonschema.protocols import Validator
from stevedore.extension import Extension
from stevedore.named import NamedExtensionManager

from occopus_core.api.config import ConfigManager
from occopus_core.api.context import ContextForm, Contextualiser
from occopus_core.api.declared import fault_of_declarations
from occopus_core.api.health import HealthChecker
from occopus_core.api.notify import Notifier
from occopus_core.api.resource import ResourceHandler
from occopus_core.api.version import CONTRACT_VERSION
from occopus_core.descriptions.coercion import coerced, leaves
from occopus_core.descriptions.schema import is_template, section_schema, validator

T = TypeVar("T")

_BASES: Mapping[str, type] = {
    "resource": ResourceHandler,
    "config": ConfigManager,
    "health": HealthChecker,
    "context": Contextualiser,
    "notify": Notifier,
}
_WORDS = {
    "resource": "resource handler",
    "config": "configuration manager",
    "health": "health checker",
    "context": "contextualisation",
    "notify": "notifier",
}
_FOLDERS = {
    ("resource", "azure_vm"): "azure",
    ("resource", "azure_aci"): "azure",
    ("health", "mysqldbs"): "mysql",
    ("health", "ping"): "network",
    ("health", "ports"): "network",
    ("health", "urls"): "network",
}
"""The folders of plugins whose name does not follow from the plugin's."""
_PUBLISHED = {
    "resource": {"ec2", "nova", "azure_vm", "azure_aci", "docker", "cloudsigma", "cloudbroker", "local", "sim"},
    "config": {"ansible", "chef", "puppet_solo", "sim", "ssh"},
    "health": {"ping", "ports", "urls", "mysqldbs", "ssh"},
    "context": set[str](),
    "notify": {"webhook", "fcm"},
}


class PluginError(LookupError):
    """A plugin is missing, comes twice, cannot be imported, or speaks another version of the contract, or breaks it."""


class Registry:
    """Finds plugins by kind and name. `extra` adds plugins that are not installed, for tests and embedding."""

    def __init__(self, extra: Mapping[tuple[str, str], type] | None = None) -> None:
        self._extra = dict(extra or {})
        self._loaded: dict[tuple[str, str], type] = {}
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
        """The JSON Schema of a plugin's section, with what the core adds for its features. Raises `PluginError`."""
        return section_schema(cast("Any", self._load(kind, name)))

    def typed(self, kind: str, name: str, rendered: T, source: Mapping[str, Any], digest: str) -> T:
        """A rendered section whose scalars are of the types that the plugin's schema wants; changes it in place.

        `source` is the section before it was rendered, and `digest` names it. What a template gives and cannot be made
        right stays as it is: the plugin refuses it. Raises `PluginError`.
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
        """The forms of context that the contextualiser makes and the handler does not pass on. Raises `PluginError`."""
        return self.context(context_type).forms - self.resource(resource_type).context_forms

    def installed(self, kind: str) -> list[str]:
        """The names of all plugins of a kind, without importing them."""
        known = {name for known_kind, name in {**self._extra, **self._loaded} if known_kind == kind}
        return sorted(known | entry_points(group=f"occopus.{kind}").names)

    def _load(self, kind: str, name: str) -> type:
        if (kind, name) not in self._loaded:
            plugin = self._extra.get((kind, name)) or self._import(kind, name)
            if fault := fault_of_declarations(plugin):
                raise PluginError(f"the {_WORDS[kind]} '{name}' breaks its contract: {fault}")
            self._loaded[kind, name] = plugin
        return self._loaded[kind, name]

    def _import(self, kind: str, name: str) -> type:
        try:
            found: Sequence[Extension[object]] = NamedExtensionManager(
                f"occopus.{kind}",
                [name],
                on_load_failure_callback=_raise,
                on_missing_entrypoints_callback=_say_nothing,
            ).extensions
        except Exception as error:  # whatever a plugin's import raises
            raise PluginError(f"the {_WORDS[kind]} '{name}' cannot be imported: {error}") from error
        if len(found) != 1:
            raise PluginError(self._none_or_several(kind, name))
        plugin = found[0].plugin
        if not (isinstance(plugin, type) and issubclass(plugin, _BASES[kind])):
            raise PluginError(f"the {_WORDS[kind]} '{name}' is not a {_BASES[kind].__name__}")
        version = getattr(plugin, "contract_version", None)
        if version is None:
            raise PluginError(
                f"the {_WORDS[kind]} '{name}' does not say which version of the plugin contract it is written for: "
                f"its class needs contract_version = {CONTRACT_VERSION}"
            )
        if version != CONTRACT_VERSION:
            raise PluginError(
                f"the {_WORDS[kind]} '{name}' speaks version {version} of the plugin contract, this core version "
                f"{CONTRACT_VERSION}: upgrade the older of the two"
            )
        return plugin

    def _none_or_several(self, kind: str, name: str) -> str:
        """Why there is no one plugin to load."""
        points = entry_points(group=f"occopus.{kind}", name=name)
        if distributions := sorted({point.dist.name for point in points if point.dist is not None}):
            by = " and by ".join(distributions)
            return f"the {_WORDS[kind]} '{name}' is provided by {by}: uninstall one of them"
        return self._advice(kind, name)

    def _advice(self, kind: str, name: str) -> str:
        if name in _PUBLISHED[kind]:
            folder = f"plugins/{kind}/{_FOLDERS.get((kind, name), name)}"
            return f"no {_WORDS[kind]} '{name}' is installed: pip install ./{folder} in a checkout of Occopus"
        installed = self.installed(kind)
        others = sorted(_PUBLISHED[kind].difference(installed))
        lists = {"installed are": installed, "known and not installed": others}
        told = "".join(f"; {which}: {', '.join(names)}" for which, names in lists.items() if names)
        return f"there is no {_WORDS[kind]} '{name}'{told}"


def _raise(_manager: object, _point: object, error: BaseException) -> NoReturn:
    raise error


def _say_nothing(_missing: object) -> None:
    """The error says it."""
