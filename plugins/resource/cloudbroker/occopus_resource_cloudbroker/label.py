"""Owner and token of an instance in its name, the only free text that the platform stores with an instance.

A name is ``occopus_TOKEN_INSTALLATION_NODEID_NODENAME_INFRAID``, followed by a space and the name in the description.
Only the last field may contain ``_``. The fields needed to find the instance come first.
"""

from __future__ import annotations

from occopus_core.api import Owner, PermanentError

LIMIT = 255
"""The most characters of a name: those of a text column, since the platform's limit is not documented."""

_OURS = "occopus"
_SEPARATOR = "_"
_FIELDS = 6
_ABSENT = "."
_IN_TOKEN = ""
_UUID = 36
"""The length of a node id. Tokens of Occopus end with it, so it is not written twice."""


def name(owner: Owner, token: str, wish: str = "") -> str:
    """The name of an instance. Raises `PermanentError` if it would be too long."""
    node_id = owner.node_id
    if node_id is not None and len(node_id) == _UUID and token.endswith(node_id):
        node_id = _IN_TOKEN
    fields = (_OURS, token, owner.installation, node_id, owner.node_name, owner.infra_id)
    text = _SEPARATOR.join(_ABSENT if field is None else field for field in fields)
    if wish:
        text = f"{text} {wish}"
    if len(text) > LIMIT:
        raise PermanentError(
            f"the name that marks the instance has {len(text)} characters, and CloudBroker is given at most {LIMIT}: "
            "shorten the id of the infrastructure, the name of the node or resource.description.name"
        )
    return text


def read(text: str) -> tuple[Owner | None, str]:
    """Owner and token from a name; None and empty for an instance that Occopus did not make."""
    fields = text.partition(" ")[0].split(_SEPARATOR, _FIELDS - 1)
    if len(fields) != _FIELDS or fields[0] != _OURS or not fields[1] or not fields[2]:
        return None, ""
    _, token, installation, node_id, node_name, infra_id = fields
    if node_id == _IN_TOKEN:
        node_id = token[-_UUID:]
    return Owner(installation, _field(infra_id), _field(node_name), _field(node_id)), token


def _field(text: str) -> str | None:
    return None if text == _ABSENT else text
