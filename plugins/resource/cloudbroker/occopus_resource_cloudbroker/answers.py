"""Parses the platform's XML defensively: elements as texts, refusals as errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_LISTS = ("instances", "nil-classes")
"""Root elements of a list of instances: Rails names an empty list ``nil-classes``."""
_TOTAL = "total"


class ForeignError(Exception):
    """Unexpected content: a web page, or an incomplete answer."""


class StrangerError(Exception):
    """An answer with unexpected content."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class RefusalError(Exception):
    """An error answer: by its ``errors`` element with any status, or by its status."""

    status: int
    messages: Sequence[str] = ()
    type: str = ""
    retry_after: str = ""
    explained: bool = False
    """True if the answer has an ``errors`` element: the application itself has refused the call."""


def nothing(root: Element | None, body: bytes) -> None:
    """Check the answer to a call without a result: it may be empty. Raises `ForeignError` for a web page."""
    if body.strip().startswith(b"<") and (root is None or _name(root) == "html"):
        raise ForeignError


def parsed(body: bytes) -> Element | None:
    """The root element; None for XML that is not well-formed, or has a document type or entities."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def refusal(root: Element, status: int, retry_after: str) -> RefusalError | None:
    """The refusal in an answer, None without an ``errors`` element."""
    errors = root if _name(root) == "errors" else next((each for each in root if _name(each) == "errors"), None)
    if errors is None:
        return None
    messages = [text for each in errors if _name(each) == "error" and (text := _text(each))]
    kind = next((_text(each) for each in errors if _name(each) == "type"), "")
    return RefusalError(status, messages, kind, retry_after, explained=True)


def instance(root: Element | None) -> Mapping[str, str]:
    """The fields of one instance. Raises `ForeignError` for another element."""
    if root is None or _name(root) != "instance":
        raise ForeignError
    return _fields(root)


def instances(root: Element | None) -> list[Mapping[str, str]]:
    """The fields of each instance of a list. Raises `ForeignError` for any other root element."""
    if root is None or not (_name(root) in _LISTS or root.get("type") == "array"):
        raise ForeignError
    if any(_name(each) != "instance" for each in root):
        raise ForeignError
    return [_fields(each) for each in root]


def total(root: Element | None) -> Decimal | None:
    """The total cost in a list of fees with any root element; None without an entry for it.

    Raises `ForeignError` for anything but fees.
    """
    if root is None or any(_name(each) != "fee" for each in root):
        raise ForeignError
    for fee in map(_fields, root):
        if fee.get("name", "").lower() == _TOTAL:
            return _amount(fee.get("total-cost", ""))
    return None


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _fields(element: Element) -> dict[str, str]:
    return {_name(each): _text(each) for each in element}


def _name(element: Element) -> str:
    """The name with underscores: answers have hyphens in some names and underscores in others."""
    return str(element.tag).replace("_", "-")


def _text(element: Element) -> str:
    return " ".join((element.text or "").split())
