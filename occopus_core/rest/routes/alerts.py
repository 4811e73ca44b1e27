"""Alerts of Prometheus's Alertmanager, whose labels name the node to scale and the direction."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from occopus_core.engine.passes.errors import BusyError
from occopus_core.events import Event, EventKind
from occopus_core.manager import InfrastructureManager, NoSuchNodeError
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.shared import INFRASTRUCTURE, Body, InfraId, Scaler, manager_of, raw_body, service_of

_LOG = logging.getLogger("occopus.alerts")
router = APIRouter(tags=["scaling"])

MOST_ALERTS = 1000
LONGEST_REST = 7 * 24 * 3600.0

CoolDown = Annotated[float, Query(ge=0, le=LONGEST_REST, description="seconds in which an alert scales once")]
_STEPS = {"up": 1, "down": -1}


class Alert(BaseModel):
    """One alert. Its labels `node` and `scale` (`up` or `down`) say what to do while it is firing."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = {}


class Webhook(BaseModel):
    """A notification of Alertmanager (version 4), as far as it is used."""

    alerts: Annotated[list[Alert], Field(max_length=MOST_ALERTS)]


_SCHEMA = {
    "type": "object",
    "required": ["alerts"],
    "properties": {"alerts": {"type": "array", "maxItems": MOST_ALERTS, "items": Alert.model_json_schema()}},
}
_EXAMPLE = {"version": "4", "alerts": [{"status": "firing", "labels": {"node": "web", "scale": "up"}}]}


class Heeded(BaseModel):
    """The result of each alert."""

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
    """Scale nodes by one for each firing alert; the same alert scales once in a cool-down.

    Alerts are identified by their labels. An alert for a node that was scaled otherwise in that time is ignored.
    """
    webhook, manager = _webhook(body), manager_of(request)
    manager.get(infra_id)
    results = [_heed(manager, infra_id, alert, cooldown) for alert in webhook.alerts]
    for alert, result in zip(webhook.alerts, results, strict=True):
        outcome = result.partition(" ")[0].rstrip(":")
        request.app.state.metrics.alerted(outcome)
        if outcome == "ignored":
            _LOG.warning("alert for %s %r ignored: %s", infra_id, _name(alert), result.partition(": ")[2])
    service_of(request).wake(infra_id)
    return {"infraid": infra_id, "results": results}


def _webhook(body: bytes) -> Webhook:
    """Parse the body within the limits of the service. Raises `RequestValidationError`."""
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
    # The log is queried, so that the cool-down holds after a restart and across services.
    rows, since = manager.store.service, time.time() - cooldown
    same = rows.last_event(infra_id, node, EventKind.ALERT_HEEDED.value, _identity(alert))
    if same is not None and same > since:
        return "ignored: this alert has scaled the node lately"
    requested = rows.last_event(infra_id, node, EventKind.SCALE_REQUESTED.value) or 0.0
    if requested > since and requested > (rows.last_event(infra_id, node, EventKind.ALERT_HEEDED.value) or 0.0):
        return "ignored: another request has scaled the node lately"
    try:
        manager.scale_by(infra_id, node, step)
    except (NoSuchNodeError, BusyError) as error:
        return f"ignored: {error}"
    rows.add_event(time.time(), Event(EventKind.ALERT_HEEDED, infra_id, node, text=_identity(alert)))
    return f"scaled {alert.labels['scale']}"


def _identity(alert: Alert) -> str:
    """The identity of an alert: its name and a digest of its labels."""
    labels = json.dumps(sorted(alert.labels.items())).encode(errors="replace")
    return f"{_name(alert)} {hashlib.sha256(labels).hexdigest()[:32]}"


def _name(alert: Alert) -> str:
    return alert.labels.get("alertname", "")[:100].encode(errors="replace").decode()
