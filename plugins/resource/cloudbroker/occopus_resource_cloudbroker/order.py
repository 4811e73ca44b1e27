"""The body of a creation: the user's description and what the handler adds to it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_cloudbroker import label

_REQUIRED = ("deployment_id", "instance_type_id")
_DEFAULTS = {"disable_autostop": True, "isolated": True}
_NAME = "name"
_OWN = ("cloud_init", "cloud_init_b64")
"""Fields that come from the contextualisation."""
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def order(request: CreateRequest) -> bytes:
    """The XML of the instance. Raises `PermanentError` for a description that cannot be sent."""
    description = request.resource.get("description")
    if not isinstance(description, Mapping):
        raise PermanentError("resource.description must be a mapping")
    wanted = _wanted(description)
    for key in _REQUIRED:
        if not wanted.get(key):
            raise PermanentError(f"resource.description.{key} is missing")
    wish = wanted.pop(_NAME, None)
    if wish is not None and not isinstance(wish, str | int | float):
        raise PermanentError(f"resource.description.{_NAME} must be a text")
    root = Element("instance")
    SubElement(root, _NAME).text = label.name(request.owner, request.token, _text(wish, _NAME) if wish else "")
    for key, value in {**_DEFAULTS, **wanted}.items():
        _add(root, key, value, key)
    if request.context.user_data is not None:
        SubElement(root, "cloud-init").text = base64.b64encode(request.context.user_data.encode()).decode()
        SubElement(root, "cloud-init-b64").text = "true"
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _wanted(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description with uniform field names: the platform treats ``_`` and ``-`` alike."""
    wanted: dict[str, Any] = {}
    for key, value in description.items():
        name = str(key).replace("-", "_")
        if not _TAG.fullmatch(str(key)):
            raise PermanentError(f"resource.description: '{key}' cannot be the name of a field of an instance")
        if name in _OWN:
            raise PermanentError(f"resource.description.{key}: the contextualisation gives it")
        if name in wanted:
            raise PermanentError(f"resource.description.{key} is given twice, with '_' and with '-'")
        wanted[name] = value
    return wanted


def _add(parent: Element, name: str, value: Any, path: str) -> None:
    """Add a value: a mapping as nested elements, a list as a Rails array, None as an empty element."""
    element = SubElement(parent, name)
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not _TAG.fullmatch(str(key)):
                raise PermanentError(f"resource.description.{path}: '{key}' cannot be the name of an element")
            _add(element, str(key), each, f"{path}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        element.set("type", "array")
        for each in value:
            _add(element, name, each, path)
    else:
        element.text = _text(value, path)


def _text(value: Any, path: str) -> str:
    """The text of a value. Raises `PermanentError` for characters that XML does not allow."""
    text = "" if value is None else str(value)
    if isinstance(value, bool):
        text = text.lower()
    if _NOT_XML.search(text):
        raise PermanentError(f"resource.description.{path} has a character that XML cannot hold")
    return text
