"""Routes for pages: a summary of all infrastructures, and the graph of one."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from occopus_core.descriptions.times import written
from occopus_core.report import state_at
from occopus_core.report.maintenance import maintainer_of
from occopus_core.rest.routes.shared import COMMON, INFRASTRUCTURE, InfraId, Reader, manager_of
from occopus_core.store.overview import Glimpse
from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError

router = APIRouter(tags=["infrastructures"])


class MaintainedBy(BaseModel):
    """The process that maintains an infrastructure periodically, or the last one if that was killed."""

    name: str
    since: str
    alive: bool = Field(description="false if it was killed or is frozen")
    seen: str | None = Field(description="when it was last seen, if it is not alive; else null")


class Glimpsed(BaseModel):
    """The summary of an infrastructure."""

    infraid: str
    name: str
    state: InfrastructureState
    maintained: bool = Field(description="true if services maintain it")
    frozen: str = Field(description="why healing is frozen, or the infrastructure parked (`parked: …`); else empty")
    rolling_back: str = Field(description="why a build is being rolled back; empty if none is")
    created_at: str
    expires_at: str | None = Field(description="when it is destroyed by itself; null if its life time has no end")
    maintainer: MaintainedBy | None = Field(description="the process that maintains it periodically; null without one")
    seen_at: str | None = Field(description="when its instances were last looked at; null where that is unknown")
    target: int = Field(description="the wanted number of instances")
    instances: dict[str, int] = Field(description="the number of instances by state")
    outdated: int = Field(
        description="the number of instances that were made or configured with other addresses than those of now"
    )
    unreadable: str = Field(description="why it cannot be read, if its rows in the store are damaged; else empty")


class Overview(BaseModel):
    """All infrastructures, maintained or not, oldest first."""

    infrastructures: list[Glimpsed]


class OutlinedNode(BaseModel):
    """A node and its dependees."""

    name: str
    type: str
    needs: list[str]


class Outline(Glimpsed):
    """A summary with the graph of the nodes."""

    nodes: list[OutlinedNode]


@router.get("/overview", response_model=Overview, responses=COMMON)
def overview(request: Request, _client: Reader) -> dict[str, Any]:
    """Summaries of all infrastructures, maintained or not."""
    return {"infrastructures": [_glimpsed(one) for one in manager_of(request).store.overview.all()]}


@router.get("/infrastructures/{infraid}/outline", response_model=Outline, responses=INFRASTRUCTURE)
def outline(request: Request, _client: Reader, infra_id: InfraId) -> dict[str, Any]:
    """The summary of one infrastructure, with the dependencies of its nodes."""
    manager = manager_of(request)
    description = manager.get(infra_id).current
    glimpse = manager.store.overview.one(infra_id)
    if glimpse is None:  # removed between the two queries
        raise NoSuchInfrastructureError(infra_id)
    needs: dict[str, dict[str, None]] = {node.name: {} for node in description.nodes}
    for edge in description.dependencies:
        needs[edge.dependent][edge.dependee] = None
    nodes = [{"name": node.name, "type": node.type, "needs": list(needs[node.name])} for node in description.nodes]
    return {**_glimpsed(glimpse), "nodes": nodes}


def _glimpsed(glimpse: Glimpse) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for (stage, condition), count in glimpse.instances.items():
        counts[state_at(stage, condition)] += count
    return {
        "infraid": glimpse.id,
        "name": glimpse.name,
        "state": glimpse.state,
        "maintained": glimpse.maintained,
        "frozen": glimpse.frozen,
        "rolling_back": glimpse.rolling_back,
        "created_at": written(glimpse.created_at),
        "expires_at": None if glimpse.expires_at is None else written(glimpse.expires_at),
        "maintainer": maintainer_of(glimpse.maintainer, time.time()),
        "seen_at": None if glimpse.seen_at is None else written(glimpse.seen_at),
        "target": glimpse.target,
        "instances": counts,
        "outdated": glimpse.outdated,
        "unreadable": glimpse.unreadable,
    }
