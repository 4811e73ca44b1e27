"""What CloudSigma's refusals, and a connection that fails, mean to the core."""

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
"""CloudSigma's own word for an error decides before the status: it says with one status that a server is being
changed by someone else and that there is no room for it."""

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.PAYMENT_REQUIRED: QuotaError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: TransientError,
    HTTPStatus.CONFLICT: TransientError,
    HTTPStatus.TOO_MANY_REQUESTS: ThrottledError,
}
_SURE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses that are understood without a body."""


class StateError(TransientError):
    """The server or drive is in a state in which this is refused: it is being changed, or the change was made."""


class RefusalError(Exception):
    """An answer that is no success. `errors` is CloudSigma's list, None where the body is not one."""

    def __init__(
        self, method: str, status: int, headers: Mapping[str, str], errors: Sequence[Mapping[str, Any]] | None
    ) -> None:
        super().__init__(status)
        self.method, self.status, self.headers, self.errors = method, status, headers, errors


class StrangerError(Exception):
    """A success whose body is not CloudSigma's: a web page, or half of an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def provider_error(error: Exception, where: str, seconds: float, key: str = "", *, met: bool = False) -> ProviderError:
    """The error of the contract for what a call ended with.

    `where` names the endpoint, `seconds` is the time limit of the call, and `key` is what the description calls the
    thing asked for. `met` says that the endpoint has answered as CloudSigma does before: an answer that is not
    CloudSigma's then comes from a gateway, which may have passed the call on.
    """
    if isinstance(error, RefusalError) and (error.errors is not None or error.status in _SURE):
        return _refused(error, where, key)
    if isinstance(error, RefusalError | StrangerError):
        message = f"{where} answered HTTP {error.status}, {_FOREIGN}"
        unknown = met or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return TransientError(message) if unknown else PermanentError(message, unreached=True)
    return _trouble(error, where, seconds)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Errors of the connection."""
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
    """With 503, CloudSigma also says that it has no room; a question needs none."""
    unavailable = refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
    if unavailable and "retry-after" in refusal.headers:
        return ThrottledError
    if refusal.method != "GET" and said and (unavailable or _NO_ROOM.search(said)):
        return QuotaError
    return TransientError


def _line(error: Mapping[str, Any], key: str) -> str:
    """One error in one line, with the field it is about."""
    words = " ".join(str(error.get("error_message") or "").split())
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
    point = error.get("error_point")
    if not point or not isinstance(point, str):
        return words
    return f"{words} ({key}.{point})" if key == "resource.description" else f"{words} ({point})"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
