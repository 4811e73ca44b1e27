"""Code that the broken handlers share."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from occopus_core.api import CreateRequest, ResourceHandler

BROKEN: dict[type[ResourceHandler], str] = {}
"""Each broken handler with the clause that it violates."""
MOMENT = 0.02
"""Seconds in which another thread certainly runs."""

_Handler = TypeVar("_Handler", bound=type[ResourceHandler])


def breaks(clause: str) -> Callable[[_Handler], _Handler]:
    """Register the handler as one that violates the clause."""

    def register(handler: _Handler) -> _Handler:
        BROKEN[handler] = clause
        return handler

    return register


def pause(seconds: float) -> None:
    """Wait without `time.sleep`, as a handler might that hides it."""
    threading.Event().wait(seconds)


def fresh(request: CreateRequest) -> CreateRequest:
    """The request with a new token."""
    return replace(request, token=f"t-{uuid.uuid4().hex}")
