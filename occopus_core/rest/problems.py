"""Errors as RFC 9457 problem details, with `reason` and `message` for clients of 1.x."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from occopus_core.api.errors import ProviderError
from occopus_core.descriptions.problems import DescriptionError, PlacedMessage, Problem
from occopus_core.engine.passes.errors import BusyError
from occopus_core.engine.passes.life_time import LifeTimeError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.manager import InfraIdError, NoSuchNodeError
from occopus_core.manager.errors import ChangedMeanwhileError
from occopus_core.manager.logins import NoSuchInstanceError
from occopus_core.notify.subscribing import SubscriptionError, UnconfiguredError
from occopus_core.registry import PluginError
from occopus_core.store.records import (
    DefinitionInUseError,
    LeaseLostError,
    NoSuchDefinitionError,
    NoSuchInfrastructureError,
    SpoiltError,
    StoreError,
    WorkedOnError,
)
from occopus_core.store.repository import InfrastructureTakenError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
MOST_FAULTS = 100
"""How many mistakes of one body are reported: an answer must not be much larger than its request."""
METHODS = ("DELETE", "GET", "POST", "PUT")

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NoSuchInfrastructureError, 404),
    (NoSuchNodeError, 404),
    (NoSuchInstanceError, 404),
    (NoSuchDefinitionError, 404),
    (DefinitionInUseError, 409),
    (InfrastructureTakenError, 409),
    (BusyError, 409),
    (LeaseLostError, 409),
    (WorkedOnError, 409),
    (ChangedMeanwhileError, 412),
    (UnconfiguredError, 409),
    (DescriptionError, 422),
    (InvalidDesignError, 422),
    (PluginError, 422),
    (InfraIdError, 422),
    (LifeTimeError, 422),
    (SubscriptionError, 422),
    (SpoiltError, 500),
    (StoreError, 503),
    (ProviderError, 502),
)

_UNREADABLE = ("not valid YAML", "this is empty")
"""How the messages about a file begin of which no key can be read."""

_log = logging.getLogger("occopus.rest")


class Fault(BaseModel):
    """One mistake in a description, and its position."""

    position: str
    path: str
    message: str


class ProblemDetails(BaseModel):
    """An error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] = Field(default=[])
    reason: str = Field(description="the same as `title`, where clients of Occopus 1.x look for it")
    message: str = Field(description="the same as `detail`, where clients of Occopus 1.x look for it")
    status_code: int = Field(description="the same as `status`, where clients of Occopus 1.x look for it")


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for the OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {code: {"description": HTTPStatus(code).phrase, "content": {MEDIA_TYPE: schema}} for code in codes}


class Refused(HTTPException):  # an answer to a client, not a failure
    """The request is refused with a problem."""


def problem(
    status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with a problem."""
    title = HTTPStatus(status).phrase
    details = ProblemDetails(
        title=title,
        status=status,
        detail=detail,
        errors=list(errors),
        reason=title,
        message=detail,
        status_code=status,
    )
    return JSONResponse(details.model_dump(), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI, redact: Callable[[str], str] = str) -> None:
    """Make the application answer every error with a problem. `redact` removes secrets from the text."""
    for kind, _ in _STATUS:
        app.add_exception_handler(kind, functools.partial(_known, redact=redact))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: Exception, *, redact: Callable[[str], str] = str) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return problem(status, "the store cannot be used at present", headers={"Retry-After": str(RETRY_SECONDS)})
    if isinstance(error, NoSuchInfrastructureError):
        return problem(status, f"no infrastructure has the id '{error.infra_id}'")
    if isinstance(error, DescriptionError | InvalidDesignError):
        shown = error.problems[:MOST_FAULTS]
        more = len(error.problems) - len(shown)
        said = [*map(str, shown), *([f"and {more:,} more mistakes"] if more else []), *_hints(request, shown)]
        return problem(status, redact("; ".join(map(_one_line, said))), [_fault(one, redact) for one in shown])
    return problem(status, redact(_one_line(str(error))))


def _hints(request: Request, problems: Sequence[Problem | str]) -> list[str]:
    """How to send a file whose line ends the client has removed; else nothing."""
    unreadable = any(isinstance(one, Problem) and one.message.startswith(_UNREADABLE) for one in problems)
    if not unreadable or not getattr(request.state, "is_one_line", False):
        return []
    return ["the body came as one line: send files with curl --data-binary @FILE, since -d removes the line ends"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fault(one: Problem | str, redact: Callable[[str], str]) -> Fault:
    if isinstance(one, PlacedMessage):
        return Fault(position=one.position, path=one.path, message=redact(one.message))
    if isinstance(one, str):
        return Fault(position="", path="", message=redact(one))
    return Fault(position=str(one.position), path=one.path, message=redact(one.message))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "the handler is installed for this type"
    faults = [Fault(position="", path=".".join(map(str, one["loc"])), message=one["msg"]) for one in error.errors()]
    faults = faults[:MOST_FAULTS]
    return problem(422, "; ".join(f"{fault.path}: {fault.message}" for fault in faults), faults)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "the handler is installed for this type"
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
    return problem(error.status_code, str(error.detail), headers=headers)


def _methods_of(request: Request) -> list[str]:
    """All methods of a path; Starlette reports those of one route only."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    routes = request.app.routes
    return [name for name, scope in scopes.items() if any(one.matches(scope)[0] is Match.FULL for one in routes)]


async def _unknown(request: Request, _error: Exception) -> Response:
    _log.exception("a request failed: %s %s", request.method, request.url.path)
    return problem(500, "internal error; see the server log")
