"""Values for Ansible's files: texts are marked as no templates, since some come from nodes.

Finds secrets among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_TEMPLATES = ("{{", "{%", "{#")
_SECRET_NAMES = ("pass", "secret", "token", "key", "credential")
_SHORTEST_SECRET = 4


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, which Ansible would have to resolve."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """No aliases."""
        return True


class _Unsafe(str):
    """A text that Ansible does not treat as a template."""

    __slots__ = ()


_Dumper.add_representer(_Unsafe, lambda dumper, data: dumper.represent_scalar("!unsafe", str(data)))


def as_yaml(value: Any) -> str:
    """The value as YAML, with texts that look like templates marked as `!unsafe`."""
    return str(yaml.dump(_marked(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def named_secrets(value: Any, *, secret: bool = False) -> list[str]:
    """The texts below keys whose names suggest secrets."""
    if isinstance(value, Mapping):
        return [
            each
            for key, inner in value.items()
            for each in named_secrets(inner, secret=secret or any(word in str(key).lower() for word in _SECRET_NAMES))
        ]
    if isinstance(value, list | tuple):
        return [each for inner in value for each in named_secrets(inner, secret=secret)]
    return [str(value)] if secret and value is not None and len(str(value)) >= _SHORTEST_SECRET else []


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return _Unsafe(value) if any(each in value for each in _TEMPLATES) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _marked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(each) for each in value]
    return value
