"""Reads YAML into a `Document`. Follows ``!yaml_import`` and ``!text_import``; other tags have no effect."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from occopus_core.descriptions.builder import TEXT_UNIT, YAML_IMPORT, Builder, Built, Reading
from occopus_core.descriptions.document import Document, Mark
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.descriptions.yaml_faults import yaml_fault

MAX_BYTES = 16 * 2**20
MAX_IMPORT_DEPTH = 20
MAX_TAG_DIRECTIVES = 100
"""The largest number of %TAG lines: libyaml compares each with all earlier ones."""

Source = str | bytes | os.PathLike[str]
"""A file, or the text itself if a name is given."""
STDIN = "-"
"""The name of standard input; a file of this name is `./-`."""
_STDIN_NAME = "standard input"

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_NUL = re.compile("\0")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def load(source: Source, *, name: str | None = None, imports: bool = True, tolerant: bool = False) -> Document:
    """Read one YAML document: the file `source`, or the text `source` if `name` is given.

    The file `-` is standard input; its imports are relative to the working directory. Without `imports` the import tags
    are refused, as required for texts from the network. A `tolerant` reading ignores unknown tags and lists them in
    `Document.ignored_tags`. Changes nothing. Raises `DescriptionError`.
    """
    return _Load(imports=imports, tolerant=tolerant).document(source, name)


class _Load:
    """One call of `load`: the files read, and the open ones."""

    def __init__(self, *, imports: bool, tolerant: bool) -> None:
        self._imports = imports
        self._reading = Reading(tolerant)
        self._open: list[str] = []
        self._done: dict[tuple[str, str], Built] = {}
        self._files: dict[str, None] = {}

    def document(self, source: Source, name: str | None) -> Document:
        if name is None and source == STDIN:
            data, name = self._read_stdin(), _STDIN_NAME
        elif name is None:
            name = os.fsdecode(source)
            try:
                data = self._read(name)
            except _RefusedError as refused:
                raise self._reading.fatal((name, 0, 0), str(refused)) from None
            self._open.append(os.path.realpath(name))
        else:
            data = source if isinstance(source, bytes) else os.fspath(source).encode("utf-8", "surrogatepass")
        root = self._parse(data, name, 0)
        if self._reading.problems:
            raise DescriptionError(self._reading.problems)
        ignored = tuple(self._reading.ignored_tags)
        return Document(
            name, root.value, tuple(self._files), ignored, root.mark, self._reading.marks, self._reading.texts
        )

    def _parse(self, data: bytes, name: str, depth: int) -> Built:
        text = self._text(data, name, _UNPRINTABLE)
        if text.count("\n%TAG") > MAX_TAG_DIRECTIVES:
            raise self._reading.fatal((name, 0, 0), f"more than {MAX_TAG_DIRECTIVES} %TAG directives")
        try:
            return Builder(self._reading, name, depth, self._import).build(yaml.parse(text, Loader=_PARSER))
        except yaml.MarkedYAMLError as error:
            line, column, fault = yaml_fault(error, text)
            raise self._unreadable((name, line + 1, column + 1), f"not valid YAML: {fault}") from None

    def _unreadable(self, mark: Mark, message: str) -> _UnreadableError:
        """The error to raise if the rest of one file cannot be read."""
        self._reading.problem(mark, message)
        return _UnreadableError(self._reading.problems)

    def _text(self, data: bytes, name: str, forbidden: re.Pattern[str]) -> str:
        if len(data) > MAX_BYTES:
            raise self._unreadable((name, 0, 0), f"larger than {MAX_BYTES // 2**20} MiB")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode()
            message = "this is not UTF-8 text: save the file as UTF-8"
            raise self._unreadable(_place(before, name), message) from None
        bad = forbidden.search(text)
        if bad:
            message = f"the character U+{ord(bad.group()):04X} cannot stand in this file: remove it"
            raise self._unreadable(_place(text[: bad.start()], name), message)
        return text

    def _read_stdin(self) -> bytes:
        """The bytes of standard input, up to slightly more than the limit."""
        try:
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        except (AttributeError, OSError, ValueError):  # it is already closed
            raise self._reading.fatal((_STDIN_NAME, 0, 0), "standard input cannot be read") from None

    def _read(self, path: str) -> bytes:
        """The bytes of the file, up to slightly more than the limit."""
        self._files[path] = None
        try:
            with Path(path).open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            reason = "there is no such file"
        except IsADirectoryError:
            reason = "this is a folder, not a file"
        except PermissionError:
            reason = "you may not read this file: check its permissions"
        except (OSError, ValueError) as error:
            reason = f"the file cannot be read: {getattr(error, 'strerror', None) or 'its name is not possible'}"
        raise _RefusedError(reason)

    # Imports

    def _import(self, tag: str, url: str, mark: Mark, depth: int) -> Built:
        """The value of an import. A fault in it is recorded, so that others are found too."""
        try:
            path = self._path(url, mark)
            built = self._done.get((tag, path))
            if built is None:
                built = self._done[tag, path] = self._import_file(tag, path, mark, depth)
            else:
                self._reading.grow(built.size, mark)
        except _RefusedError as refused:
            self._reading.problem(mark, f"{tag}: {refused}")
            return Built(None, 1, 0, mark)
        except _UnreadableError:  # already recorded; the other contents may have faults too
            built = self._done[tag, path] = Built(None, 1, 0, mark)
        return built

    def _path(self, url: str, mark: Mark) -> str:
        if not self._imports:
            raise _RefusedError("a text that came over the network cannot import files: put the content itself here")
        scheme = _SCHEME.match(url)
        if scheme is None or scheme[1].lower() != "file":
            fault = f"'{scheme[1]}://' is not supported" if scheme else "this is no URL"
            raise _RefusedError(f"{fault}: write file://NAME, relative to this file, or file:///ABSOLUTE/NAME")
        return os.path.join(os.path.dirname(mark[0]), unquote(url[scheme.end() :]))  # noqa: PTH118, PTH120

    def _import_file(self, tag: str, path: str, mark: Mark, depth: int) -> Built:
        try:
            data = self._read(path)
        except _RefusedError as refused:
            raise _RefusedError(f"'{path}': {refused}") from None
        if tag != YAML_IMPORT:
            text = self._text(data, path, _NUL)
            self._reading.texts[mark] = path
            built = Built(text, 1 + len(text) // TEXT_UNIT, 0, mark)
            self._reading.grow(built.size, mark)
            return built
        real = os.path.realpath(path)
        if real in self._open:
            way = " -> ".join([*map(os.path.basename, self._open[self._open.index(real) :]), Path(real).name])
            raise _RefusedError(f"the files import each other: {way}")
        if len(self._open) > MAX_IMPORT_DEPTH:
            raise _RefusedError(f"imports are nested deeper than {MAX_IMPORT_DEPTH}")
        self._open.append(real)
        try:
            return self._parse(data, path, depth)
        finally:
            self._open.pop()


class _RefusedError(Exception):
    """A file is refused; the message says why."""


class _UnreadableError(DescriptionError):
    """The contents of one file cannot be read; its fault is recorded."""


def _place(before: str, name: str) -> Mark:
    return name, before.count("\n") + 1, len(before) - before.rfind("\n")
