"""Requests and answers of Azure Resource Manager as values, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_resource_azure.testing.faults import Fault

Json = dict[str, Any]


def _taken(words: list[str], first: str) -> tuple[str, list[str]]:
    """The word after the first one, where that is `first`, and the others."""
    if words[1:] and words[0].lower() == first:
        return words[1], words[2:]
    return "", words


@dataclass(frozen=True)
class Path:
    """An address below a subscription, taken apart."""

    subscription: str = ""
    group: str = ""
    provider: str = ""
    """The namespace of the resource provider, as in ``Microsoft.Network``."""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """The names that go with `types`; one fewer where the address is of a collection or an action."""

    @classmethod
    def parse(cls, path: str) -> Path | None:
        """The parts of a path, or None where it is not below a subscription."""
        words = path.strip("/").split("/")
        subscription, words = _taken(words, "subscriptions")
        if not subscription:
            return None
        group, words = _taken(words, "resourcegroups")
        provider, words = _taken(words, "providers")
        return cls(subscription, group, provider, tuple(words[0::2]), tuple(words[1::2]))

    @property
    def type(self) -> str:
        """The resource type in lower case, as in ``microsoft.network/virtualnetworks/subnets``."""
        return "/".join((self.provider, *self.types)).strip("/").lower()

    @property
    def is_item(self) -> bool:
        """Whether the address is of one resource."""
        return bool(self.types) and len(self.types) == len(self.names)

    @property
    def id(self) -> str:
        """The address as the id of a resource."""
        words = [word for pair in zip(self.types, self.names, strict=False) for word in pair]
        group = f"/resourceGroups/{self.group}" if self.group else ""
        return "/".join((f"/subscriptions/{self.subscription}{group}/providers/{self.provider}", *words))

    @property
    def parent(self) -> Path:
        """The address without its last type, and without the last name where it is of one resource."""
        size = len(self.types) - 1
        return Path(self.subscription, self.group, self.provider, self.types[:size], self.names[:size])


@dataclass
class Request:
    """A call as it arrived."""

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
    """What is to become of the asynchronous operation that it starts."""

    @property
    def version(self) -> str:
        """The api-version that it asks for."""
        return self.query.get("api-version", "")


@dataclass
class Answer:
    """What is sent back: JSON, text where `body` is `bytes`, nothing where it is None."""

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
