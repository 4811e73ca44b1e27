"""Credentials: reads `auth_data.yaml`. `occopus_core.redaction` removes its secrets from all output."""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from occopus_core.api.auth import PUBLIC_KEYS
from occopus_core.api.scalars import canonical
from occopus_core.api.spelling import did_you_mean
from occopus_core.api.written import texts_of
from occopus_core.descriptions.problems import DescriptionError, Position, Problem, in_order
from occopus_core.locations import FOLDER, find
from occopus_core.redaction import HIDDEN, LOGIN, SECRET_NAME

if TYPE_CHECKING:
    from occopus_core.descriptions.document import Document

VARIABLE = "OCCOPUS_AUTH_DATA_PATH"
NAME = "auth_data.yaml"
Section = Literal["resource", "config_management", "health_check", "notify"]
SECTIONS: tuple[Section, ...] = get_args(Section)
_ENTRY = re.compile(r"(\w+)\[(\d+)\]")

_NAMES = frozenset({"user", "username", "email", "client_id", "client_name"})
"""Those of `PUBLIC_KEYS` that basic authentication sends together with a secret."""


class AuthData(Mapping[str, str]):
    """The values of one entry. Hidden in `repr` and `str`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"AuthData({', '.join(f'{key}={HIDDEN}' for key in self._values)})"


@dataclass(frozen=True, slots=True)
class _Entry:
    selectors: Mapping[str, Any]
    auth_data: AuthData
    position: Position
    problems: tuple[Problem, ...] = ()
    """The mistakes in the entry; reported only when it is used."""

    def differences(self, wanted: Mapping[str, Any]) -> list[str]:
        """Why it does not apply to a section; empty if it does. Shows no value that may be secret."""
        return [
            _difference(key, value, canonical(wanted[key])) if key in wanted else f"the section has no {key}"
            for key, value in self.selectors.items()
            if key not in wanted or canonical(wanted[key]) != value
        ]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The contents of a credentials file; empty without a file."""

    entries: Mapping[str, tuple[_Entry, ...]] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    """Warnings for the user, one line each."""
    _stamps: Mapping[str, object] = field(default_factory=dict, repr=False)
    """The files it was read from, the main one first, each with a value that changes when it is written."""
    _secrets: set[str] = field(default_factory=set, repr=False)
    """Shared by all renewals, so that old secrets stay redacted."""

    @classmethod
    def load(cls, path: str | None = None, environ: Mapping[str, str] = os.environ) -> Credentials:
        """Read `path`, else the file in `$OCCOPUS_AUTH_DATA_PATH`, else the first one found; see `locations.find`.

        Raises `DescriptionError`, which contains no values.
        """
        file = path or environ.get(VARIABLE) or find(NAME, "--auth_data_path")
        if not file:
            return cls(_stamps={os.path.expanduser(f"{FOLDER}/{NAME}"): None})  # noqa: PTH111  # it may come
        return _read(file, set())

    def __post_init__(self) -> None:
        self._secrets.update(_secrets_of(self.entries))

    def renewed(self) -> Credentials:
        """The present contents of the file; the same object if no file has changed.

        A file that cannot be read, possibly because it is being written, is ignored until it can be read.
        """
        stamps = {file: _stamp(file) for file in self._stamps}
        if stamps == self._stamps:
            return self
        try:
            return _read(next(iter(stamps)), self._secrets)
        except DescriptionError:
            return replace(self, _stamps=stamps)

    def find(self, section: Section, wanted: Mapping[str, Any]) -> AuthData:
        """The credentials for a section of a node definition; empty without a matching entry.

        Raises `DescriptionError` if several entries match.
        """
        found = [entry for entry in self.entries.get(section, ()) if not entry.differences(wanted)]
        if len(found) > 1:
            places = " and ".join(str(entry.position) for entry in found)
            message = f"the entries at {places} all apply to {_label(wanted)}: add keys so that only one does"
            raise DescriptionError([Problem(found[1].position, section, message)])
        if found and found[0].problems:
            raise DescriptionError(found[0].problems)
        return found[0].auth_data if found else AuthData()

    def origin(self, section: Section, wanted: Mapping[str, Any]) -> str:
        """The entry that applies to a section, or why those of its type do not; empty without any of its type."""
        type = wanted["type"]
        entries = [one for one in self.entries.get(section, ()) if one.selectors.get("type", type) == type]
        for entry in entries:
            if not entry.differences(wanted):
                return f"the credentials are those at {entry.position}"
        if not entries:
            return ""
        why = "; ".join(dict.fromkeys(one.differences(wanted)[0] for one in entries))
        how_many = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
        verdict = "which does not apply" if len(entries) == 1 else "of which none applies"
        return f"the file {entries[0].position.file} has {how_many} of type {type}, {verdict}: {why}"

    @property
    def endpoints(self) -> frozenset[str]:
        """The endpoints of clouds and configuration managers in the entries."""
        return frozenset(
            entry.selectors["endpoint"]
            for section in ("resource", "config_management")
            for entry in self.entries.get(section, ())
            if "endpoint" in entry.selectors
        )

    def values(self, section: Section, type: str, key: str) -> frozenset[str]:
        """The values of a key of the section in the entries for plugins of this type."""
        return frozenset(
            entry.selectors[key]
            for entry in self.entries.get(section, ())
            if key in entry.selectors and entry.selectors.get("type", type) == type
        )

    def secrets(self) -> Set[str]:
        """All values that must not be shown. Renewals add to them."""
        return self._secrets


def _read(file: str, secrets: set[str]) -> Credentials:
    """Read the present contents of a file. Raises `DescriptionError`."""
    # YAML and JSON Schema take long to import: they are imported only if there is a file.
    from occopus_core.descriptions.loader import load  # noqa: PLC0415
    from occopus_core.descriptions.schema import check, core_schema, validator  # noqa: PLC0415

    before = _stamp(file)  # a change during the read causes another read
    document = load(file)
    problems, unused = _deferred(document, check(document, validator(core_schema("auth_data"))))
    problems += _unselective(document)
    if problems:
        raise DescriptionError(in_order(problems, document.name))
    entries: dict[str, tuple[_Entry, ...]] = {
        section: tuple(
            _entry(document, section, index, unused.get((section, index), ()))
            for index in range(len(document.data[section]))
        )
        for section in SECTIONS
        if section in document.data
    }
    stamps = {file: before, **{each: _stamp(each) for each in document.files if each != file}}
    unknown = [key for key in document.data if key not in SECTIONS and not key.startswith("x-")]
    hints = [f"{key}{did_you_mean(key, SECTIONS)}" for key in unknown]
    warnings = [f"{file}: these sections are not used and were ignored: {', '.join(hints)}"] if hints else []
    return Credentials(entries, (*warnings, *_exposed(document.files)), stamps, secrets)


def _deferred(
    document: Document, problems: Iterable[Problem]
) -> tuple[list[Problem], dict[tuple[str, int], list[Problem]]]:
    """The problems of the file, and those of single entries, which matter only when an entry is used."""
    now: list[Problem] = []
    later: dict[tuple[str, int], list[Problem]] = {}
    for problem in problems:
        found = _ENTRY.match(problem.path)
        at = (found[1], int(found[2])) if found else None
        entry = document.data[at[0]][at[1]] if at else None
        if at and isinstance(entry, dict) and isinstance(entry.get("type"), str) and "auth_data" in entry:
            later.setdefault(at, []).append(problem)
        else:
            now.append(problem)
    return now, later


def _secrets_of(sections: Mapping[str, Iterable[_Entry]]) -> Iterator[str]:
    for entries in sections.values():
        for entry in entries:
            names = [value for key, value in entry.auth_data.items() if key in _NAMES]
            for secret in (value for key, value in entry.auth_data.items() if key not in PUBLIC_KEYS):
                yield secret
                if "\n" not in secret:
                    yield from (b64encode(f"{name}:{secret}".encode(errors="replace")).decode() for name in names)


def _stamp(file: str) -> object:
    """A value that changes when a file is written or replaced; None without a file."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _entry(document: Document, section: str, index: int, problems: Iterable[Problem]) -> _Entry:
    entry = document.data[section][index]
    texts, values = texts_of(entry), entry["auth_data"]
    selectors = {key: texts.get(key, canonical(value)) for key, value in entry.items() if key != "auth_data"}
    known = {key: value for key, value in values.items() if isinstance(value, str)} if isinstance(values, dict) else {}
    return _Entry(selectors, AuthData(known), document.locate((section, index)), tuple(problems))


def _unselective(document: Document) -> Iterator[Problem]:
    """Entries that would send their secrets to any endpoint."""
    for section, entries in document.data.items() if isinstance(document.data, dict) else ():
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and list(entry) == ["auth_data"]:
                message = "the purpose of these credentials is unknown: add 'type', and 'endpoint' or 'name' if needed"
                yield document.problem((section, index), message)


def _difference(key: str, value: str, wanted: str) -> str:
    if SECRET_NAME.search(key) or LOGIN.search(f"{value} {wanted}"):
        return f"{key} is another one"
    return f"{key} {value} is not {wanted}"


def _label(section: Mapping[str, Any]) -> str:
    return " ".join(f"{key} '{section[key]}'" for key in ("type", "name", "endpoint") if key in section) or "it"


def _exposed(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        if os.stat(file).st_mode & (stat.S_IRGRP | stat.S_IROTH):  # noqa: PTH116
            yield f"{file}: other users can read this file, which contains secrets: chmod 600 {file}"
