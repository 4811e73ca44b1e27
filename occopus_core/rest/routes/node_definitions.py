"""Node definitions: list, show, store, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import COMMON, Body, Reader, Writer, manager_of, yaml_body

router = APIRouter(tags=["node definitions"])

Name = Annotated[str, Path(description="the name, as in `type` of a node")]
_EXAMPLE = """node_def:proxy:
  - resource: {type: docker, endpoint: "tcp://engine.example.org:2376", image: nginx}
    contextualisation: {type: docker, env: [], command: ""}
"""


class Names(BaseModel):
    """Names of node definitions."""

    node_definitions: list[str]


class ImplementationOutline(BaseModel):
    """The public part of an implementation; other parts may contain passwords."""

    resource: str
    contextualisation: str | None
    config_management: str | None
    health_check: list[str]


class ListedDefinitions(Names):
    """The node definitions, and which infrastructures use them."""

    used_by: dict[str, list[str]] = Field(description="by name: the identifiers of the infrastructures that use it")


class NodeDefinitionOutline(BaseModel):
    """One node definition."""

    name: str
    implementations: list[ImplementationOutline]
    used_by: list[str] = Field(description="the identifiers of the infrastructures that use it")


@router.get("/node_definitions/", response_model=ListedDefinitions, responses=COMMON)
def list_all(request: Request, _client: Reader) -> dict[str, Any]:
    """List the node definitions, and which infrastructures use them."""
    used_by = manager_of(request).node_definitions()
    return {"node_definitions": list(used_by), "used_by": used_by}


@router.get("/node_definitions/{name}", response_model=NodeDefinitionOutline, responses={**COMMON, **documented(404)})
def tell(request: Request, _client: Reader, name: Name) -> dict[str, Any]:
    """Show which plugins a node definition uses. The values for the plugins are left out, as they may be secret."""
    manager = manager_of(request)
    definition = manager.node_definition(name)
    users = manager.store.definition_uses.all().get(name, [])
    outlines = [
        {
            "resource": one.resource["type"],
            "contextualisation": (one.contextualisation or {}).get("type"),
            "config_management": (one.config_management or {}).get("type"),
            "health_check": sorted(one.health_check.checks),
        }
        for one in definition.implementations
    ]
    return {"name": name, "implementations": outlines, "used_by": [one.infra_id for one in users]}


@router.put(
    "/node_definitions/",
    response_model=Names,
    responses={**COMMON, **documented(408, 413)},
    openapi_extra=yaml_body("NodeDefinitions", "Node definitions by their names.", _EXAMPLE),
)
def store(request: Request, _client: Writer, body: Body) -> dict[str, Any]:
    """Store a file of node definitions, all or none; definitions of the same names are replaced.

    They may name only endpoints that the service allows or has credentials for.
    """
    return {"node_definitions": manager_of(request).import_untrusted(body, request.app.state.endpoints)}


@router.delete("/node_definitions/{name}", status_code=204, responses={**COMMON, **documented(404, 409)})
def forget(request: Request, _client: Writer, name: Name) -> Response:
    """Delete a node definition that no infrastructure uses; 409 names those that use it."""
    manager_of(request).remove_node_definition(name)
    return Response(status_code=204)
