"""Converts values of a description to JSON and back, with the written text of their plain scalars.

A scalar whose value does not determine its text is ``{"!": text}``; a mapping with unquoted keys, or whose only key is
``!``, is ``{"!": {"map": …, "keys": […]}}``. All other values are unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from occopus_core.api import scalars
from occopus_core.api.written import WrittenList, WrittenMap

MARK = "!"


def encoded(value: Any) -> Any:
    """The value in JSON types. Shares no objects with it."""
    if isinstance(value, WrittenMap):
        made = {key: _leaf(value.texts[key]) if key in value.texts else encoded(item) for key, item in value.items()}
        keys = sorted(value.plain_keys)
        return {MARK: {"map": made, "keys": keys}} if keys or list(made) == [MARK] else made
    if isinstance(value, WrittenList):
        return [_leaf(value.texts[at]) if at in value.texts else encoded(item) for at, item in enumerate(value)]
    if isinstance(value, Mapping):
        made = {key: encoded(item) for key, item in value.items()}
        return {MARK: {"map": made, "keys": []}} if list(made) == [MARK] else made
    return [encoded(item) for item in value] if isinstance(value, list | tuple) else value


def _leaf(text: str) -> dict[str, str]:
    return {MARK: text}


def decoded(value: Any) -> Any:
    """The original of an `encoded` value. Raises `LookupError`, `TypeError` or `AttributeError` for any other value."""
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, list):
        made = WrittenList()
        for at, item in enumerate(value):
            made.append(_item(item, made.texts, at))
        return made
    return value


def _mapping(value: dict[str, Any]) -> WrittenMap:
    made, items = WrittenMap(), value
    if list(value) == [MARK]:
        items = value[MARK]["map"]
        made.plain_keys = set(value[MARK]["keys"])
    for key, item in items.items():
        made[key] = _item(item, made.texts, key)
    return made


def _item(item: Any, texts: dict[Any, str], at: Any) -> Any:
    if isinstance(item, dict) and list(item) == [MARK] and isinstance(item[MARK], str):
        texts[at] = item[MARK]
        return scalars.kept(item[MARK])
    return decoded(item)
