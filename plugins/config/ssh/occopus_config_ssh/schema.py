"""The section as a JSON Schema."""

from __future__ import annotations

from typing import Any

from occopus_core.api.ssh import LOGIN_PROPERTIES

_TEXT = {"type": "string", "minLength": 1}
_FILE = {
    "type": "object",
    "required": ["path", "content"],
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "pattern": "^(/|.*\\{)",
            "patternErrorMessage": "expected a path from the root, such as /etc/motd",
            "description": "Where it is on the node, from the root.",
        },
        "content": {"type": "string", "description": "The text of the file; often `!text_import`ed."},
        "mode": {
            "type": "string",
            "pattern": "^([0-7]{3,4}|.*\\{.*)$",
            "patternErrorMessage": "expected a mode such as '0644', in quotes",
            "default": "0644",
            "description": "Its permissions, in quotes.",
        },
        "owner": {
            **_TEXT,
            "description": "The user, and with a colon the group, that it belongs to. Left out, the user who logs in.",
            "examples": ["www-data", "root:adm"],
        },
    },
}
_COMMAND = {
    "type": "object",
    "required": ["run"],
    "additionalProperties": False,
    "properties": {
        "run": {**_TEXT, "description": "The command, for `sh`."},
        "name": {**_TEXT, "description": "What it is called in messages: its number where nothing is said."},
        "unless": {**_TEXT, "description": "A command: where it succeeds, this one is not run."},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {**_TEXT, "description": "Which entry of the credentials file is used, where there are several."},
        **LOGIN_PROPERTIES,
        "sudo": {
            "type": "boolean",
            "default": False,
            "description": "Whether everything is done as root by `sudo`, which must not ask for a password.",
        },
        "files": {
            "type": "array",
            "default": [],
            "items": _FILE,
            "description": "Files that are written before the commands run, in their order. One that has this content "
            "and mode is left alone.",
            "examples": [[{"path": "/etc/motd", "content": "node {{name}} of {{infra_name}}\n"}]],
        },
        "commands": {
            "type": "array",
            "default": [],
            "items": {"anyOf": [_TEXT, _COMMAND]},
            "description": "Commands that run in their order; the first that fails ends the job.",
            "examples": [["systemctl reload nginx", {"run": "useradd app", "unless": "id app"}]],
        },
        "unless": {
            **_TEXT,
            "description": "A command: where it succeeds after the files were written, no command is run.",
        },
    },
}
