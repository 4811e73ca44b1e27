"""Events of an infrastructure: as a list, or as a stream of server-sent events."""

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
from starlette.types import Receive, Scope, Send

from occopus_core.rest.problems import problem
from occopus_core.rest.routes.shared import INFRASTRUCTURE, InfraId, Reader, service_of
from occopus_core.rest.service import Service
from occopus_core.store.records import StoredEvent

router = APIRouter(tags=["events"])

LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""After this time without an event a comment is sent, so that no proxy closes the stream as idle."""
STREAM_SECONDS = 600.0
"""How long a stream lasts. A client that reconnects shows its token again, which may have been revoked."""
MOST = 1000
"""The largest number of events in one answer."""
PART = 100
"""How many events a stream keeps in memory."""
LARGEST = 2**31 - 1
"""The largest id that every database takes."""

EventId = Annotated[int, Query(ge=0, le=LARGEST, description="only events after the one with this id")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="at most this many events")]
Last = Annotated[int | None, Query(ge=1, le=MOST, description="only this many of the latest events")]
LastEventId = Annotated[str | None, Header(description="the same, sent by browsers that reconnect")]
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
    limit: Limit = MOST,
    last: Last = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Events, including those of an infrastructure that is gone; with `Accept: text/event-stream` as they happen.

    The oldest come first: request more with `after` the last one. A stream ends after a while, and browsers reconnect.
    """
    service = service_of(request)
    first = max(after, _number(last_event_id))
    if last is not None:
        first = max(first, await run_in_threadpool(service.store.service.before_latest, infra_id, last))
    found = await run_in_threadpool(_known_events, service, infra_id, first, limit)
    if "text/event-stream" not in request.headers.get("accept", ""):
        return JSONResponse({"events": [_row(event) for event in found]})
    return EventStream(_stream(service, infra_id, first))


def _number(text: str | None) -> int:
    return min(int(text), LARGEST) if text is not None and text.isascii() and text.isdigit() else 0


def _known_events(service: Service, infra_id: str, after: int, limit: int) -> list[StoredEvent]:
    """The recorded events. Raises `NoSuchInfrastructureError` for an id without infrastructure and events."""
    found = service.manager.events(infra_id, after, limit)
    if not found and not (after and service.manager.events(infra_id, 0, 1)):
        service.manager.get(infra_id)
    return found


class EventStream(StreamingResponse):
    """A stream of events. The number of open streams is limited."""

    def __init__(self, content: AsyncIterator[str]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, 200, headers, "text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, or refuse if too many streams are open."""
        state = scope["app"].state
        if state.streams >= state.limits.streams:
            full = problem(503, "too many streams of events are open", headers={"Retry-After": "10"})
            await full(scope, receive, send)
            return
        state.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            state.streams -= 1


async def _stream(service: Service, infra_id: str, last: int) -> AsyncIterator[str]:
    quiet, end = 0.0, asyncio.get_running_loop().time() + STREAM_SECONDS
    yield ": events\n\n"
    while not service.stopping.is_set() and asyncio.get_running_loop().time() < end:
        found = await run_in_threadpool(service.manager.events, infra_id, last, PART)
        for event in found:
            last = event.id
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(_row(event))}\n\n"
        quiet = 0.0 if found else quiet + LOOK_SECONDS
        if quiet >= QUIET_SECONDS:
            quiet = 0.0
            yield ": nothing new\n\n"
        if len(found) < PART:
            await asyncio.sleep(LOOK_SECONDS)


def _row(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        "event": event.kind,
        "node": event.node_name,
        "nodeid": event.node_id,
        "text": event.text,
    }
