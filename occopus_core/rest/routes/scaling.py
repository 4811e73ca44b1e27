"""Requests for more, fewer or other instances: scaling up, down, to a number; replacement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from occopus_core.manager import InfrastructureManager
from occopus_core.rest.idempotency import once
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, InfraId, Scaler, Writer, manager_of, service_of

router = APIRouter(tags=["scaling"], prefix="/infrastructures/{infraid}")

MOST = 100_000
"""The largest number of instances of a node."""

Count = Annotated[int, Path(ge=0, le=MOST)]
NodeName = Annotated[str, Path(alias="nodename", description="the name of the node")]
_PROBLEMS = {**INFRASTRUCTURE, **documented(409)}


class Scaled(BaseModel):
    """A recorded request: the next maintenance pass applies it, within the limits of the node."""

    infraid: str
    method: str
    nodename: str
    count: int


class Replaced(BaseModel):
    """A recorded request: the next maintenance pass begins the replacement."""

    infraid: str
    method: str
    nodename: str


class ScaledDown(Scaled):
    """A request to remove one instance, chosen by the next pass."""

    nodeid: str | None = Field(default=None, description="null: the next maintenance pass chooses the instance")


class ScaledOne(BaseModel):
    """A request to remove one instance."""

    infraid: str
    method: str
    nodename: str
    nodeid: str


def _ask(
    request: Request,
    client: str,
    infra_id: str,
    node: str,
    method: str,
    ask: Callable[[InfrastructureManager], object],
    **said: Any,
) -> Response:
    def act() -> dict[str, Any]:
        ask(manager_of(request))
        service_of(request).wake(infra_id)
        return {"infraid": infra_id, "method": method, "nodename": node, **said}

    return once(request, client, b"", act)


@router.post("/scaleup/{nodename}", response_model=Scaled, responses=_PROBLEMS)
def up_by_one(request: Request, client: Scaler, infra_id: InfraId, node: NodeName) -> Response:
    """Add one instance."""
    return up(request, client, infra_id, node, 1)


@router.post("/scaleup/{nodename}/{count}", response_model=Scaled, responses=_PROBLEMS)
def up(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, count: Count) -> Response:
    """Add this many instances."""
    return _ask(
        request, client, infra_id, node, "scaleup", lambda one: one.scale_by(infra_id, node, count), count=count
    )


@router.post("/scaleto/{nodename}/{count}", response_model=Scaled, responses=_PROBLEMS)
def to(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, count: Count) -> Response:
    """Set the total number of instances."""
    return _ask(
        request, client, infra_id, node, "scaleto", lambda one: one.scale_to(infra_id, node, count), count=count
    )


@router.post("/scaledown/{nodename}", response_model=ScaledDown, responses=_PROBLEMS)
def down_by_one(request: Request, client: Scaler, infra_id: InfraId, node: NodeName) -> Response:
    """Remove one instance: the youngest."""
    return _ask(
        request,
        client,
        infra_id,
        node,
        "scaledown",
        lambda one: one.scale_by(infra_id, node, -1),
        count=1,
        nodeid=None,
    )


@router.post("/scaledown/{nodename}/{nodeid}", response_model=ScaledOne, responses=_PROBLEMS)
def down(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, nodeid: str) -> Response:
    """Remove the instance with this node id or address."""
    return _ask(
        request,
        client,
        infra_id,
        node,
        "scaledown",
        lambda one: one.scale_by(infra_id, node, -1, nodeid),
        nodeid=nodeid,
    )


@router.post("/nodes/{nodename}/replace", response_model=Replaced, responses=_PROBLEMS)
def replace(request: Request, client: Writer, infra_id: InfraId, node: NodeName) -> Response:
    """Replace all instances of a node, as `occopus-build --replace` does.

    New instances are made first. When all are ready, the former ones are deleted; if one cannot be made, the new ones
    are. Other nodes stay as they are, but instances of them that have failed are replaced, too.
    """
    return _ask(request, client, infra_id, node, "replace", lambda one: one.replace(infra_id, node))
