"""What happens to an infrastructure: as a list, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from occopus_core.rest.problems import Refused
from occopus_core.rest.routes import INFRASTRUCTURE, InfraId, Reader, service_of
from occopus_core.rest.service import Service
from occopus_core.store.records import NoSuchInfrastructureError, StoredEvent

router = APIRouter(tags=["events"])

LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""After so long without an event a comment is sent, so that nobody on the way takes the stream for dead."""
LARGEST = 2**31 - 1
"""The largest id that every database takes."""

EventId = Annotated[int, Query(ge=0, le=LARGEST, description="only what happened after the event with this id")]
LastEventId = Annotated[str | None, Header(description="the same, as browsers say it when they come back")]
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


class Happened(BaseModel):
    """One event."""

    id: int
    at: str
    event: str
    node: str
    nodeid: str
    text: str


class Log(BaseModel):
    """Events, the oldest first."""

    events: list[Happened]


@router.get(
    "/infrastructures/{infraid}/events",
    response_model=Log,
    responses={**INFRASTRUCTURE, 200: {"description": "the events", "content": _STREAM}},
)
async def events(
    request: Request,
    _client: Reader,
    infra_id: InfraId,
    after: EventId = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """What happened, also to an infrastructure that is gone; with `Accept: text/event-stream` as it happens."""
    service = service_of(request)
    first = max(after, _number(last_event_id))
    found = await run_in_threadpool(_known_events, service, infra_id, first)
    if "text/event-stream" not in request.headers.get("accept", ""):
        return JSONResponse({"events": [_row(event) for event in found]})
    if request.app.state.streams >= request.app.state.limits.streams:
        raise Refused(503, "too many streams of events are open", {"Retry-After": "10"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(request, service, infra_id, first), 200, headers, "text/event-stream")


def _number(text: str | None) -> int:
    return min(int(text), LARGEST) if text is not None and text.isascii() and text.isdigit() else 0


def _known_events(service: Service, infra_id: str, after: int) -> list[StoredEvent]:
    """Raises `NoSuchInfrastructureError` where there is no infrastructure and never was one."""
    found = service.manager.events(infra_id, after)
    if not found and not (after and service.manager.events(infra_id)):
        service.manager.get(infra_id)
    return found


async def _stream(request: Request, service: Service, infra_id: str, last: int) -> AsyncIterator[str]:
    request.app.state.streams += 1
    quiet = 0.0
    try:
        yield ": events\n\n"
        while not service.stopping.is_set():
            try:
                found = await run_in_threadpool(service.manager.events, infra_id, last)
            except NoSuchInfrastructureError:
                return
            for event in found:
                last = event.id
                yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(_row(event))}\n\n"
            quiet = 0.0 if found else quiet + LOOK_SECONDS
            if quiet >= QUIET_SECONDS:
                quiet = 0.0
                yield ": nothing new\n\n"
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        request.app.state.streams -= 1


def _row(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        "event": event.kind,
        "node": event.node_name,
        "nodeid": event.node_id,
        "text": event.text,
    }
