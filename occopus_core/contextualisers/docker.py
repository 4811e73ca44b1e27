"""`docker`: environment and command of a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api.context import Context, ContextForm, Contextualiser, Render
from occopus_core.api.written import as_written


class Docker(Contextualiser):
    """`env` and `command` are templates which also see `context_variables`."""

    contract_version: ClassVar[int] = 1
    forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.PROCESS})

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `Contextualiser.schema`."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "env": {
                    "description": "Environment of the container: a list of NAME=VALUE, or a mapping.",
                    "type": ["array", "object"],
                    "items": {
                        "type": "string",
                        "pattern": "^[^=]+=",
                        "patternErrorMessage": "is not of the form NAME=VALUE",
                        "examples": ["message={{variables.message}}"],
                    },
                    "propertyNames": {"pattern": "^[^=]+$", "patternErrorMessage": "is not a name: it has a '='"},
                    "additionalProperties": {"type": "string", "description": "The value of the variable."},
                    "default": [],
                },
                "command": {
                    "description": "What the container runs: a text, split into words as a shell would, or the words.",
                    "type": ["string", "array"],
                    "items": {"type": "string"},
                    "examples": ["sh -c /root/start.sh", ["sh", "-c", "/root/start.sh"]],
                },
                "context_variables": {
                    "description": "Offered to the templates of this section as `context_variables`.",
                    "type": "object",
                    "default": {},
                },
            },
        }

    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """See `Contextualiser.contextualise`."""
        at = "contextualisation"
        source = section.get("context_variables", {})
        variables = as_written(render(source, at=f"{at}.context_variables"), source)
        env = render(section.get("env", []), at=f"{at}.env", context_variables=variables)
        command = render(section.get("command"), at=f"{at}.command", context_variables=variables)
        if isinstance(env, Mapping):
            env = [f"{name}={value}" for name, value in env.items()]
        return Context(env=tuple(env), command=tuple(command) if isinstance(command, list) else command)
