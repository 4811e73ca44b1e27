"""Plugins made up for these tests: enough to meet every form a plugin's schema may have."""

from collections.abc import Mapping
from typing import Any

import pytest

from occopus_core.api import ContextForm

SCHEMAS: dict[tuple[str, str], Mapping[str, Any]] = {
    ("resource", "cloud"): {
        "type": "object",
        "required": ["endpoint"],
        "properties": {
            "endpoint": {"type": "string", "pattern": "^https?://", "patternErrorMessage": "is not an http(s) URL"},
            "size": {"enum": ["small", "Medium", "large"]},
            "cpu": {"type": "integer", "minimum": 1, "maximum": 64},
            "memory": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
            "public": {"type": "boolean"},
            "tier": {"const": "free"},
            "zone": {"type": "string", "minLength": 2, "maxLength": 4},
            "address": {"type": "string", "format": "ipv4"},
            "password": {"type": "string", "minLength": 12},
            "pin": {"type": "integer", "maximum": 9999, "writeOnly": True},
            "ssh_key_data": {"type": "string", "pattern": "^ssh-"},
            "groups": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 2},
            "ports": {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+/(TCP|UDP)$"}]},
            },
            "disks": {"type": "array", "items": {"$ref": "#/definitions/disk"}},
            "legacy": {"not": {}, "description": "use 'size' instead"},
        },
        "definitions": {
            "disk": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["gb"],
                        "additionalProperties": False,
                        "properties": {"gb": {"type": "integer"}, "fast": {"type": "boolean"}},
                    },
                    {"type": "string", "pattern": "^volume-"},
                ]
            }
        },
    },
    ("resource", "machine"): {
        "properties": {
            "user": {"type": "string", "deprecated": True, "description": "give an ssh key in its place"},
            "password": {},
            "ssh_key_data": {},
        },
        "anyOf": [{"required": ["password"]}, {"required": ["ssh_key_data"]}],
    },
    ("resource", "container"): {"required": ["image"], "properties": {"image": {"type": "string"}}},
    ("context", "cloudinit"): {
        "required": ["context_template"],
        "properties": {"context_template": {"type": ["object", "string"]}, "attributes": {"type": "object"}},
    },
    ("context", "docker"): {
        "properties": {
            "env": {"type": "array", "items": {"type": "string"}},
            "command": {"type": ["string", "array"]},
        }
    },
    ("config", "chef"): {
        "required": ["endpoint", "run_list"],
        "properties": {"endpoint": {"type": "string"}, "run_list": {"type": "array", "items": {"type": "string"}}},
    },
    ("health", "ping"): {"type": "boolean"},
    ("health", "ports"): {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    ("health", "mysqldbs"): {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "user", "pass"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "user": {"type": "string"}, "pass": {"type": "string"}},
        },
    },
}
WORDS = {"resource": "resource handler", "context": "contextualisation", "config": "manager", "health": "checker"}


class FakePlugins:
    """The made-up plugins; `asked` lists those whose schema was wanted."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def schema(self, kind: str, name: str) -> Mapping[str, Any]:
        self.asked.append((kind, name))
        if (kind, name) not in SCHEMAS:
            raise LookupError(
                f"no {WORDS[kind]} '{name}' is installed: pip install ./plugins/{kind}/{name} in a checkout of Occopus"
            )
        return SCHEMAS[kind, name]

    def undeliverable(self, resource_type: str, context_type: str) -> frozenset[ContextForm]:
        makes = ContextForm.PROCESS if context_type == "docker" else ContextForm.USER_DATA
        takes = ContextForm.PROCESS if resource_type == "container" else ContextForm.USER_DATA
        return frozenset({makes} - {takes})


@pytest.fixture
def plugins() -> FakePlugins:
    return FakePlugins()
