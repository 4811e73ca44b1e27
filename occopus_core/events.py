"""What happens to an infrastructure, as it happens."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class EventKind(enum.Enum):
    """The kinds of events."""

    NODE_CREATING = "node creating"
    NODE_BOOTING = "node booting"
    NODE_CONFIGURING = "node configuring"
    NODE_RECONFIGURING = "node reconfiguring"
    """A ready node gets another configuration; the text says why."""
    NODE_READY = "node ready"
    NODE_WAITING = "node waiting"
    """The text says for what."""
    NODE_MOVED = "node moved"
    """Its cloud has no room, or cannot be reached: the text says why, and which implementation is tried next."""
    NODE_FAILED = "node failed"
    NODE_DROPPING = "node dropping"
    NODE_DROPPED = "node dropped"
    NODE_UNCONFIRMED = "node unconfirmed"
    """The provider would not confirm its deletion."""
    NODE_GIVEN_UP = "node given up"
    """Somebody said that its cloud is gone for good; the text says what may still be there."""
    NODE_UNHEALTHY = "node unhealthy"
    NODE_RECOVERED = "node recovered"
    NOT_FORGOTTEN = "not forgotten"
    """A configuration manager has not forgotten what is gone: it is asked again later."""
    HEALING = "healing"
    """A node is replaced; the text says why."""
    FROZEN = "frozen"
    """So much fails at once that nothing is replaced."""
    UNFROZEN = "unfrozen"
    HELD = "held"
    """A node keeps failing, and is left alone for a while."""
    SCALE_REQUESTED = "scale requested"
    ALERT_HEEDED = "alert heeded"
    """An alert has scaled a node; the text begins with what tells the alert from others."""
    SCALE_APPLIED = "scale applied"
    SCALE_CLIPPED = "scale clipped"
    """A request could not be met in full: a limit was in the way."""
    SCALE_REFUSED = "scale refused"
    """A request was for a node or an instance that does not exist; the text says which."""
    INFRA_CREATED = "infrastructure created"
    INFRA_READY = "infrastructure ready"
    INFRA_UPDATED = "infrastructure updated"
    INFRA_DROPPED = "infrastructure dropped"
    ROLLING_BACK = "rolling back"
    WAITING = "waiting"


PASSING = frozenset({EventKind.NODE_WAITING, EventKind.WAITING})
"""Kinds that are only of the moment, and not recorded."""

FORMER_NAMES: Mapping[EventKind, str] = {
    EventKind.INFRA_CREATED: "infrastart",
    EventKind.INFRA_READY: "infraready",
    EventKind.INFRA_UPDATED: "infraupdated",
    EventKind.INFRA_DROPPED: "infradrop",
    EventKind.NODE_CREATING: "nodecreating",
    EventKind.NODE_READY: "nodecreated",
    EventKind.NODE_FAILED: "nodefailed",
    EventKind.NODE_DROPPING: "nodedropping",
    EventKind.NODE_DROPPED: "nodedropped",
}
"""What Occopus 1.x called them; receivers of notifications may still go by these names."""


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
