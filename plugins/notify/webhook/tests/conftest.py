"""A receiver on the loopback that records requests and returns configured answers."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from occopus_core.testing.web import answering


@dataclass
class Receiver:
    url: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    """Each with its path, its headers and its body."""


@contextmanager
def receiving(context: ssl.SSLContext | None = None):
    receiver = Receiver()

    def answer(path, headers, body):
        receiver.requests.append((path, dict(headers), body))
        return receiver.status, receiver.headers, b""

    with answering(answer, context) as receiver.url:
        yield receiver


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver
