"""What happens to an infrastructure, as it happens."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class EventKind(enum.Enum):
    """The kinds of events."""

    NODE_CREATING = "node creating"
    NODE_BOOTING = "node booting"
    NODE_CONFIGURING = "node configuring"
    NODE_READY = "node ready"
    NODE_WAITING = "node waiting"
    """The text says for what."""
    NODE_FAILED = "node failed"
    NODE_DROPPING = "node dropping"
    NODE_DROPPED = "node dropped"
    NODE_UNCONFIRMED = "node unconfirmed"
    """The provider would not confirm its deletion."""
    ROLLING_BACK = "rolling back"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. The text is for people and holds no secret."""

    kind: EventKind
    infra_id: str
    node_name: str = ""
    node_id: str = ""
    text: str = ""


Observer = Callable[[Event], None]
"""Told of every event in the thread of the engine: must return soon and must not raise."""
