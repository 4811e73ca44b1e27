"""Events of an infrastructure."""

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
    """A ready node gets another configuration; the text names its configuration manager."""
    NODE_RECONFIGURED = "node reconfigured"
    """A ready node has its new configuration. One that failed is `NODE_UNHEALTHY`, with why."""
    NODE_RECHECKING = "node rechecking"
    """A build keeps a ready node and waits until it passes its new health checks; the text names them."""
    NODE_RECHECKED = "node rechecked"
    """A kept node has passed its new health checks."""
    NODE_READY = "node ready"
    NODE_WAITING = "node waiting"
    """The text says what it waits for."""
    NODE_MOVED = "node moved"
    """Its cloud has no room or cannot be reached; the text has the reason and the next implementation."""
    NODE_FAILED = "node failed"
    NODE_DROPPING = "node dropping"
    NODE_DROPPED = "node dropped"
    NODE_UNCONFIRMED = "node unconfirmed"
    """The provider has not confirmed its deletion."""
    NODE_GIVEN_UP = "node given up"
    """A user declared its cloud gone for good; the text says what may still exist there."""
    NODE_UNHEALTHY = "node unhealthy"
    NODE_RECOVERED = "node recovered"
    NODE_OUTDATED = "node outdated"
    """Instances of a node lack the addresses of instances that were made later; the text says of which nodes."""
    NOT_FORGOTTEN = "not forgotten"
    """A configuration manager has not deleted data of gone instances; it is asked again later."""
    HEALING = "healing"
    """A node is replaced; the text says why."""
    FROZEN = "frozen"
    """So many instances fail at once that none is replaced."""
    UNFROZEN = "unfrozen"
    HELD = "held"
    """A node keeps failing, and is not tried for a while."""
    SCALE_REQUESTED = "scale requested"
    ALERT_HEEDED = "alert heeded"
    """An alert has scaled a node; the text starts with the identity of the alert."""
    SCALE_APPLIED = "scale applied"
    SCALE_CLIPPED = "scale clipped"
    """A limit reduced a request."""
    SCALE_REFUSED = "scale refused"
    """A request was for a node or an instance that does not exist; the text says which."""
    REPLACEMENT_REQUESTED = "replacement requested"
    """All instances of a node are to be replaced; the next maintenance pass begins that."""
    REPLACEMENT_DONE = "replacement done"
    """The new instances are ready, and the former ones go; the text says how many."""
    REPLACEMENT_REFUSED = "replacement refused"
    """No instance was replaced; the text says why."""
    UPDATE_REQUESTED = "update requested"
    """Another description was requested; the next maintenance pass builds it."""
    INFRA_CREATED = "infrastructure created"
    INFRA_READY = "infrastructure ready"
    INFRA_UPDATED = "infrastructure updated"
    INFRA_DROPPED = "infrastructure dropped"
    LIFE_TIME_CHANGED = "life time changed"
    """The text says when the infrastructure ends by itself now."""
    EXPIRING = "expiring"
    """Its life time ends soon; the text says when, and how to move that."""
    EXPIRED = "expired"
    """Its life time is over: it is destroyed."""
    ROLLING_BACK = "rolling back"
    WAITING = "waiting"


IN_TURN = "for its turn: "
"""The beginning of the text of `NODE_WAITING` for an instance that waits in a queue."""

PASSING = frozenset({EventKind.NODE_WAITING, EventKind.WAITING})
"""Transient kinds, which are not recorded."""

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
"""The names of Occopus 1.x; receivers of notifications may rely on them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. The text is for users and contains no secret."""

    kind: EventKind
    infra_id: str
    node_name: str = ""
    node_id: str = ""
    text: str = ""


Observer = Callable[[Event], None]
"""Receives every event in the engine's thread: must return soon and must not raise."""
