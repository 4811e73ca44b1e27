"""`cloudinit`: user data for virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api.context import Context, ContextForm, Contextualiser, Render

HEADER = "#cloud-config\n"


class CloudInit(Contextualiser):
    """A mapping becomes ``#cloud-config``; a text is passed on as it is. Every string in either is a template."""

    contract_version: ClassVar[int] = 1
    forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `Contextualiser.schema`."""
        return {
            "type": "object",
            "required": ["context_template"],
            "additionalProperties": False,
            "properties": {
                "context_template": {
                    "description": "What cloud-init does on the node: a mapping (often `!yaml_import`ed), sent as "
                    "#cloud-config, or a text (often `!text_import`ed), sent as it is.",
                    "type": ["object", "string"],
                    "examples": [{"runcmd": ["ping {{getip('receiver')}} -c 5"]}],
                },
                "attributes": {
                    "description": "Attributes of the node for its configuration manager.",
                    "type": "object",
                    "default": {},
                },
            },
        }

    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """See `Contextualiser.contextualise`."""
        template = render(section["context_template"], at="contextualisation.context_template")
        if isinstance(template, str):
            return Context(user_data=template)
        import yaml  # noqa: PLC0415  # most commands never render anything

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text = yaml.dump(template, Dumper=dumper, allow_unicode=True, sort_keys=False, width=2**20)
        return Context(user_data=HEADER + text)
