"""Maps refusals of CloudSigma and broken connections to the errors of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)

_FOREIGN = "not as CloudSigma does: is resource.endpoint the URL of a location, such as https://zrh.cloudsigma.com?"
_IN_STATE = re.compile(r"\bin state\b", re.IGNORECASE)
_NO_ROOM = re.compile(r"quota|enough (resources|capacity|funds|credit|money)|capacity|insufficient", re.IGNORECASE)
_NOT_THERE = re.compile(r"(does not|doesn't|not) exist|not found", re.IGNORECASE)
_NO_LISTENER = re.compile("NewConnectionError|NameResolutionError|refused")
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_LONGEST = 400

_BY_TYPE: Mapping[str, type[ProviderError]] = {
    "billing": QuotaError,
    "payment": QuotaError,
    "notexist": NotFoundError,
    "concurrency": TransientError,
}
"""CloudSigma's error type counts before the status: one status is used both for a server changed by someone else and
for missing capacity."""

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.PAYMENT_REQUIRED: QuotaError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: TransientError,
    HTTPStatus.CONFLICT: TransientError,
    HTTPStatus.TOO_MANY_REQUESTS: ThrottledError,
}
_SURE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses whose meaning needs no body."""


class StateError(TransientError):
    """The state of the server or drive does not allow the call: it is being changed, or the change is already done."""


class RefusalError(Exception):
    """An error answer. `errors` is CloudSigma's list, None if the body is something else."""

    def __init__(
        self, method: str, status: int, headers: Mapping[str, str], errors: Sequence[Mapping[str, Any]] | None
    ) -> None:
        super().__init__(status)
        self.method, self.status, self.headers, self.errors = method, status, headers, errors


class StrangerError(Exception):
    """A success with an unexpected body: a web page, or an incomplete answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def provider_error(error: Exception, where: str, seconds: float, key: str = "", *, met: bool = False) -> ProviderError:
    """The error of the contract for the exception of a call.

    `where` names the endpoint, `seconds` is the time limit of the call, and `key` is the key of the description that
    names the requested resource. `met` says that the endpoint has answered as CloudSigma does before: any other answer
    then comes from a gateway, which may have forwarded the call.
    """
    if isinstance(error, RefusalError) and (error.errors is not None or error.status in _SURE):
        return _refused(error, where, key)
    if isinstance(error, RefusalError | StrangerError):
        message = f"{where} answered HTTP {error.status}, {_FOREIGN}"
        unknown = met or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return TransientError(message) if unknown else PermanentError(message, unreached=True)
    return _trouble(error, where, seconds)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Map errors of the connection."""
    if isinstance(error, TimeoutError | requests.Timeout):
        return TransientError(f"{where}: no answer within {seconds:g} s")
    if isinstance(error, requests.exceptions.SSLError) and _UNTRUSTED in str(error):
        return PermanentError(f"{where}: its certificate is not trusted: REQUESTS_CA_BUNDLE may name another authority")
    if isinstance(error, requests.ConnectionError) and _NO_LISTENER.search(str(error)):
        return TransientError(f"{where}: it cannot be reached", unreached=True)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return PermanentError(f"{where}: resource.endpoint is not a URL", unreached=True)
    if isinstance(error, requests.RequestException | OSError):
        return TransientError(f"{where}: the connection broke before the answer was complete")
    return PermanentError(f"{where}: {type(error).__name__}")


def _refused(refusal: RefusalError, where: str, key: str) -> ProviderError:
    errors = refusal.errors or ()
    said = "; ".join(filter(None, (_line(one, key) for one in errors)))
    kind = _kind(refusal, errors, said)
    if kind is AuthError:
        return AuthError(f"{where}: the e-mail or the password is refused (auth_data of type cloudsigma)")
    message = f"{where}: {said or HTTPStatus(refusal.status).phrase}"
    if kind is ThrottledError:
        return ThrottledError(message, retry_after=_retry_after(refusal.headers))
    if kind is NotFoundError and key and key not in message:
        message = f"{message} ({key})"
    return kind(message)


def _kind(refusal: RefusalError, errors: Sequence[Mapping[str, Any]], said: str) -> type[ProviderError]:
    named = [kind for one in errors if (kind := _BY_TYPE.get(str(one.get("error_type"))))]
    if named:
        return named[0]
    if _IN_STATE.search(said):
        return StateError
    if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _trouble_kind(refusal, said)
    by_words = QuotaError if _NO_ROOM.search(said) else NotFoundError if _NOT_THERE.search(said) else PermanentError
    return _BY_STATUS.get(refusal.status, by_words)


def _trouble_kind(refusal: RefusalError, said: str) -> type[ProviderError]:
    """The error class of a 503: CloudSigma also uses it for missing capacity, but not for read requests."""
    unavailable = refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
    if unavailable and "retry-after" in refusal.headers:
        return ThrottledError
    if refusal.method != "GET" and said and (unavailable or _NO_ROOM.search(said)):
        return QuotaError
    return TransientError


def _line(error: Mapping[str, Any], key: str) -> str:
    """One error as one line, with the field that it concerns."""
    words = " ".join(str(error.get("error_message") or "").split())
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
    point = error.get("error_point")
    if not point or not isinstance(point, str):
        return words
    return f"{words} ({key}.{point})" if key == "resource.description" else f"{words} ({point})"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
