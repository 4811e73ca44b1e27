"""Maps refusals of the platform and errors of the connection to the errors of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
from occopus_resource_cloudbroker.answers import RefusalError, StrangerError

_LONGEST = 300
"""The most characters of the platform's message that are shown."""
_SERVER_ERROR = 500
_UNAVAILABLE = 503
_UNAUTHORIZED = 401
_BY_STATUS: Mapping[int, type[ProviderError]] = {
    402: QuotaError,
    403: AuthError,
    404: NotFoundError,
    408: TransientError,
    409: TransientError,
    425: TransientError,
    429: ThrottledError,
}
_BY_WORDS: Sequence[tuple[re.Pattern[str], type[ProviderError]]] = [
    (re.compile(words, re.IGNORECASE), kind)
    for words, kind in (
        (r"rate limit|too many requests|throttl", ThrottledError),
        (
            r"quota|limit|exceed|capacity|insufficient|not enough|no more|credit|balance|budget|out of",
            QuotaError,
        ),
        (
            r"not found|(could ?n[o']t|cannot|can't) (be )?f(ind|ound)|not exist|n't exist|must exist|no such",
            NotFoundError,
        ),
        (r"try again|temporar|timed? ?out|unavailable|internal (server )?error|busy", TransientError),
    )
]
"""Error classes by words of the message: the platform's error texts are not documented."""
_KEYS = (
    (re.compile(r"instance.?type", re.IGNORECASE), "instance_type_id"),
    (re.compile(r"deployment", re.IGNORECASE), "deployment_id"),
    (re.compile(r"key.?pair", re.IGNORECASE), "key_pair_id"),
    (re.compile(r"opened.?port|\bport", re.IGNORECASE), "opened_port"),
)
"""The key of the description to which a refusal of a creation refers."""
_WRONG_CREDENTIALS = "the e-mail address or the password is wrong (auth_data of type cloudbroker: email, password)"
_NAME_UNKNOWN = ("NameResolutionError", "Failed to resolve")


class WrongStatusError(PermanentError):
    """The status of the instance does not allow the call."""


class SilenceError(TransientError):
    """No answer arrived: concurrent calls would probably wait for one just as long."""


def provider_error(error: Exception, where: str, seconds: float, *, met: bool = False) -> ProviderError:
    """The error for the exception of a call. `where` names the endpoint, `seconds` is the time limit of the call.

    `met` says that the endpoint has answered as the platform does before: any other answer then comes from a proxy in
    between.
    """
    if isinstance(error, RefusalError):
        return _refusal(error, where, met=met)
    if isinstance(error, StrangerError):
        return _stranger(error.status, where, met=met)
    return _trouble(error, where, seconds)


def with_key(error: ProviderError) -> ProviderError:
    """The refusal of a creation, with the key of the description to which it refers, if the platform names one."""
    if isinstance(error, NotFoundError | PermanentError):
        for words, key in _KEYS:
            if words.search(error.message):
                return type(error)(f"{error.message} (resource.description.{key})", request_id=error.request_id)
    return error


def is_certain(error: ProviderError) -> bool:
    """Whether a failed call certainly had no effect, or only a known one."""
    return error.unreached or isinstance(error, ThrottledError) or not isinstance(error, TransientError)


def _refusal(error: RefusalError, where: str, *, met: bool) -> ProviderError:
    said = " ".join("; ".join(error.messages).split())
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    kind = _kind(error, said)
    if kind is AuthError and (error.status == _UNAUTHORIZED or error.type == "authentication"):
        return AuthError(f"{where}: {_WRONG_CREDENTIALS}")
    if kind is NotFoundError and not error.explained and not met:
        return _stranger(error.status, where, met=False)
    message = ": ".join(filter(None, [where, error.type, said or f"HTTP {error.status}"]))
    if kind is ThrottledError:
        return ThrottledError(message, retry_after=float(error.retry_after) if error.retry_after.isdecimal() else None)
    return kind(message)


def _kind(error: RefusalError, said: str) -> type[ProviderError]:
    """The error class by the type, else the status, else the words."""
    if error.type in ("authentication", "missing rights") or error.status == _UNAUTHORIZED:
        return AuthError
    if error.type == "wrong status":
        return WrongStatusError
    if error.status in _BY_STATUS:
        return _BY_STATUS[error.status]
    if error.status == _UNAVAILABLE and error.retry_after:
        return ThrottledError
    if error.status >= _SERVER_ERROR:
        return next((kind for words, kind in _BY_WORDS if words.search(said) and kind is QuotaError), TransientError)
    return next((kind for words, kind in _BY_WORDS if words.search(said)), PermanentError)


def _stranger(status: int, where: str, *, met: bool) -> ProviderError:
    message = f"{where} answered HTTP {status}, not as CloudBroker does: is it the endpoint of a CloudBroker Platform?"
    if met or status >= _SERVER_ERROR:  # from a gateway, which may have forwarded the call
        return TransientError(message)
    return PermanentError(message, unreached=True)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Map errors of the connection."""
    if isinstance(error, LookupError):
        return TransientError(f"{where}: something is missing in its answer")
    if isinstance(error, TimeoutError | requests.Timeout):
        return SilenceError(f"{where}: no answer within {seconds:g} s")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PermanentError(
            f"{where}: its certificate is not trusted; REQUESTS_CA_BUNDLE names a file with authorities that are",
            unreached=True,
        )
    if isinstance(error, ValueError):  # requests could not even send it
        return PermanentError(f"{where}: {type(error).__name__}: is resource.endpoint a URL?", unreached=True)
    if isinstance(error, OSError):  # the errors of requests are OSErrors
        why = _why_not(error)
        message = f"it cannot be reached{why}" if why else "the connection broke before the answer was complete"
        return SilenceError(f"{where}: {message}", unreached=bool(why))
    return PermanentError(f"{where}: {type(error).__name__}")


def _why_not(error: Exception) -> str:
    """Why no connection could be made; empty if one was made and broke."""
    text = str(error)
    if "Connection refused" in text:
        return ", nothing listens there"
    if any(words in text for words in _NAME_UNKNOWN):
        return ", its name is not known"
    if isinstance(error, requests.exceptions.SSLError):
        return ", no encrypted connection can be made"
    return ", no connection can be made" if "NewConnectionError" in text or "ProxyError" in text else ""
