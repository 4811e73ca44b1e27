"""Requests for more, fewer or other instances: scaling up, down, to a number; replacement."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from occopus_core.rest.idempotency import once
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, InfraId, Scaler, Writer, manager_of, service_of
from occopus_core.store.records import ScaleKind

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
    result: str = Field(description="what the next pass is expected to do, such as: 2 -> 5 (the maximum is 5)")


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
    result: str = Field(description="what the next pass is expected to do, such as: 2 -> 5 (the maximum is 5)")


def _scale(
    request: Request,
    client: str,
    infra_id: str,
    node: str,
    method: str,
    kind: ScaleKind,
    amount: int,
    instance: str = "",
    **said: Any,
) -> Response:
    def act() -> dict[str, Any]:
        manager = manager_of(request)
        result = manager.preview_scaling(infra_id, node, kind, amount, instance).text
        if kind is ScaleKind.SET:
            manager.scale_to(infra_id, node, amount)
        else:
            manager.scale_by(infra_id, node, amount, instance)
        service_of(request).wake(infra_id)
        return {"infraid": infra_id, "method": method, "nodename": node, **said, "result": result}

    return once(request, client, b"", act)


@router.post("/scaleup/{nodename}", response_model=Scaled, responses=_PROBLEMS)
def up_by_one(request: Request, client: Scaler, infra_id: InfraId, node: NodeName) -> Response:
    """Add one instance."""
    return up(request, client, infra_id, node, 1)


@router.post("/scaleup/{nodename}/{count}", response_model=Scaled, responses=_PROBLEMS)
def up(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, count: Count) -> Response:
    """Add this many instances."""
    return _scale(request, client, infra_id, node, "scaleup", ScaleKind.CHANGE, count, count=count)


@router.post("/scaleto/{nodename}/{count}", response_model=Scaled, responses=_PROBLEMS)
def to(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, count: Count) -> Response:
    """Set the total number of instances."""
    return _scale(request, client, infra_id, node, "scaleto", ScaleKind.SET, count, count=count)


@router.post("/scaledown/{nodename}", response_model=ScaledDown, responses=_PROBLEMS)
def down_by_one(request: Request, client: Scaler, infra_id: InfraId, node: NodeName) -> Response:
    """Remove one instance: the youngest."""
    return _scale(request, client, infra_id, node, "scaledown", ScaleKind.CHANGE, -1, count=1, nodeid=None)


@router.post("/scaledown/{nodename}/{nodeid}", response_model=ScaledOne, responses=_PROBLEMS)
def down(request: Request, client: Scaler, infra_id: InfraId, node: NodeName, nodeid: str) -> Response:
    """Remove the instance with this node id or address."""
    return _scale(request, client, infra_id, node, "scaledown", ScaleKind.CHANGE, -1, nodeid, nodeid=nodeid)


@router.post("/nodes/{nodename}/replace", response_model=Replaced, responses=_PROBLEMS)
def replace(request: Request, client: Writer, infra_id: InfraId, node: NodeName) -> Response:
    """Replace all instances of a node, as `occopus-build --replace` does.

    New instances are made first, but for what only one instance at a time can have. When all are ready, the former
    ones are deleted; if one cannot be made, the new ones are. Other nodes stay as they are, but instances of them that
    have failed are replaced, too.
    """

    def act() -> dict[str, Any]:
        manager_of(request).replace(infra_id, node)
        service_of(request).wake(infra_id)
        return {"infraid": infra_id, "method": "replace", "nodename": node}

    return once(request, client, b"", act)
