"""The permissions of the caller: a page shows only actions that its user may take."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Security
from pydantic import BaseModel, Field

from occopus_core.rest.auth import BEARER, Gatekeeper
from occopus_core.rest.problems import documented
from occopus_core.store.tokens import Scope

router = APIRouter(tags=["operations"])


class Caller(BaseModel):
    """The permissions of the request's token. Without a name if the service requires no token."""

    name: str | None
    scope: Scope
    infraid: str | None = Field(description="the only infrastructure that it opens, if it is for one")


@router.get("/whoami", response_model=Caller, responses=documented(401, 429, 503))
def who_am_i(request: Request, _shown: Annotated[object, Security(BEARER)]) -> dict[str, Any]:
    """The permissions of this request's token, whatever its scope."""
    keeper: Gatekeeper = request.app.state.gatekeeper
    keeper.buckets.take(request.client.host if request.client else "")  # this also limits attempts to guess tokens
    token = keeper.identify(request.headers.get("authorization"))
    if token is None:
        return {"name": None, "scope": Scope.WRITE, "infraid": None}
    return {"name": token.name, "scope": token.scope, "infraid": token.infra_id}
