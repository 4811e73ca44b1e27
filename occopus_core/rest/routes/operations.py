"""Routes for operators: liveness, readiness, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from occopus_core.rest.problems import Refused, documented
from occopus_core.rest.routes.shared import COMMON, Reader, service_of

router = APIRouter(tags=["operations"])


class Status(BaseModel):
    """The service works."""

    status: str


@router.get("/healthz", response_model=Status, responses=documented(503))
async def alive(request: Request) -> dict[str, str]:
    """Liveness: fails if the service should be restarted. Needs no token."""
    if not service_of(request).alive:
        raise Refused(503, "maintenance has ended")
    return {"status": "alive"}


@router.get("/readyz", response_model=Status, responses=documented(503))
def ready(request: Request) -> dict[str, str]:
    """Readiness: succeeds if the service can take requests. Needs no token."""
    service = service_of(request)
    service.store.service.ping()
    if not service.alive or service.stopping.is_set():
        raise Refused(503, "the service is ending")
    return {"status": "ready"}


@router.get(
    "/metrics",
    responses={**COMMON, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=Response,
)
def metrics(request: Request, _client: Reader) -> Response:
    """Counters and gauges in Prometheus's text format."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
