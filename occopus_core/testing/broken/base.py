"""What the broken handlers have in common."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from occopus_core.api import CreateRequest, ResourceHandler

BROKEN: dict[type[ResourceHandler], str] = {}
"""Each broken handler with the clause it breaks."""
MOMENT = 0.02
"""Seconds that are long enough for another thread to come in between."""

_Handler = TypeVar("_Handler", bound=type[ResourceHandler])


def breaks(clause: str) -> Callable[[_Handler], _Handler]:
    """Register the handler as one that breaks the clause."""

    def register(handler: _Handler) -> _Handler:
        BROKEN[handler] = clause
        return handler

    return register


def pause(seconds: float) -> None:
    """Wait as a handler may that hides it: not by `time.sleep`."""
    threading.Event().wait(seconds)


def fresh(request: CreateRequest) -> CreateRequest:
    """The request with a new token."""
    return replace(request, token=f"t-{uuid.uuid4().hex}")
