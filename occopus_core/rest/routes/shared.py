"""Code that the routes of all resources share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from fastapi import Depends, Path, Request

from occopus_core.descriptions.model import Infrastructure
from occopus_core.manager import InfrastructureManager
from occopus_core.rest.auth import allowed
from occopus_core.rest.limits import Limits, read_body
from occopus_core.rest.problems import Refused, documented
from occopus_core.rest.service import Service
from occopus_core.store.tokens import Scope

COMMON = documented(400, 401, 403, 422, 429, 500, 503)
"""Problems that every route may answer."""

INFRASTRUCTURE = {**COMMON, **documented(404)}
"""Problems of routes for one infrastructure."""

Reader = Annotated[str, Depends(allowed(Scope.READ))]
Scaler = Annotated[str, Depends(allowed(Scope.SCALE))]
Writer = Annotated[str, Depends(allowed(Scope.WRITE))]
InfraId = Annotated[str, Path(alias="infraid", description="the identifier of the infrastructure")]
Body = Annotated[bytes, Depends(read_body)]


def service_of(request: Request) -> Service:
    """The service behind the API."""
    service: Service = request.app.state.service
    return service


def manager_of(request: Request) -> InfrastructureManager:
    """The manager of the service."""
    return service_of(request).manager


def refuse_too_large(infrastructure: Infrastructure, limits: Limits) -> None:
    """Refuse a description that may grow to more instances than are allowed. Raises `Refused`."""
    if sum(node.scaling.max for node in infrastructure.nodes) > limits.instances:
        raise Refused(422, f"an infrastructure may grow to {limits.instances:,} instances at the most")


def raw_body(example: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of a body in JSON that is read whatever its content type."""
    content = {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def yaml_body(title: str, description: str, example: str) -> dict[str, Any]:
    """The OpenAPI description of a body in YAML or JSON: an object, or a text of any content type."""
    schema = {"title": title, "description": description, "type": "object", "additionalProperties": True}
    text = {"schema": {"type": "string"}, "example": example}
    objects = {"schema": schema, "example": yaml.safe_load(example)}
    content = {"application/json": objects, "application/yaml": text, "text/plain": text}
    return {"requestBody": {"required": True, "content": content}}
