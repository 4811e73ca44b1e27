"""Recorded exchanges with the real Azure, as sequences that start from an empty account."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from occopus_resource_azure.testing.account import SUBSCRIPTION

_PLACES = {"<SUBSCRIPTION_ID>": SUBSCRIPTION, "<RG>": "rg", "<VNET>": "vnet", "<SUBNET>": "subnet", "<NAME>": "name"}
_REAL_NAMES = re.compile(r"CLI_TEST_DELETE_DEPENDENT_RESOURCES[0-9A-Z]{20,}")
"""The real name of a group in recordings, and the placeholder for it."""
_UNREADABLE = "<cut"


@dataclass(frozen=True)
class Recorded:
    """One exchange."""

    file: str
    number: int
    method: str
    url: str
    status: int
    headers: dict[str, str] = field(repr=False)
    request: Any = field(repr=False)
    response: Any = field(repr=False)

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.url).path)

    @property
    def query(self) -> dict[str, str]:
        """The query, by name in lower case."""
        return {name.lower(): value for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True)}

    @property
    def error(self) -> str:
        """The code of an error, or an empty text."""
        body = self.response if isinstance(self.response, dict) else {}
        return str((body.get("error") or {}).get("code", ""))

    @property
    def version(self) -> str:
        """The api-version."""
        return self.query.get("api-version", "")

    @property
    def is_recent(self) -> bool:
        """Whether it was recorded in 2024 or later, whatever the api-version."""
        return "_aso" in self.file

    def __str__(self) -> str:
        return f"{self.file} {self.number}: {self.method} {self.path}"


def sequences(folder: Path) -> Iterator[tuple[str, list[Recorded]]]:
    """The sequences of all files by name; each exchange of the collection of errors is a sequence."""
    for file in sorted(folder.glob("*.jsonl")):
        if file.stem == "reported_errors":
            continue  # quoted from a report, not recorded
        found: list[Recorded] = []
        last, source, count = -1, "", 0
        for line in file.read_text("utf-8").splitlines():
            entry = json.loads(line)
            number = entry["n"] if entry.get("n") is not None else last + 1
            new = number <= last or entry.get("src", "") != source or file.stem == "errors"
            if new and found:
                yield f"{file.stem}-{count}", found
                found, count = [], count + 1
            found.append(_read(file.stem, number, entry))
            last, source = number, entry.get("src", "")
        yield f"{file.stem}-{count}", found


def _read(file: str, number: int, entry: dict[str, Any]) -> Recorded:
    headers = {name.lower(): _placed(value) for name, value in (entry.get("headers") or {}).items()}
    return Recorded(
        file,
        number,
        entry["method"],
        _placed(entry["path"]),
        int(entry["status"]),
        headers,
        _body(_placed(entry.get("request"))),
        _placed(entry.get("response")),
    )


def _placed(value: Any) -> Any:
    """The value with the placeholders of the recordings filled in."""
    if isinstance(value, str):
        for word, text in _PLACES.items():
            value = value.replace(word, text)
        value = _REAL_NAMES.sub("cli_test_delete_dependent_resources000001", value)
        return "Secret-123456" if value == "<REDACTED>" else value
    if isinstance(value, list):
        return [_placed(each) for each in value]
    if isinstance(value, dict):
        return {_placed(name): _placed(each) for name, each in value.items()}
    return value


def _body(value: Any) -> Any:
    """Parse a body that was recorded as the text of bytes."""
    if not isinstance(value, str) or _UNREADABLE in value:
        return None if isinstance(value, str) else value
    try:
        return json.loads(ast.literal_eval(value) if value.startswith(("b'", 'b"')) else value)
    except (ValueError, SyntaxError):
        return None
