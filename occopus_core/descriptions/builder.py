"""Builds values with positions from the events of PyYAML's parser.

PyYAML's own composer recurses in C, so that deeply nested text crashes the interpreter, and it supports neither limits
nor positions of keys. This builder keeps open containers on a stack of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from occopus_core.api import scalars
from occopus_core.api.spelling import did_you_mean
from occopus_core.api.written import WrittenList, WrittenMap
from occopus_core.descriptions.document import Mark, Marks
from occopus_core.descriptions.problems import DescriptionError, Position, Problem

MAX_DEPTH = 100
MAX_SIZE = 1_000_000
"""The largest number of values after aliases and imports are expanded; see `TEXT_UNIT`."""
TEXT_UNIT = 256
"""A text counts as another value for each so many characters, to limit repeated long texts, too."""

YAML_IMPORT, TEXT_IMPORT = "!yaml_import", "!text_import"
_IMPORTS = (YAML_IMPORT, TEXT_IMPORT)
_MAP, _SEQ = f"{scalars.STANDARD}map", f"{scalars.STANDARD}seq"


class _Special:
    """Marks a place without a YAML value."""


_NO_KEY, _MERGE, _SKIP, _OPEN, _UNKNOWN = _Special(), _Special(), _Special(), _Special(), _Special()


class Built(NamedTuple):
    """A finished value with its expanded size, its depth and its position.

    `text` is the text of a plain scalar.
    """

    value: Any
    size: int
    height: int
    mark: Mark
    text: str | None = None


Import = Callable[[str, str, Mark, int], Built]
"""Reads an import, given its tag, the text of its `url`, its position and its depth."""


@dataclass(slots=True)
class Reading:
    """The state shared by all files of one load."""

    tolerant: bool = False
    problems: list[Problem] = field(default_factory=list)
    marks: Marks = field(default_factory=dict)
    texts: dict[Mark, str] = field(default_factory=dict)
    ignored_tags: dict[str, None] = field(default_factory=dict)
    size: int = 0

    def problem(self, mark: Mark, message: str) -> None:
        """Record a problem and continue."""
        self.problems.append(Problem(Position(*mark), "", message))

    def fatal(self, mark: Mark, message: str) -> DescriptionError:
        """The error to raise if reading cannot continue: this problem and the earlier ones."""
        self.problem(mark, message)
        return DescriptionError(self.problems)

    def grow(self, size: int, mark: Mark) -> None:
        """Count more values. Raises `DescriptionError` if there are too many."""
        self.size += size
        if self.size > MAX_SIZE:
            raise self.fatal(
                mark, f"more than {MAX_SIZE:,} values, with aliases and imports written out: make it smaller"
            )


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read."""

    value: Any
    marks: Any
    mark: Mark
    anchor: str | None
    tag: str | None
    flow: bool
    size: int = 1
    height: int = 1
    key: Any = _NO_KEY
    key_mark: Mark = ("", 0, 0)
    merges: list[dict[str, Any]] = field(default_factory=list)
    merge_mark: Mark | None = None


class Builder:
    """Builds one document. Raises `DescriptionError`; records problems that need not stop it in `reading`."""

    def __init__(self, reading: Reading, name: str, depth: int, import_: Import) -> None:
        self._reading = reading
        self._name = name
        self._depth = depth
        self._import = import_
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Any] = {}
        self._root: Built | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
        }

    def build(self, events: Iterable[Any]) -> Built:
        """The value of the only document. Stops reading the events at the first fatal problem."""
        handlers = self._handlers
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        if self._root is None or self._root.value is None:
            raise self._reading.fatal((self._name, 0, 0), "this is empty")
        return self._root

    def _mark(self, event: Any) -> Mark:
        mark = event.start_mark
        return self._name, mark.line + 1, mark.column + 1

    def _document(self, event: Any) -> None:
        if self._root is not None:
            raise self._reading.fatal(
                self._mark(event), "a second document begins here ('---'): one file is one document"
            )

    # Scalars and aliases

    def _scalar(self, event: Any) -> None:
        mark = self._mark(event)
        text, tag = event.value, event.tag
        value: Any = text
        plain = event.implicit[0] if tag is None else not (event.style or tag == "!" or tag in scalars.TAGS)
        try:
            if tag is None:
                if plain:
                    value = _MERGE if text == "<<" and self._wants_key() else scalars.kept(text)
            elif tag in scalars.TAGS:
                value = scalars.construct(tag, text)
            elif tag != "!":
                self._unfit(tag, mark)
                value = scalars.kept(text) if plain else text
        except ValueError as error:
            self._reading.problem(mark, str(error))
        size = 1 + len(text) // TEXT_UNIT
        self._reading.grow(size, mark)
        built = Built(value, size, 0, mark, text if plain else None)
        if event.anchor:
            self._anchors[event.anchor] = built
        self._add(built)

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        built = self._anchors.get(event.anchor)
        if built is None:
            self._reading.problem(mark, _no_anchor(event.anchor, self._anchors))
            built = Built(_UNKNOWN, 1, 0, mark)
        elif built is _OPEN:
            raise self._reading.fatal(mark, f"the alias *{event.anchor} is inside the value it stands for")
        self._check_depth(built.height, mark)
        self._reading.grow(built.size, mark)
        self._add(built._replace(mark=mark))

    def _check_depth(self, height: int, mark: Mark) -> None:
        if self._depth + len(self._stack) + height > MAX_DEPTH:
            raise self._reading.fatal(mark, f"nested deeper than {MAX_DEPTH} levels")

    # Containers

    def _mapping(self, event: Any) -> None:
        self._begin(event, WrittenMap(), {}, _MAP)

    def _sequence(self, event: Any) -> None:
        self._begin(event, WrittenList(), [], _SEQ)

    def _begin(self, event: Any, value: Any, marks: Any, own_tag: str) -> None:
        mark = self._mark(event)
        tag = event.tag
        if tag is not None and tag not in (own_tag, "!") and not (own_tag == _MAP and tag in _IMPORTS):
            self._unfit(tag, mark)
        self._check_depth(1, mark)
        self._reading.grow(1, mark)
        if event.anchor:
            self._anchors[event.anchor] = _OPEN
        self._stack.append(_Frame(value, marks, mark, event.anchor, tag, bool(event.flow_style)))

    def _end(self, _event: Any) -> None:
        frame = self._stack.pop()
        if frame.merges:
            self._merge(frame)
        self._reading.marks[id(frame.value)] = (frame.value, frame.marks)
        built = Built(frame.value, frame.size, frame.height, frame.mark)
        if frame.tag in _IMPORTS and isinstance(frame.value, dict):
            built = self._imported(frame)
        if frame.anchor:
            self._anchors[frame.anchor] = built
        self._add(built, flow=frame.flow)

    def _imported(self, frame: _Frame) -> Built:
        tag, url = str(frame.tag), frame.value.get("url")
        if list(frame.value) == ["url"] and isinstance(url, str):
            built = self._import(tag, url, frame.mark, self._depth + len(self._stack))
            self._check_depth(built.height, frame.mark)
            return built
        self._reading.problem(frame.mark, f"{tag} needs the key 'url' and no other: {tag} {{url: file://NAME}}")
        return Built(None, 1, 0, frame.mark)

    def _add(self, built: Built, *, flow: bool = False) -> None:
        if not self._stack:
            self._root = built
            return
        frame = self._stack[-1]
        frame.size += built.size
        if built.height >= frame.height:
            frame.height = built.height + 1
        if isinstance(frame.value, list):
            _note(frame.value, len(frame.value), built)
            frame.value.append(built.value)
            frame.marks.append(built.mark)
        elif frame.key is _NO_KEY:
            frame.key, frame.key_mark = self._key(frame, built, flow), built.mark
        else:
            self._put(frame, built)
            frame.key = _NO_KEY

    # Mappings

    def _wants_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is _NO_KEY

    def _key(self, frame: _Frame, built: Built, flow: bool) -> Any:
        key, first = built.value, None
        if key is _UNKNOWN:
            return _SKIP
        if key is _MERGE:
            first, frame.merge_mark = frame.merge_mark, built.mark
            name = "<<"
        elif built.text or isinstance(key, str):
            key = name = key if isinstance(key, str) else str(built.text)
            first = frame.marks.get(key, (None,))[0]
            if built.text is not None and scalars.is_ambiguous(built.text):
                frame.value.plain_keys.add(key)
        else:
            self._reading.problem(built.mark, _bad_key(key, flow))
            return _SKIP
        if first is None:
            return key
        self._reading.problem(built.mark, f"the key '{name}' is there twice: first at {Position(*first)}")
        return _SKIP

    def _put(self, frame: _Frame, built: Built) -> None:
        if frame.key is _MERGE:
            found = built.value if isinstance(built.value, list) else [built.value]
            frame.merges = [one for one in found if isinstance(one, dict)]
            if not all(one is _UNKNOWN or isinstance(one, dict) for one in found):
                self._reading.problem(built.mark, "'<<' takes a mapping, or a list of mappings")
        elif frame.key is not _SKIP:
            _note(frame.value, frame.key, built)
            frame.value[frame.key] = built.value
            frame.marks[frame.key] = (frame.key_mark, built.mark)

    def _merge(self, frame: _Frame) -> None:
        """Merge the keys of ``<<``: earlier mappings override later ones, and the mapping's own keys override all."""
        own = frame.value
        frame.value, marks = WrittenMap(), {}
        for merged in [*reversed(frame.merges), own]:
            frame.value.lay_over(merged)
            marks.update(frame.marks if merged is own else self._reading.marks[id(merged)][1])
        frame.marks = marks

    # Tags

    def _unfit(self, tag: str, mark: Mark) -> None:
        shown = f"!!{tag.removeprefix(scalars.STANDARD)}" if tag.startswith(scalars.STANDARD) else tag
        if tag in _IMPORTS:
            self._reading.problem(mark, f"{tag} needs a mapping: {tag} {{url: file://NAME}}")
        elif tag in scalars.TAGS or tag in (_MAP, _SEQ):
            self._reading.problem(mark, f"the tag {shown} does not fit the value it stands before")
        elif self._reading.tolerant:
            self._reading.ignored_tags[shown] = None
        else:
            self._reading.problem(mark, f"the tag {shown} is not allowed: only {' and '.join(_IMPORTS)} are")


def _note(container: Any, at: str | int, built: Built) -> None:
    """Keep the text of a plain scalar if its value does not determine it, or another reader may not read it as text."""
    text, value = built.text, built.value
    if text is None:
        return
    if scalars.is_ambiguous(text) if isinstance(value, str) else text != scalars.canonical(value):
        container.texts[at] = text


def _no_anchor(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known) or f": mark the value it stands for with &{name}, or quote '*{name}' if it is text"
    return f"the alias *{name} has no anchor &{name} before it{hint}"


def _bad_key(key: Any, flow: bool) -> str:
    if isinstance(key, dict | list):
        hint = ": quote a value that begins with '{{'" if flow and isinstance(key, dict) else ""
        return f"a {'mapping' if isinstance(key, dict) else 'list'} cannot be a key{hint}"
    return "a key cannot be empty" if key is None else "a key must be text: put quotes around it"
