"""Infrastructures: create, list, report, attach, detach, plan, cost, destroy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from occopus_core.rest.idempotency import once
from occopus_core.rest.limits import Limits
from occopus_core.rest.problems import Refused, documented
from occopus_core.rest.routes.planned import QUESTIONS, Planned, planned_of
from occopus_core.rest.routes.shared import (
    COMMON,
    INFRASTRUCTURE,
    Body,
    InfraId,
    Reader,
    Writer,
    manager_of,
    refuse_too_large,
    service_of,
    yaml_body,
)
from occopus_core.rest.service import Service
from occopus_core.store.records import NoSuchInfrastructureError

router = APIRouter(tags=["infrastructures"])

DELETE_SECONDS = 300.0
"""How long a request waits for the end of an infrastructure."""
LOOK_SECONDS = 0.1

DESCRIPTION_EXAMPLE = """infra_name: example
user_id: me
nodes:
  - name: web
    type: web
    scaling: {min: 1, max: 3}
"""
_LINKS = {
    name: {
        "operationId": f"{name}_infrastructures__infraid__{where}",
        "parameters": {"infraid": "$response.body#/infraid"},
    }
    for name, where in {
        "report": "get",
        "destroy": "delete",
        "plan": "plan_get",
        "cost": "cost_get",
        "events": "events_get",
        "attach": "attach_post",
        "detach": "detach_post",
    }.items()
}
"""Links to the operations on an infrastructure, in the OpenAPI document."""


class Identified(BaseModel):
    """The identifier of an infrastructure."""

    infraid: str


class Listed(BaseModel):
    """The infrastructures that are maintained."""

    infrastructures: list[str]


@router.post(
    "/infrastructures/",
    status_code=201,
    response_model=Identified,
    responses={**COMMON, **documented(408, 409, 413), 201: {"links": _LINKS}},
    openapi_extra=yaml_body("InfrastructureDescription", "The description of an infrastructure.", DESCRIPTION_EXAMPLE),
)
@router.post("/infrastructures", status_code=201, include_in_schema=False)
def create(request: Request, client: Writer, body: Body) -> Response:
    """Create an infrastructure from its description, in YAML or JSON, and maintain it from now on."""
    answer = once(request, client, body, lambda: {"infraid": _create(service_of(request), request, body)}, 201)
    return _located(answer, request)


def _create(service: Service, request: Request, body: bytes) -> str:
    manager = service.manager
    limits: Limits = request.app.state.limits
    infrastructure = manager.load_untrusted(body)
    refuse_too_large(infrastructure, limits)
    infra_id = manager.new_id()
    manager.plan(infrastructure, infra_id)  # which finds mistakes before anything is built
    with service.adding:
        _refuse_too_many(service, limits.builds)
        manager.submit_infrastructure(infrastructure, infra_id, for_services=True)
    service.begin(infra_id)
    return infra_id


def _refuse_too_many(service: Service, most: int) -> None:
    if service.store.service.first_builds() >= most:
        raise Refused(503, f"{most} infrastructures are being built already", {"Retry-After": "10"})


def _located(answer: Response, request: Request) -> Response:
    infra_id = json.loads(bytes(answer.body))["infraid"]
    answer.headers["Location"] = f"{request.scope.get('root_path', '')}/infrastructures/{infra_id}"
    return answer


@router.get("/infrastructures/", response_model=Listed, responses=COMMON)
@router.get("/infrastructures", include_in_schema=False)
def list_all(request: Request, _client: Reader) -> dict[str, Any]:
    """List the infrastructures that are maintained."""
    return {"infrastructures": service_of(request).store.service.maintained()}


@router.get("/info/{key:path}", include_in_schema=False)
def info(_client: Reader, key: str) -> None:
    """Refuse queries of 1.x clients to the information broker, and name their replacement."""
    raise Refused(404, f"there is no information broker for '{key}': ask GET /infrastructures/ID or .../events")


@router.get("/infrastructures/{infraid}", responses=INFRASTRUCTURE)
def report(request: Request, _client: Reader, infra_id: InfraId) -> dict[str, dict[str, Any]]:
    """Report on an infrastructure: for each node its instances and its scaling."""
    return manager_of(request).report(infra_id)


@router.delete(
    "/infrastructures/{infraid}",
    response_model=Identified,
    responses={**INFRASTRUCTURE, 202: {"description": "the destruction was requested", "model": Identified}},
)
async def destroy(
    request: Request, _client: Writer, infra_id: InfraId, wait: Annotated[bool, Query()] = True
) -> Response:
    """Destroy an infrastructure with all of its instances; answers when it is gone, or at once with `wait=false`."""
    service = service_of(request)
    await run_in_threadpool(_known, service, infra_id, service.destroy)
    gone = wait and await _gone(service, infra_id)
    return JSONResponse({"infraid": infra_id}, 200 if gone else 202)


async def _gone(service: Service, infra_id: str) -> bool:
    deadline = asyncio.get_running_loop().time() + DELETE_SECONDS
    while not service.stopping.is_set() and asyncio.get_running_loop().time() < deadline:
        try:
            await run_in_threadpool(service.store.holding, infra_id)
        except NoSuchInfrastructureError:
            return True
        await asyncio.sleep(LOOK_SECONDS)
    return False


def _known(service: Service, infra_id: str, act: Callable[[str], None]) -> dict[str, Any]:
    service.manager.get(infra_id)
    act(infra_id)
    return {"infraid": infra_id}


@router.post("/infrastructures/{infraid}/attach", response_model=Identified, responses=INFRASTRUCTURE)
def attach(request: Request, _client: Writer, infra_id: InfraId) -> dict[str, Any]:
    """Maintain an existing infrastructure from now on."""
    service = service_of(request)
    return _known(service, infra_id, service.maintain)


@router.post("/infrastructures/{infraid}/detach", response_model=Identified, responses=INFRASTRUCTURE)
def detach(request: Request, _client: Writer, infra_id: InfraId) -> dict[str, Any]:
    """Stop maintaining an infrastructure; it stays as it is."""
    service = service_of(request)
    return _known(service, infra_id, service.leave)


@router.get("/infrastructures/{infraid}/plan", response_model=Planned, responses={**INFRASTRUCTURE, **documented(502)})
async def plan(request: Request, _client: Reader, infra_id: InfraId) -> dict[str, Any]:
    """The actions that would bring the infrastructure to its wanted state, pending scaling requests included."""
    planned = await to_thread.run_sync(manager_of(request).preview, infra_id, limiter=QUESTIONS)
    return planned_of(planned, values=False)


@router.get("/infrastructures/{infraid}/cost", responses={**INFRASTRUCTURE, **documented(502)})
async def cost(request: Request, _client: Reader, infra_id: InfraId) -> dict[str, Any]:
    """The cost of each instance so far, null if its provider does not report it, and the total of the known costs.

    `totalcost` is null if no cost is known; `unknown_costs` is the number of instances that are not in it.
    """
    costs = await to_thread.run_sync(manager_of(request).costs, infra_id, limiter=QUESTIONS)
    every = [one for node in costs.values() for one in node.values()]
    known = [one for one in every if one is not None]
    by_node = {name: {node_id: _amount(one) for node_id, one in node.items()} for name, node in costs.items()}
    total = _amount(sum(known, Decimal(0))) if known or not every else None
    return {"totalcost": total, "unknown_costs": len(every) - len(known), **by_node}


def _amount(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)
