"""The output of instances."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from occopus_core.descriptions.times import written
from occopus_core.engine.passes.outputs import InstanceOutput
from occopus_core.rest.problems import Refused, documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, InfraId, Reader, manager_of

router = APIRouter(tags=["infrastructures"])

MOST_LINES = 1_000
MOST_WAITING = 16
"""Requests that wait for their turn; more are refused."""
_READS = CapacityLimiter(4)
"""Reads at once: a provider that does not answer holds up no other request."""

NodeId = Annotated[str, Path(alias="nodeid", max_length=255, description="the node id of the instance")]
Lines = Annotated[int, Query(ge=1, le=MOST_LINES, description="the most lines that are answered, the last ones")]


class FailedJob(BaseModel):
    """The last lines that the job of a configuration manager has printed which could not reconfigure an instance."""

    lines: list[str]
    kept_at: str


class Logged(BaseModel):
    """The last lines of the output of an instance, without control characters and secrets."""

    infraid: str
    nodename: str
    nodeid: str
    lines: list[str]
    available: bool = Field(description="whether there is any output")
    detail: str = Field(description="why there is none; else empty")
    kept_at: str | None = Field(
        description="when the lines were kept, of an instance that failed and is gone; else null"
    )
    failed_job: FailedJob | None = Field(
        description="the last reconfiguration, if it failed and left the instance in service; else null"
    )


@router.get(
    "/infrastructures/{infraid}/nodes/{nodeid}/logs",
    response_model=Logged,
    responses={**INFRASTRUCTURE, **documented(502)},
)
async def logs(
    request: Request, _client: Reader, infra_id: InfraId, node_id: NodeId, lines: Lines = 100
) -> dict[str, Any]:
    """The last lines that an instance has printed, as its provider keeps them."""
    if _READS.statistics().tasks_waiting >= MOST_WAITING:
        raise Refused(503, "too many requests read output at present", {"Retry-After": "5"})
    read = functools.partial(manager_of(request).logs, infra_id, node_id, lines)
    found = [one for one in await to_thread.run_sync(read, limiter=_READS) if one.node_id == node_id]
    if not found:
        raise Refused(404, f"'{infra_id}' has no instance with the node id '{node_id}'")
    one = found[0]
    if one.failed:
        raise Refused(502, one.problem)
    return {
        "infraid": infra_id,
        "nodename": one.node_name,
        "nodeid": one.node_id,
        "lines": list(one.lines),
        "available": not one.problem,
        "detail": one.problem,
        "kept_at": None if one.kept_at is None else written(one.kept_at),
        "failed_job": next((_failed_job(other) for other in found if other.of_job), None),
    }


def _failed_job(one: InstanceOutput) -> dict[str, Any]:
    return {"lines": list(one.lines), "kept_at": written(one.kept_at or 0.0)}
