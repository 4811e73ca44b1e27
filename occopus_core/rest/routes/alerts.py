"""Alerts of Prometheus's Alertmanager: their labels say which node is scaled, and which way."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from occopus_core.engine.passes.errors import BusyError
from occopus_core.events import EventKind
from occopus_core.manager import InfrastructureManager, NoSuchNodeError
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, Body, InfraId, Scaler, manager_of, raw_body, service_of

router = APIRouter(tags=["scaling"])

MOST_ALERTS = 1000
LONGEST_REST = 7 * 24 * 3600.0

CoolDown = Annotated[float, Query(ge=0, le=LONGEST_REST, description="seconds in which a node is not scaled again")]
_STEPS = {"up": 1, "down": -1}


class Alert(BaseModel):
    """One alert; its labels `node` and `scale` (`up` or `down`) say what to do while it is firing."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = {}


class Webhook(BaseModel):
    """What Alertmanager sends (version 4); the rest of it does not matter here."""

    alerts: Annotated[list[Alert], Field(max_length=MOST_ALERTS)]


_SCHEMA = {
    "type": "object",
    "required": ["alerts"],
    "properties": {"alerts": {"type": "array", "maxItems": MOST_ALERTS, "items": Alert.model_json_schema()}},
}
_EXAMPLE = {"version": "4", "alerts": [{"status": "firing", "labels": {"node": "web", "scale": "up"}}]}


class Heeded(BaseModel):
    """What became of each alert."""

    infraid: str
    results: list[str]


@router.post(
    "/infrastructures/{infraid}/alerts",
    response_model=Heeded,
    responses={**INFRASTRUCTURE, **documented(408, 413)},
    openapi_extra=raw_body(_EXAMPLE, _SCHEMA),
)
def heed(
    request: Request, _client: Scaler, infra_id: InfraId, body: Body, cooldown: CoolDown = 300.0
) -> dict[str, Any]:
    """Scale nodes by one, as alerts that are firing say; a node that was scaled lately is left alone."""
    webhook, manager = _webhook(body), manager_of(request)
    manager.get(infra_id)
    results = [_heed(manager, infra_id, alert, cooldown) for alert in webhook.alerts]
    service_of(request).wake(infra_id)
    return {"infraid": infra_id, "results": results}


def _webhook(body: bytes) -> Webhook:
    """Read by ourselves, within our limits. Raises `RequestValidationError`."""
    try:
        return Webhook.model_validate_json(body)
    except ValidationError as error:
        faults = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(faults) from None


def _heed(manager: InfrastructureManager, infra_id: str, alert: Alert, cooldown: float) -> str:
    node, step = alert.labels.get("node", ""), _STEPS.get(alert.labels.get("scale", ""))
    if alert.status != "firing":
        return "ignored: not firing"
    if step is None:
        return "ignored: it has no label 'scale' that is 'up' or 'down'"
    # The log is asked, so that a restart, or another service, does not forget when a node was scaled.
    last = manager.store.service.last_event(infra_id, node, EventKind.SCALE_REQUESTED.value)
    if last is not None and time.time() - last < cooldown:
        return "ignored: the node was scaled lately"
    try:
        manager.scale_by(infra_id, node, step)
    except (NoSuchNodeError, BusyError) as error:
        return f"ignored: {error}"
    return f"scaled {alert.labels['scale']}"
