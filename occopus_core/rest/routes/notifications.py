"""Notification properties: the app to which the events of an infrastructure are sent."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request

from occopus_core.notify.subscribing import SubscriptionError
from occopus_core.rest.problems import documented
from occopus_core.rest.routes.infrastructures import Identified
from occopus_core.rest.routes.shared import INFRASTRUCTURE, Body, InfraId, Writer, manager_of, raw_body

router = APIRouter(tags=["events"])

_SCHEMA = {
    "type": "object",
    "required": ["type", "fcm"],
    "properties": {
        "type": {"type": "string", "enum": ["fcm"]},
        "fcm": {
            "type": "object",
            "required": ["reg_id"],
            "properties": {
                "reg_id": {"type": "string", "pattern": "^[!-~]{1,4096}$"},
                "api_key": {"type": "string", "description": "of clients of Occopus 1.x: neither used nor kept"},
            },
        },
    },
}
_EXAMPLE = {"type": "fcm", "fcm": {"reg_id": "the-registration-id-of-an-app"}}


@router.post(
    "/infrastructures/{infraid}/notify",
    response_model=Identified,
    responses={**INFRASTRUCTURE, **documented(408, 409, 413)},
    openapi_extra=raw_body(_EXAMPLE, _SCHEMA),
)
def notify(request: Request, _client: Writer, infra_id: InfraId, body: Body) -> dict[str, Any]:
    """Send the events of an infrastructure to an app, with the credentials of this service.

    Another call replaces the app. An `api_key` is neither used nor kept.
    """
    type_, properties = _said(body)
    manager_of(request).subscribe(infra_id, type_, properties)
    return {"infraid": infra_id}


def _said(body: bytes) -> tuple[str, dict[str, Any]]:
    """The type, and the properties below its key. Raises `SubscriptionError`."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SubscriptionError(f"the body is not JSON: {error}") from None
    type_ = given.get("type") if isinstance(given, dict) else None
    if not isinstance(type_, str) or not isinstance(given.get(type_), dict):
        raise SubscriptionError(f"the body must be an object like {json.dumps(_EXAMPLE)}")
    return type_, given[type_]
