"""Reads values of a `resource` section, which may be texts of rendered templates."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.api import PermanentError

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "none": False, "": False}
_PORT = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?:/(?P<protocol>tcp|udp))?", re.IGNORECASE)
_MOST_PORTS = 65535
_DIGITS = 15


def refuse_bad_names(values: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check rendered values against the patterns of the schema: they become parts of URLs.

    Raises `PermanentError` with the key.
    """
    for key, rule in schema["properties"].items():
        text = str(values.get(key) or "")
        pattern = re.sub(r"\$\Z", r"\\Z", rule.get("pattern", ""))  # `$` also matches before a last newline
        if text and not re.search(pattern, text):
            message = f"resource.{key}: {reprlib.repr(text)} {rule['patternErrorMessage']}"
            raise PermanentError(message, at=f"resource.{key}")


def truth(resource: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """True or false. Raises `PermanentError`."""
    if key not in resource:
        return default
    known = _TRUTHS.get(str(resource[key]).strip().lower())
    if known is None:
        raise PermanentError(f"resource.{key} must be true or false, not {reprlib.repr(resource[key])}")
    return known


def whole(resource: Mapping[str, Any], key: str, least: int, most: int) -> int:
    """An integer within these bounds. Raises `PermanentError`."""
    text = str(resource[key]).strip()
    value = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else least - 1
    if not least <= value <= most:
        raise PermanentError(f"resource.{key} must be a whole number from {least} to {most}, not {reprlib.repr(text)}")
    return value


def number(resource: Mapping[str, Any], key: str) -> float:
    """A number above 0. Raises `PermanentError`."""
    try:
        value = float(str(resource[key]))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise PermanentError(f"resource.{key} must be a number above 0, not {reprlib.repr(resource[key])}")
    return value


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of ports of one protocol; `ICMP` has none."""

    first: int
    last: int
    protocol: str

    @property
    def range(self) -> str:
        """The range in the form that security rules have."""
        return (
            "*"
            if self.protocol == "Icmp"
            else str(self.first)
            if self.first == self.last
            else f"{self.first}-{self.last}"
        )


def ports(resource: Mapping[str, Any], key: str, *, icmp: bool = False, ranges: bool = True) -> list[Ports]:
    """A list of ports: `80`, `"53/UDP"`, where allowed `"8000-8100"` and `icmp`. Raises `PermanentError`."""
    values = resource.get(key) or ()
    if isinstance(values, str | int):
        values = [values]
    return [_ports(value, key, icmp=icmp, ranges=ranges) for value in values]


def _ports(value: Any, key: str, *, icmp: bool, ranges: bool) -> Ports:
    text = str(value).strip()
    if icmp and text.lower() == "icmp":
        return Ports(0, 0, "Icmp")
    found = _PORT.fullmatch(text)
    if found is not None and (ranges or found["last"] is None):
        first = int(found["first"])
        last = int(found["last"] or first)
        if 1 <= first <= last <= _MOST_PORTS:
            return Ports(first, last, (found["protocol"] or "tcp").capitalize())
    raise PermanentError(f"resource.{key}: {reprlib.repr(text)} is no port: give 80, or '53/UDP'")
