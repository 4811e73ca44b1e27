"""Finds values in a node definition that plugins refuse, before an infrastructure uses it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from occopus_core.api.context import Context
from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.api.resource import Connection, CreateRequest, Feature, Owner
from occopus_core.api.ssh import HostKeyPair
from occopus_core.api.written import WrittenList, WrittenMap, items_of
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Implementation
from occopus_core.descriptions.problems import path_in
from occopus_core.descriptions.schema import is_template
from occopus_core.engine.kernel.guard import guarded
from occopus_core.engine.kernel.stand_in import sound_set_up_error
from occopus_core.engine.planning.rehearsal_faults import named_path
from occopus_core.engine.planning.trust import breaches
from occopus_core.error_place import breach_text, place_of
from occopus_core.plugin_thread import offline
from occopus_core.redaction import Redactor
from occopus_core.registry import PluginError, Registry
from occopus_core.store.records import label

T = TypeVar("T")

_STAND_INS = ("0", "a")
"""What templates may render to: a text that also passes as a number, and one that does not."""
_OWNER = Owner("installation", "infrastructure", "node", "00000000-0000-4000-8000-000000000000")


def refusals(registry: Registry, credentials: Credentials, implementation: Implementation) -> Sequence[tuple[str, str]]:
    """The path and the message of each mistake that makes every node of this implementation impossible.

    A mistake counts if it is certain: the plugin refuses the value for every result of the templates, on every machine
    and for every user, and the named place is no template itself. Where that is a whole section, or no place is named,
    no template is in the section, or in the implementation. A plugin that breaks its contract is such a mistake, except
    for a handler that cannot be set up: the cause may be this machine or missing credentials. Calls no provider. Raises
    nothing.
    """
    texts = _STAND_INS if _has_template([implementation.resource, implementation.contextualisation]) else _STAND_INS[:1]
    first, *others = (_errors(registry, credentials, implementation, text) for text in texts)
    always = frozenset(map(str, first)).intersection(*(map(str, other) for other in others))
    sections = {"resource": implementation.resource, "contextualisation": implementation.contextualisation}
    certain = [error for error in first if str(error) in always and not error.here and _is_certain(error, sections)]
    refused = [(named_path(error) or "resource", str(error)) for error in certain]
    return [*breaches(implementation, registry), *refused]


def _is_certain(error: PermanentError, sections: Mapping[str, Any]) -> bool:
    if not error.at or error.at in sections:
        return not _has_template(sections.get(error.at, sections))
    place: Any = sections
    for step in path_in(sections, error.at):
        place = place[step]
    return not is_template(place)


def _errors(
    registry: Registry, credentials: Credentials, implementation: Implementation, text: str
) -> Sequence[PermanentError]:
    """The mistakes that a plugin finds if every template renders to this text."""
    try:
        _try(registry, credentials, implementation, text)
    except PermanentError as error:
        return [error, *error.more]
    except (Exception, SystemExit):  # noqa: BLE001  # a handler that cannot be set up; a build reports it
        return []
    return []


def _try(registry: Registry, credentials: Credentials, implementation: Implementation, text: str) -> None:
    source, section = dict(implementation.resource), implementation.contextualisation
    plugin = registry.resource(source["type"])
    if Feature.STOP in plugin.features:
        source.pop("stop_seconds", None)
    resource = registry.typed("resource", source["type"], _stood_in(source, text), source, implementation.digest)
    context = Context()
    if section is not None:
        context = _contextualised(registry, section, text)
        if _contextualised(registry, section, text) != context:
            where = place_of(registry.context(section["type"]).contextualise)
            how = f"contextualise() answered two contexts for a section{where}: each build would replace its instances"
            fault = breach_text(registry.named("context", section["type"]), how)
            raise PermanentError(fault, at="contextualisation.type")
    try:
        registry.texts("resource", source["type"], "exclusive", resource)
    except PluginError as error:  # a handler may rely on the form of what a template renders to
        raise PermanentError(str(error), at="" if _has_template(source) else "resource.type") from None
    auth: Mapping[str, str] = {}
    with contextlib.suppress(Exception):
        auth = credentials.find("resource", resource)
    settings = {key: resource[key] for key in plugin.connection_keys if key in resource}
    who = functools.partial(registry.named, "resource", source["type"], label(source["type"], resource))
    redact = Redactor(credentials.secrets())
    try:
        handler = offline(lambda: plugin(Connection(source["type"], settings, auth)), plugin, who(), "its constructor")
    except ProviderError as error:
        raise sound_set_up_error(who(), error, redact) from None
    guarded(handler, who, redact).check(CreateRequest(f"occopus-{_OWNER.node_id}", _OWNER, resource, context))


def _contextualised(registry: Registry, section: Mapping[str, Any], text: str) -> Context:
    plugin, who = registry.context(section["type"]), registry.named("context", section["type"])
    try:
        return offline(lambda: registry.contextualised(section, _StandIns(text)), plugin, who, "contextualise()")
    except PermanentError as error:
        error.at = error.at or "contextualisation"
        raise


class _StandIns:
    """An `occopus_core.api.Render` in which every template renders to the same text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, value: T, /, at: str, **names: object) -> T:  # noqa: ARG002
        made: T = _stood_in(value, self._text)
        return made

    def host_key(self) -> HostKeyPair:
        return HostKeyPair("ssh-ed25519 AAAA", "the private half")


def _stood_in(value: Any, text: str) -> Any:
    if isinstance(value, Mapping | list | tuple):
        made: Any = WrittenMap() if isinstance(value, Mapping) else WrittenList([None] * len(value))
        for key, item in items_of(value):
            made[key] = _stood_in(item, text)
        return made
    return text if is_template(value) else value


def _has_template(value: Any) -> bool:
    if isinstance(value, Mapping | list | tuple):
        return any(_has_template(item) for _, item in items_of(value))
    return is_template(value)
