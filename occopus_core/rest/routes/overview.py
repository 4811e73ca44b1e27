"""What a page for people needs beyond what scripts ask: all infrastructures at a glance, and the shape of one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from occopus_core.report import state_at
from occopus_core.rest.routes.shared import COMMON, INFRASTRUCTURE, InfraId, Reader, manager_of
from occopus_core.store.overview import Glimpse
from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError

router = APIRouter(tags=["infrastructures"])


class Glimpsed(BaseModel):
    """An infrastructure at a glance."""

    infraid: str
    name: str
    state: InfrastructureState
    maintained: bool = Field(description="whether services look after it")
    frozen: str = Field(description="why nothing is healed at present")
    created_at: str
    target: int = Field(description="how many instances it should have")
    instances: dict[str, int] = Field(description="how many there are, by state")
    unreadable: str = Field(description="why it cannot be read, where its rows in the store are spoilt; else empty")


class Overview(BaseModel):
    """All infrastructures, maintained or not, oldest first."""

    infrastructures: list[Glimpsed]


class OutlinedNode(BaseModel):
    """A node, and which nodes it needs."""

    name: str
    type: str
    needs: list[str]


class Outline(Glimpsed):
    """The same, with the graph of its nodes."""

    nodes: list[OutlinedNode]


@router.get("/overview", response_model=Overview, responses=COMMON)
def overview(request: Request, _client: Reader) -> dict[str, Any]:
    """All infrastructures at a glance, also those that nobody maintains."""
    return {"infrastructures": [_glimpsed(one) for one in manager_of(request).store.overview.all()]}


@router.get("/infrastructures/{infraid}/outline", response_model=Outline, responses=INFRASTRUCTURE)
def outline(request: Request, _client: Reader, infra_id: InfraId) -> dict[str, Any]:
    """One infrastructure at a glance, and which of its nodes needs which."""
    manager = manager_of(request)
    description = manager.get(infra_id).current
    glimpse = manager.store.overview.one(infra_id)
    if glimpse is None:  # gone between the two questions
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
        "created_at": datetime.fromtimestamp(glimpse.created_at, UTC).isoformat(timespec="seconds"),
        "target": glimpse.target,
        "instances": counts,
        "unreadable": glimpse.unreadable,
    }
