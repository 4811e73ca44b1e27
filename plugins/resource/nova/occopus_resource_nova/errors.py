"""Maps refusals of OpenStack and broken connections to the errors of the contract."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from keystoneauth1 import exceptions

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)

_NO_ROOM = re.compile(
    r"no valid host|quota|exhausted all hosts|exceeds? (the )?(allowed|available|limit)|limit exceeded"
    r"|maximum number of (ports|instances|volumes|floating)|no more (ip )?addresses|no more free"
    r"|any available weighted backend",
    re.IGNORECASE,
)
_FOREIGN = "the answer is not one of OpenStack: is resource.endpoint an Identity URL?"
_GARBLED = (exceptions.InvalidResponse, requests.JSONDecodeError, ValueError, TypeError, LookupError)
"""Exceptions that an unreadable answer causes."""
_TOKENS = "/auth/tokens"
_WHO = "see auth_data, and with a username also resource.project_id and resource.user_domain_name"
_LONGEST = 400
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
_CONFLICT, _CHANGED, _TOO_LARGE, _TOO_MANY = 409, 412, 413, 429
_SERVER_ERROR = 500

_UNREACHED = re.compile("NewConnectionError|NameResolutionError|refused")
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_BROKEN = "the connection broke before the answer"
_TROUBLES: tuple[tuple[tuple[type[Exception], ...], type[ProviderError], str], ...] = (
    ((TimeoutError, exceptions.ConnectTimeout), TransientError, "no answer within {timeout:g} s"),
    ((exceptions.AuthorizationFailure,), AuthError, "the credentials do not suffice"),
    ((requests.JSONDecodeError,), PermanentError, _FOREIGN),
    (
        (requests.RequestException, exceptions.ConnectionError, exceptions.RetriableConnectionFailure),
        TransientError,
        _BROKEN,
    ),
    ((OSError,), PermanentError, "{error}"),
    ((exceptions.ClientException, ValueError, TypeError, LookupError), PermanentError, _FOREIGN),
)


def is_no_room(message: str) -> bool:
    """Whether a message of OpenStack reports an exceeded quota, or missing capacity."""
    return bool(_NO_ROOM.search(message))


def provider_error(error: Exception, where: str, timeout: float, key: str = "", *, met: bool = False) -> ProviderError:
    """The error of the contract for the exception of a call.

    `where` names the cloud, `timeout` is in seconds, and `key` is the key of the description that names the requested
    resource: if the cloud does not have it, that is `NotFoundError`. `met` says that the cloud has issued a token
    before: other answers than OpenStack's then come from a proxy in between, which may have forwarded the call.
    """
    if met and (isinstance(error, _GARBLED) or _is_cut(error)):
        return TransientError(f"{where}: {_FOREIGN}")
    if isinstance(error, exceptions.HttpError):
        return _refusal(error, where, key)
    return _trouble(error, where, timeout)


def _trouble(error: Exception, where: str, timeout: float) -> ProviderError:
    """Map errors of the connection."""
    if isinstance(error, exceptions.SSLError) and _UNTRUSTED in str(error):
        return PermanentError(f"{where}: its certificate is not trusted: REQUESTS_CA_BUNDLE may name another authority")
    if isinstance(error, exceptions.ConnectFailure) and _UNREACHED.search(str(error)):
        return TransientError(f"{where}: it cannot be reached", unreached=True)
    if isinstance(error, exceptions.InvalidResponse):  # while requesting a token
        return PermanentError(f"{where}: {_FOREIGN}", unreached=True)
    for kinds, kind, words in _TROUBLES:
        if isinstance(error, kinds):
            return kind(f"{where}: {words}".format(timeout=timeout, error=error))
    return PermanentError(f"{where}: {type(error).__name__}")


def _refusal(error: exceptions.HttpError, where: str, key: str) -> ProviderError:
    status = error.http_status
    response: Any = error.response
    message = message_of(response) or f"HTTP {status}"
    request_id = error.request_id or None
    text = f"{where}: {message}"
    gone = status == _NOT_FOUND and _body(response) is not None  # an application credential that was deleted
    if (status == _UNAUTHORIZED or gone) and _TOKENS in (error.url or ""):
        return AuthError(f"{text} ({_WHO})", request_id=request_id)
    if status >= _SERVER_ERROR:
        return TransientError(text, request_id=request_id)
    if status in (_TOO_LARGE, _TOO_MANY) and not is_no_room(message):
        return ThrottledError(text, retry_after=_retry_after(response), request_id=request_id)
    if _TOKENS in (error.url or ""):  # without a token no service was called
        return _refusal_class(status, message, "")(text, request_id=request_id, unreached=True)
    return _refusal_class(status, message, key)(
        f"{where}: resource.{key}: {message}" if key and status in (_BAD_REQUEST, _NOT_FOUND) else text,
        request_id=request_id,
    )


def _is_cut(error: Exception) -> bool:
    """Whether a refusal is incomplete, so that its subject is unknown."""
    response = getattr(error, "response", None)
    return str(getattr(response, "text", "")).lstrip().startswith("{") and _body(response) is None


def _refusal_class(status: int, message: str, key: str) -> type[ProviderError]:
    if status == _UNAUTHORIZED:
        return AuthError
    if status in (_FORBIDDEN, _CONFLICT, _TOO_LARGE, _TOO_MANY) and is_no_room(message):
        return QuotaError
    if status == _FORBIDDEN:
        return AuthError
    if status in (_CONFLICT, _CHANGED):  # another operation on the resource is in progress
        return TransientError
    if key and status in (_BAD_REQUEST, _NOT_FOUND):
        return NotFoundError
    return PermanentError


def message_of(response: Any) -> str:
    """The message of a refusal, as one line: each service wraps it in another key."""
    body = _body(response)
    if body is None:
        return _foreign(response)
    for value in (*body.values(), body) if isinstance(body, dict) else ():
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            return _short(value["message"])
        if isinstance(value, str):
            return _short(value)
    return ""


def _body(response: Any) -> Any:
    """The JSON of an answer, None if it is not JSON."""
    try:
        return response.json()
    except (ValueError, AttributeError):
        return None


def _foreign(response: Any) -> str:
    """Whether the answer does not come from OpenStack. Glance answers HTML to requests with an old path."""
    status = getattr(response, "status_code", "an answer")
    return f"HTTP {status}, not as OpenStack answers: is resource.endpoint an Identity URL?"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _retry_after(response: Any) -> float | None:
    """Seconds to wait; a date is compared to the provider's own clock."""
    headers = getattr(response, "headers", {})
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None
