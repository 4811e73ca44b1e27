"""Node definitions: list, show, store, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from occopus_core.rest.problems import Refused, documented
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


class NodeDefinitionOutline(BaseModel):
    """One node definition."""

    name: str
    implementations: list[ImplementationOutline]


@router.get("/node_definitions/", response_model=Names, responses=COMMON)
def list_all(request: Request, _client: Reader) -> dict[str, Any]:
    """List the node definitions."""
    return {"node_definitions": manager_of(request).store.definition_names()}


@router.get("/node_definitions/{name}", response_model=NodeDefinitionOutline, responses={**COMMON, **documented(404)})
def tell(request: Request, _client: Reader, name: Name) -> dict[str, Any]:
    """Show which plugins a node definition uses. The values for the plugins are left out, as they may be secret."""
    definition = manager_of(request).store.definitions([name]).get(name)
    if definition is None:
        raise _unknown(name)
    outlines = [
        {
            "resource": one.resource["type"],
            "contextualisation": (one.contextualisation or {}).get("type"),
            "config_management": (one.config_management or {}).get("type"),
            "health_check": sorted(one.health_check.checks),
        }
        for one in definition.implementations
    ]
    return {"name": name, "implementations": outlines}


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


@router.delete("/node_definitions/{name}", status_code=204, responses={**COMMON, **documented(404)})
def forget(request: Request, _client: Writer, name: Name) -> Response:
    """Delete a node definition; instances made by it stay."""
    if not manager_of(request).store.remove_definition(name):
        raise _unknown(name)
    return Response(status_code=204)


def _unknown(name: str) -> Refused:
    return Refused(404, f"there is no node definition '{name}'")
