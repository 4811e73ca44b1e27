"""What the routes of all resources share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from occopus_core.manager import InfrastructureManager
from occopus_core.rest.auth import allowed
from occopus_core.rest.limits import read_body
from occopus_core.rest.problems import documented
from occopus_core.rest.service import Service
from occopus_core.store.tokens import Scope

COMMON = documented(400, 401, 403, 422, 429, 500, 503)
"""Problems that every route may answer."""

INFRASTRUCTURE = {**COMMON, **documented(404)}
"""Those of routes of one infrastructure."""

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
    """Its manager."""
    return service_of(request).manager


def raw_body(example: Any, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the OpenAPI document says of a body that is read whatever its type: YAML, or JSON that has a schema."""
    media_type = "text/plain" if schema is None else "application/json"
    content = {"schema": schema or {"type": "string"}, "example": example}
    return {"requestBody": {"required": True, "content": {media_type: content}}}
