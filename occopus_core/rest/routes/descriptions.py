"""The description of an infrastructure: read it, plan another one, replace it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import description_digest, description_text
from occopus_core.manager.updating import refuse_update, wanted_description
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.infrastructures import DESCRIPTION_EXAMPLE, Identified
from occopus_core.rest.routes.planned import QUESTIONS, Planned, planned_of
from occopus_core.rest.routes.shared import (
    INFRASTRUCTURE,
    Body,
    InfraId,
    Writer,
    manager_of,
    refuse_too_large,
    service_of,
    yaml_body,
)

router = APIRouter(tags=["infrastructures"])

PATH = "/infrastructures/{infraid}/description"
_TAG = re.compile(r'\s*(?:W/)?"([0-9a-f]{32})"\s*')

DryRun = Annotated[bool, Query(description="answer with the plan, and change nothing")]
IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="the `ETag`, or several, of descriptions that may be replaced: 412 otherwise"),
]


def _condition(request: Request, if_match: IfMatch = None) -> str | None:
    """The header `If-Match`; several lines of it are combined to one list, as in RFC 9110."""
    return None if if_match is None else ", ".join(request.headers.getlist("if-match"))


Condition = Annotated[str | None, Depends(_condition)]


@router.get(
    PATH,
    response_class=Response,
    responses={
        **INFRASTRUCTURE,
        200: {
            "description": "the description, with its `ETag`",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": DESCRIPTION_EXAMPLE}},
        },
    },
)
def read(request: Request, _client: Writer, infra_id: InfraId) -> Response:
    """The description of an infrastructure: the one that was requested last, or that of its last build.

    It is written from what is stored: comments, aliases and imports are not kept. It may hold secrets.
    """
    description = wanted_description(manager_of(request).get(infra_id))
    headers = {"ETag": _tag(description)}
    return Response(description_text(description), media_type="text/plain", headers=headers)


@router.put(
    PATH,
    response_model=Planned,
    responses={
        **INFRASTRUCTURE,
        **documented(408, 409, 412, 413, 502),
        200: {"description": "the plan, where `dry_run` was asked for"},
        202: {"description": "it is recorded: the next pass builds it", "model": Identified},
    },
    openapi_extra=yaml_body("InfrastructureDescription", "The description of an infrastructure.", DESCRIPTION_EXAMPLE),
)
async def replace(
    request: Request,
    _client: Writer,
    infra_id: InfraId,
    body: Body,
    *,
    dry_run: DryRun = False,
    if_match: Condition,
) -> Response:
    """Bring an infrastructure to this description, and maintain it from now on; or show the plan of that.

    The request is recorded before it is answered, and may be repeated. A service builds it as `occopus-build -i ID`
    does: if that fails, it is undone, and the description before is in force. 409 means that another build is under
    way, or that the infrastructure is being destroyed.
    """
    if dry_run:
        planned = await to_thread.run_sync(_plan, request, infra_id, body, if_match, limiter=QUESTIONS)
        return JSONResponse(planned)
    tag = await run_in_threadpool(_replace, request, infra_id, body, if_match)
    return JSONResponse({"infraid": infra_id}, 202, {"ETag": tag})


def _plan(request: Request, infra_id: str, body: bytes, if_match: str | None) -> dict[str, Any]:
    manager, infrastructure = manager_of(request), _described(request, body)
    refuse_update(infrastructure, _digests(if_match), manager.get(infra_id))
    return planned_of(manager.plan(infrastructure, infra_id), values=True)


def _replace(request: Request, infra_id: str, body: bytes, if_match: str | None) -> str:
    service, infrastructure = service_of(request), _described(request, body)
    service.manager.submit_update(infrastructure, infra_id, replaces=_digests(if_match), for_services=True)
    service.update(infra_id)
    return _tag(infrastructure)


def _described(request: Request, body: bytes) -> Infrastructure:
    infrastructure = manager_of(request).load_untrusted(body)
    refuse_too_large(infrastructure, request.app.state.limits)
    return infrastructure


def _tag(description: Infrastructure) -> str:
    return f'"{description_digest(description)}"'


def _digests(if_match: str | None) -> Collection[str]:
    """The digests that a client names; none for any. Values that are no tag of a description match none."""
    if if_match is None or if_match.strip() == "*":
        return ()
    found = map(_TAG.fullmatch, if_match.split(","))
    return [known[1] if known else "another" for known in found]
