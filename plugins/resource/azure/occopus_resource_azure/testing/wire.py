"""Requests and answers of Azure Resource Manager as values, independent of HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_resource_azure.testing.faults import Fault

Json = dict[str, Any]


def _taken(words: list[str], first: str) -> tuple[str, list[str]]:
    """The second word if the first is `first`, and the remaining words."""
    if words[1:] and words[0].lower() == first:
        return words[1], words[2:]
    return "", words


@dataclass(frozen=True)
class Path:
    """A parsed path below a subscription."""

    subscription: str = ""
    group: str = ""
    provider: str = ""
    """The namespace of the resource provider, such as ``Microsoft.Network``."""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """The names that belong to `types`; one fewer for a collection or an action."""

    @classmethod
    def parse(cls, path: str) -> Path | None:
        """Parse a path; None if it is not below a subscription."""
        words = path.strip("/").split("/")
        subscription, words = _taken(words, "subscriptions")
        if not subscription:
            return None
        group, words = _taken(words, "resourcegroups")
        provider, words = _taken(words, "providers")
        return cls(subscription, group, provider, tuple(words[0::2]), tuple(words[1::2]))

    @property
    def type(self) -> str:
        """The resource type in lower case, such as ``microsoft.network/virtualnetworks/subnets``."""
        return "/".join((self.provider, *self.types)).strip("/").lower()

    @property
    def is_item(self) -> bool:
        """Whether the path is that of one resource."""
        return bool(self.types) and len(self.types) == len(self.names)

    @property
    def id(self) -> str:
        """The path as the id of a resource."""
        words = [word for pair in zip(self.types, self.names, strict=False) for word in pair]
        group = f"/resourceGroups/{self.group}" if self.group else ""
        return "/".join((f"/subscriptions/{self.subscription}{group}/providers/{self.provider}", *words))

    @property
    def parent(self) -> Path:
        """The path without its last type, and without the last name of a single resource."""
        size = len(self.types) - 1
        return Path(self.subscription, self.group, self.provider, self.types[:size], self.names[:size])


@dataclass
class Request:
    """A received call."""

    method: str
    path: str
    query: Mapping[str, str]
    """By name in lower case; values are decoded."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: Any = None
    """The JSON of the body; text for a form, None without a body."""
    target: Path = field(default_factory=Path)
    operation_fault: Fault | None = None
    """The fault for the asynchronous operation that it starts."""

    @property
    def version(self) -> str:
        """The requested api-version."""
        return self.query.get("api-version", "")


@dataclass
class Answer:
    """A response: JSON, text if `body` is `bytes`, empty if it is None."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class RefusedError(Exception):
    """An error answer with an ARM error body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Mapping[str, Any]] | None = None,
        target: str = "",
        cause: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        error: Json = {"code": code, "message": message}
        if details is not None:
            error["details"] = [dict(each) for each in details]
        if target:
            error["target"] = target
        all_headers = dict(headers or {})
        if cause:
            all_headers["x-ms-failure-cause"] = cause
        self.answer = Answer(status, {"error": error}, all_headers)
