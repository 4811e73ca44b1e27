"""The schemas for editors, written by ``occopus-plugins schema``, and a catalogue of them.

They combine the core's schemas with those of every installed plugin, and are loosened for editors, which read
``!text_import {url: …}`` as a mapping, and templates as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from occopus_core.descriptions.schema import config_schema, core_schema, node_definitions_schema

CATALOG = "catalog.json"
"""The name of the catalogue."""
_TEMPLATE = r"\{[{%]"
_IMPORTED = {"required": ["url"], "properties": {"url": {"type": "string"}}, "additionalProperties": False}
_IMPORT = {"type": "object", **_IMPORTED}
_INSIDE_ONE = ("items", "additionalProperties", "then", "else")
_INSIDE_LIST = ("allOf", "anyOf", "oneOf")
_INSIDE_MAP = ("properties", "patternProperties", "definitions")
_FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "infrastructure": (
        "Infrastructure description",
        ("infra.yaml", "infra.yml", "infra-*.yaml", "infra-*.yml", "*.infra.yaml", "*.infra.yml"),
    ),
    "node_definitions": (
        "Node definitions",
        ("nodes.yaml", "nodes.yml", "*.nodes.yaml", "*.nodes.yml", "node_definitions.yaml", "node_definitions.yml"),
    ),
    "auth_data": ("Credentials", ("auth_data.yaml", "auth_data.yml")),
    "occopus_config": ("Configuration", ("occopus_config.yaml", "occopus_config.yml")),
}
"""For each schema: its title, and patterns of file names."""


def documents(schemas: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, str]:
    """The text of each schema file, by its name."""
    found = {
        "infrastructure": loosened(core_schema("infrastructure"), templates=False),
        "node_definitions": node_definitions(schemas),
        "auth_data": loosened(core_schema("auth_data"), templates=False),
        "occopus_config": config_schema(schemas.get("notify", {})),
    }
    return {
        f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in found.items()
    }


def catalog(url: Callable[[str], str]) -> str:
    """The text of the catalogue, in SchemaStore's format; `url` returns the location of a schema file."""
    schemas = [
        {
            "name": f"Occopus: {title.lower()}",
            "description": f"{title} of Occopus, with the installed plugins",
            "fileMatch": list(patterns),
            "url": url(f"{name}.schema.json"),
        }
        for name, (title, patterns) in _FILES.items()
    ]
    return json.dumps({"version": 1, "schemas": schemas}, indent=2) + "\n"


def node_definitions(schemas: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The schema of node definitions. Only in sections of plugins can a template replace a number."""
    schema = node_definitions_schema(schemas)
    pieces = {name: loosened(piece, templates=True) for name, piece in schema.pop("definitions").items()}
    return {**loosened(schema, templates=False), "definitions": pieces}


def loosened(schema: Any, *, templates: bool) -> Any:
    """The schema with imports allowed at every depth, and, with `templates`, templates for numbers and similar values.

    Conditions (``if``, ``not``) are unchanged, since they select the branch. So is the value itself.
    """
    if not isinstance(schema, dict):
        return schema
    result = dict(schema)
    for key in _INSIDE_ONE:
        if key in result:
            result[key] = _loosened_value(result[key], templates=templates)
    for key in _INSIDE_LIST:
        if key in result:
            result[key] = [loosened(one, templates=templates) for one in result[key]]
    for key in _INSIDE_MAP:
        if key in result:
            loosen = loosened if key == "definitions" else _loosened_value
            result[key] = {name: loosen(one, templates=templates) for name, one in result[key].items()}
    return result if _is_collection(result) else _loosened_scalar(result, templates=templates)


def _loosened_value(schema: Any, *, templates: bool) -> Any:
    """A value that may be imported as a whole: as a mapping or list, or the ``url`` of an import."""
    loose = loosened(schema, templates=templates)
    if not _is_collection(loose):
        return loose
    # Editors show the text of both alternatives.
    described = {key: loose[key] for key in ("title", "description") if key in loose}
    return {**described, "if": _IMPORT, "else": loose}


def _is_collection(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") in ("object", "array")


def _loosened_scalar(schema: dict[str, Any], *, templates: bool) -> dict[str, Any]:
    declared = schema.get("type", [])
    kinds = [declared] if isinstance(declared, str) else list(declared)
    if "enum" in schema:
        return _without(schema, "enum", "type") | {"anyOf": _enum_or_template(schema)} if templates else schema
    if "string" in kinds:
        text = _text_or_template(schema) if templates else schema
        return text if "object" in kinds else {**text, "type": [*kinds, "object"], **_IMPORTED}
    if templates and {"number", "integer", "boolean"} & {*kinds}:
        message = f"is not of the type {' or '.join(kinds)}, and not a template"
        return {**schema, "type": [*kinds, "string"], "pattern": _TEMPLATE, "patternErrorMessage": message}
    return schema


def _text_or_template(schema: Mapping[str, Any]) -> dict[str, Any]:
    text = _without(schema, "maxLength", "format")
    return {**text, "pattern": f"(?:{text['pattern']})|{_TEMPLATE}"} if "pattern" in text else text


def _without(schema: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}


def _enum_or_template(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"enum": schema["enum"]}, {"type": "string", "pattern": _TEMPLATE}]
