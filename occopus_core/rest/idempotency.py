"""A request with an ``Idempotency-Key`` takes effect once, even if it is sent several times."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from occopus_core.rest.problems import Refused
from occopus_core.store.records import StoreError
from occopus_core.store.service import Answer, KeyReusedError, ServiceRows, TooManyKeysError, UnansweredError

HEADER = "Idempotency-Key"
LONGEST = 255


def once(request: Request, client: str, body: bytes, act: Callable[[], dict[str, Any]], status: int = 200) -> Response:
    """The answer of `act`, or the recorded answer to the same request. Raises `Refused` and the errors of `act`."""
    chosen = request.headers.get(HEADER)
    if chosen is None:
        return JSONResponse(act(), status)
    if not 0 < len(chosen) <= LONGEST:
        raise Refused(422, f"{HEADER}: between 1 and {LONGEST} characters")
    rows: ServiceRows = request.app.state.service.store.service
    key = _digest(client.encode(), chosen.encode())
    answer = _claimed(rows, key, _digest(request.method.encode(), request.url.path.encode(), body))
    if answer is not None:
        return JSONResponse(answer.body, answer.status)
    try:
        said = act()
    except Exception as error:
        if not (isinstance(error, StoreError) and error.unknown):  # it may have taken effect: it must not be repeated
            rows.forget(key)
        raise
    rows.keep(key, Answer(status, said))
    return JSONResponse(said, status)


def _claimed(rows: ServiceRows, key: str, request: str) -> Answer | None:
    try:
        return rows.claim(key, request, time.time())
    except KeyReusedError:
        raise Refused(422, f"this {HEADER} was used for another request") from None
    except TooManyKeysError:
        raise Refused(429, f"too many requests with an {HEADER} in a day", {"Retry-After": "3600"}) from None
    except UnansweredError:
        detail = f"a request with this {HEADER} is under way, or was when the service ended: check its effect"
        raise Refused(409, detail) from None


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
