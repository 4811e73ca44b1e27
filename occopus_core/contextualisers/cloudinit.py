"""`cloudinit`: user data for virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api.context import Context, ContextForm, Contextualiser, Render
from occopus_core.api.errors import PermanentError
from occopus_core.api.ssh import HostKeyPair
from occopus_core.api.written import WrittenMap, as_written, as_yaml

HEADER = "#cloud-config\n"
_BOUNDARY = "==occopus-parts=="
_PARTS = {"#cloud-config": "text/cloud-config", "#!": "text/x-shellscript"}
"""The first characters of texts that can be sent with a host key, and their MIME types for cloud-init."""


class CloudInit(Contextualiser):
    """A mapping becomes ``#cloud-config``; a text is passed on unchanged. Every string in either is a template.

    A plain scalar of the mapping keeps its written form, so that the YAML reader on the node decides its type.
    """

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
                "ssh": {
                    "description": "The SSH server of the node.",
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "host_key": {
                            "description": "`generate`: Occopus makes a host key for each instance, sends it with the "
                            "user data and accepts no other. Without it, the key that the instance shows first is "
                            "pinned.",
                            "enum": ["generate"],
                        },
                    },
                    "examples": [{"host_key": "generate"}],
                },
            },
        }

    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """See `Contextualiser.contextualise`."""
        source = section["context_template"]
        template = as_written(render(source, at="contextualisation.context_template"), source)
        if "host_key" not in section.get("ssh", {}):
            return Context(user_data=template if isinstance(template, str) else HEADER + as_yaml(template))
        pair = render.host_key()
        user_data = _text_with(pair, template) if isinstance(template, str) else _mapping_with(pair, template)
        return Context(user_data=user_data, host_key=pair.public)


def _mapping_with(pair: HostKeyPair, template: Mapping[str, Any]) -> str:
    clash = [key for key in _host_key(pair) if key in template]
    if clash:
        raise PermanentError(f"the context_template has `{clash[0]}`, which `ssh.host_key` writes: remove one of them")
    whole = WrittenMap()
    whole.lay_over(template)
    whole.lay_over(_host_key(pair))
    return HEADER + as_yaml(whole)


def _text_with(pair: HostKeyPair, text: str) -> str:
    """Both in one multipart message, which cloud-init splits."""
    kind = next((kind for start, kind in _PARTS.items() if text.startswith(start)), None)
    if kind is None:
        starts = " or ".join(f"`{start}`" for start in _PARTS)
        raise PermanentError(f"`ssh.host_key` needs a context_template that is a mapping or begins with {starts}")
    parts = {"text/cloud-config": [HEADER + as_yaml(_host_key(pair))]}
    parts.setdefault(kind, []).append(text)
    lines = [f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', "MIME-Version: 1.0", ""]
    for name, texts in parts.items():
        for each in texts:
            lines += [f"--{_BOUNDARY}", f'Content-Type: {name}; charset="utf-8"', "Content-Transfer-Encoding: 8bit"]
            lines += ["", each.rstrip("\n"), ""]
    return "\n".join([*lines, f"--{_BOUNDARY}--", ""])


def _host_key(pair: HostKeyPair) -> dict[str, Any]:
    return {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": pair.private, "ed25519_public": pair.public},
    }
