"""Mappings and lists of a description that keep the written text of their plain scalars.

They are ordinary mappings and lists of ordinary values: `0644` is the number 644. `texts` has the written text of each
scalar that differs from its value's, by key or index; that text is used in YAML output and in templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from occopus_core.api.scalars import STANDARD, canonical, is_ambiguous

_MAP, _SEQ, _STR = f"{STANDARD}map", f"{STANDARD}seq", f"{STANDARD}str"


class WrittenMap(dict[str, Any]):
    """A mapping; `plain_keys` are the keys that another YAML reader may not read as text."""

    __slots__ = ("plain_keys", "texts")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.texts: dict[str, str] = {}
        self.plain_keys: set[str] = set()

    def lay_over(self, over: Mapping[str, Any]) -> None:
        """Copy the items of another mapping, with their written texts."""
        for key in over.keys() & self.texts.keys():
            del self.texts[key]
        self.plain_keys -= over.keys()
        self.update(over)
        self.texts.update(texts_of(over))
        self.plain_keys |= plain_keys_of(over)


class WrittenList(list[Any]):
    """A list."""

    __slots__ = ("texts",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.texts: dict[int, str] = {}


def texts_of(container: object) -> Mapping[Any, str]:
    """The written texts of a container, by key or index; empty if it did not come from a file."""
    return container.texts if isinstance(container, WrittenMap | WrittenList) else {}


def plain_keys_of(container: object) -> set[str]:
    """The unquoted keys of a mapping that another reader may not read as text."""
    return container.plain_keys if isinstance(container, WrittenMap) else set()


def items_of(container: object) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a mapping, the indices and items of a list; empty for other values."""
    if isinstance(container, Mapping):
        yield from container.items()
    elif isinstance(container, list | tuple):
        yield from enumerate(container)


def as_written(value: Any, source: Any) -> Any:
    """A rendered value with the written texts of its source; equal to the value."""
    texts = {**texts_of(source), **texts_of(value)}
    if isinstance(value, Mapping) and isinstance(source, Mapping):
        made = WrittenMap({key: as_written(item, source.get(key)) for key, item in value.items()})
        made.texts, made.plain_keys = texts, plain_keys_of(source)
        return made
    if isinstance(value, list | tuple) and isinstance(source, list | tuple):
        items = WrittenList(map(as_written, value, source))
        items.texts = texts
        return items
    return value


def as_yaml(value: Any) -> str:
    """The value as YAML: plain scalars in their written form, and other texts quoted where a reader may misread them.

    Equal values with equal written texts make equal YAML.
    """
    import yaml  # noqa: PLC0415  # most commands never write any

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    nodes = _Nodes(yaml, yaml.resolver.Resolver())
    text: str = yaml.serialize(nodes.made(value), Dumper=dumper, allow_unicode=True, width=2**20)
    return text


class _Nodes:
    """Creates PyYAML nodes from values."""

    def __init__(self, yaml: Any, resolver: Any) -> None:
        self._yaml = yaml
        self._resolver = resolver

    def made(self, value: Any) -> Any:
        texts = texts_of(value)
        if isinstance(value, Mapping):
            plain = plain_keys_of(value)
            pairs = [(self._key(key, plain), self._item(item, texts.get(key))) for key, item in value.items()]
            return self._yaml.MappingNode(_MAP, pairs, flow_style=False)
        if isinstance(value, list | tuple):
            items = [self._item(item, texts.get(at)) for at, item in enumerate(value)]
            return self._yaml.SequenceNode(_SEQ, items, flow_style=False)
        return self._text(value) if isinstance(value, str) else self._plain(canonical(value))

    def _key(self, key: Any, plain: set[str]) -> Any:
        return self._plain(key) if key in plain else self.made(key)

    def _item(self, item: Any, text: str | None) -> Any:
        return self.made(item) if text is None else self._plain(text)

    def _plain(self, text: str) -> Any:
        tag = self._resolver.resolve(self._yaml.ScalarNode, text, (True, False))
        return self._yaml.ScalarNode(tag, text)

    def _text(self, text: str) -> Any:
        return self._yaml.ScalarNode(_STR, text, style="'" if is_ambiguous(text) else None)
