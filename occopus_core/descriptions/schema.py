"""JSON Schema (draft-07) of files that users write, assembled from the core's schemas and those of plugins.

The core's schemas are in ``*.schema.json`` in this folder. A section's `type` selects its schema with if/then, so that
messages and editors refer to the intended branch only.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, Protocol

import jsonschema
from jsonschema.protocols import Validator

from occopus_core.api import scalars
from occopus_core.api.context import ContextForm
from occopus_core.api.resource import Feature
from occopus_core.api.seconds import MOST_SECONDS
from occopus_core.descriptions.coercion import coerced
from occopus_core.descriptions.document import Document
from occopus_core.descriptions.messages import explain
from occopus_core.descriptions.problems import Path, Problem
from occopus_core.events import FORMER_NAMES, PASSING, EventKind

KINDS = {"resource": "resource", "contextualisation": "context", "config_management": "config"}
"""The kind of plugin for each section with a `type`; the keys of `health_check` are of kind ``health``."""


class PluginSchemas(Protocol):
    """The schemas of plugins that a description uses; others are not loaded.

    A missing plugin raises a `LookupError` whose `str()` is one line for the user: what to install.
    """

    def schema(self, kind: str, name: str) -> Mapping[str, Any]:
        """The plugin's schema; `kind` is resource, config, health, context or notify. Raises `LookupError`."""
        ...

    def undeliverable(self, resource_type: str, context_type: str) -> Collection[ContextForm]:
        """The forms of context that the contextualiser makes but the handler does not pass on. Raises `LookupError`."""
        ...


def core_schema(name: str) -> dict[str, Any]:
    """A schema of the core: ``infrastructure``, ``node_definitions``, ``auth_data`` or ``occopus_config``."""
    text = resources.files(__package__).joinpath(f"{name}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def node_definitions_schema(schemas: Mapping[str, Mapping[str, Mapping[str, Any] | None]]) -> dict[str, Any]:
    """The schema of node definitions with these plugins, by kind and name; None accepts any section."""
    document = core_schema("node_definitions")
    definition = next(one for key, one in document["patternProperties"].items() if key.startswith("^node_def"))
    sections = definition["items"]["properties"]
    pieces: dict[str, Any] = {}
    for section, kind in KINDS.items():
        known = schemas.get(kind, {})
        if not known:
            continue
        pieces |= _select_by_type(sections[section], kind, known, _SECTION_KEYS[section])
    for name, schema in sorted(schemas.get("health", {}).items()):
        pieces[f"health.{name}"] = True if schema is None else _rebased(schema, f"health.{name}")
        sections["health_check"]["properties"][name] = {"if": {"const": False}, "else": _ref(f"health.{name}")}
    document["definitions"] = dict(sorted(pieces.items()))
    return document


def config_schema(schemas: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The schema of the configuration with these notifiers, by name; None accepts any entry."""
    document = core_schema("occopus_config")
    notifier = document["properties"]["notify"]["items"]
    notifier["properties"]["events"]["items"]["enum"] = [
        *(kind.value for kind in EventKind if kind not in PASSING),
        *FORMER_NAMES.values(),
    ]
    if schemas:
        core_keys = dict.fromkeys(notifier["properties"], True)
        document["definitions"] |= _select_by_type(notifier, "notify", schemas, core_keys)
    return document


_CORE_KEYS: Mapping[str, Any] = {"type": True}
_RESOURCE_KEYS: Mapping[str, Any] = {
    **_CORE_KEYS,
    "name": {
        "description": "A label for this provider, used in logs and to choose credentials.",
        "type": "string",
        "minLength": 1,
    },
}


_CONTEXT_KEYS: Mapping[str, Any] = {
    **_CORE_KEYS,
    "attributes": {"description": "Attributes for the configuration manager.", "type": "object"},
}
CORE_KEYS: Mapping[str, frozenset[str]] = {
    "resource": frozenset({"type", "name"}),
    "config": frozenset({"type"}),
    "context": frozenset({"type"}),
    "notify": frozenset({"type", "name", "events", "infrastructures"}),
}
"""The keys that the core adds to the section of every plugin of a kind; a plugin's schema may not describe them."""
_SECTION_KEYS = {"resource": _RESOURCE_KEYS, "contextualisation": _CONTEXT_KEYS, "config_management": _CORE_KEYS}

STOP_SECONDS: Mapping[str, Any] = {
    "description": "Seconds an instance has to shut down before it is deleted; 0 deletes it at once. No template.",
    "type": "number",
    "minimum": 0,
    "maximum": MOST_SECONDS,
}
"""Keys of the core in the section of a resource handler that can stop instances."""


MAX_PARALLEL: Mapping[str, Any] = {
    "description": "How many ready instances of the node are reconfigured at once. After a failure, no other is "
    "started. No template.",
    "type": "integer",
    "minimum": 1,
    "default": 1,
}
"""Keys of the core in the section of a configuration manager that can configure ready instances."""


def section_schema(plugin: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a plugin class, with the core's keys for its features.

    A handler that can stop instances gets `stop_seconds`, a `live` configuration manager `max_parallel`.
    """
    added: dict[str, Mapping[str, Any]] = {}
    if Feature.STOP in getattr(plugin, "features", ()):
        added["stop_seconds"] = {**STOP_SECONDS, "default": plugin.stop_seconds}
    if getattr(plugin, "live", False) is True:
        added["max_parallel"] = dict(MAX_PARALLEL)
    return {**schema, "properties": {**schema.get("properties", {}), **added}} if added else schema


def _select_by_type(
    section: dict[str, Any], kind: str, schemas: Mapping[str, Mapping[str, Any] | None], core_keys: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the section follow the schema that its `type` selects. Returns the definitions it refers to."""
    known = {name: schema for name, schema in sorted(schemas.items()) if schema is not None}
    section["properties"]["type"]["enum"] = sorted(schemas)
    section["allOf"] = [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": _ref(f"{kind}.{name}")}
        for name in known
    ]
    return {f"{kind}.{name}": _section_piece(schema, f"{kind}.{name}", core_keys) for name, schema in known.items()}


def _section_piece(schema: Mapping[str, Any], at: str, core_keys: Mapping[str, Any]) -> dict[str, Any]:
    """A plugin's schema with the keys that the core adds to every section."""
    piece: dict[str, Any] = _rebased(schema, at)
    return {"additionalProperties": False, **piece, "properties": {**core_keys, **piece.get("properties", {})}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


def _rebased(schema: Any, at: str) -> Any:
    """The schema with its references changed to work below ``definitions`` of the assembled document."""
    if isinstance(schema, Mapping):
        rebased = {key: _rebased(value, at) for key, value in schema.items() if key not in ("$schema", "$id")}
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref.startswith("#"):
            rebased["$ref"] = f"#/definitions/{at}{ref[1:]}"
        return rebased
    return [_rebased(item, at) for item in schema] if isinstance(schema, list | tuple) else schema


# Checking


def is_template(value: object) -> bool:
    """True for a text that is rendered before it is used."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def validator(schema: Mapping[str, Any], *, templates: bool = False) -> Validator:
    """A validator, to be made once and used often. With `templates`, it accepts a template for any scalar."""
    made: Validator = (_Templated if templates else _Plain)(
        schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    return made


def check(document: Document, using: Validator, warn: Callable[[Problem], object] = lambda _: None) -> list[Problem]:
    """All faults of the document, each once, as messages. Contains no secrets.

    Scalars are converted to the schema's types, see `coerced`; `warn` is called for each word of YAML 1.1 among them.
    """
    blank: dict[Path, Problem] = {}

    def changed(path: Path, old: Any) -> None:
        if old is None:
            blank[path] = document.problem(path, "there is no value here: one is required")
        elif isinstance(old, str) and scalars.is_former_truth(old):
            warn(document.problem(path, former_truth(old)))

    problems: dict[Problem, None] = {}
    try:
        errors = coerced(document.data, using, changed)
    except RecursionError:
        return [
            document.problem((), "this, or the schema of a plugin that it uses, is nested too deeply to be checked")
        ]
    for error in errors:
        if error.validator == "required":
            paths = [(*error.absolute_path, key) for key in error.validator_value]
            problems |= {blank[path]: None for path in paths if path in blank}
            error.validator_value = [path[-1] for path in paths if path not in blank]
        for found in explain(error):
            problems[document.problem(found.path, found.message, key=found.key)] = None
    return list(problems)


def former_truth(word: str) -> str:
    """The warning for a word of YAML 1.1 in place of a boolean."""
    meant = scalars.canonical(scalars.truth(word))
    return f"'{word}' is text in YAML 1.2 and is taken for {meant} here: write {meant}"


Keyword = Callable[[Validator, Any, Any, Mapping[str, Any]], Iterable[jsonschema.ValidationError] | None]
_SCALARS = {"string", "number", "integer", "boolean"}


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern with the meaning of JSON Schema: ``$`` is the very end, not the place before a last newline."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern))


def _pattern(
    _: Validator, pattern: str, instance: Any, _schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not _compiled(pattern).search(instance):
        yield jsonschema.ValidationError("does not match")


def _unless_template(keyword: Keyword) -> Keyword:
    def lenient(
        using: Validator, wanted: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[jsonschema.ValidationError]:
        if not is_template(instance):
            yield from keyword(using, wanted, instance, schema) or ()

    return lenient


def _type(
    using: Validator, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    kinds = {wanted} if isinstance(wanted, str) else set(wanted)
    if not (is_template(instance) and kinds & _SCALARS):
        yield from jsonschema.Draft7Validator.VALIDATORS["type"](using, wanted, instance, schema) or ()


def _property_names(
    using: Validator, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """Check the names of keys. Keys are never rendered, so templates are not accepted."""
    templates = [key for key in instance if is_template(key)] if isinstance(instance, dict) else []
    yield from (jsonschema.ValidationError("a template", instance=key) for key in templates)
    yield from jsonschema.Draft7Validator.VALIDATORS["propertyNames"](using, wanted, instance, schema) or ()


_extend: Any = jsonschema.validators.extend
_Plain = _extend(jsonschema.Draft7Validator, {"pattern": _pattern})
_LENIENT = {
    name: _unless_template(_Plain.VALIDATORS[name]) for name in ("enum", "pattern", "format", "minLength", "maxLength")
}
_Templated = _extend(_Plain, {"type": _type, "propertyNames": _property_names, **_LENIENT})
