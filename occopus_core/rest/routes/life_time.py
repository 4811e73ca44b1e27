"""The life time of an infrastructure."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from occopus_core.descriptions.times import written
from occopus_core.rest.idempotency import once
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, InfraId, Writer, manager_of, service_of

router = APIRouter(tags=["infrastructures"])

By = Annotated[
    str,
    Query(
        max_length=64,
        description="so much later, such as `90m`, `8h` or `1d12h`; a time such as `2026-12-24T18:00Z`; or `never`",
        examples=["8h"],
    ),
]


class Extended(BaseModel):
    """When an infrastructure ends by itself."""

    infraid: str
    expires_at: str | None = Field(description="null where it has no end")


@router.post(
    "/infrastructures/{infraid}/extend", response_model=Extended, responses={**INFRASTRUCTURE, **documented(409)}
)
def extend(request: Request, client: Writer, infra_id: InfraId, by: By) -> Response:
    """Move the end of an infrastructure."""

    def act() -> dict[str, Any]:
        end = manager_of(request).extend(infra_id, by)
        service_of(request).wake(infra_id)
        return {"infraid": infra_id, "expires_at": None if end is None else written(end)}

    return once(request, client, by.encode(), act)
