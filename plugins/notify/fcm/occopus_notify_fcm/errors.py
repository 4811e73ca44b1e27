"""Maps errors of Google's services to the errors of the contract.

Google's texts are left out: they may quote the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from occopus_core.api import AuthError, PermanentError, ProviderError, ThrottledError, TransientError

_QUOTA_SECONDS = 60.0
"""How long to pause if FCM does not say."""
_SERVER_ERROR = 500

_CODES: Mapping[str, tuple[type[ProviderError], str]] = {
    "UNREGISTERED": (PermanentError, "the app is not registered under this token any more"),
    "SENDER_ID_MISMATCH": (PermanentError, "the token belongs to an app of another project"),
    "INVALID_ARGUMENT": (PermanentError, "the message is not accepted: most likely its token or topic is wrong"),
    "NOT_FOUND": (PermanentError, "there is no such project"),
    "UNAUTHENTICATED": (AuthError, "the access token was refused"),
    "PERMISSION_DENIED": (AuthError, "the service account may not send messages in this project"),
    "THIRD_PARTY_AUTH_ERROR": (AuthError, "the project lacks a valid APNs certificate or web push key"),
    "QUOTA_EXCEEDED": (ThrottledError, "too many messages"),
    "RESOURCE_EXHAUSTED": (ThrottledError, "too many messages"),
    "UNAVAILABLE": (TransientError, "it is overloaded"),
    "INTERNAL": (TransientError, "an error of its own"),
    "UNSPECIFIED_ERROR": (TransientError, "an error of its own"),
}
_STATUSES: Mapping[int, str] = {
    requests.codes.unauthorized: "UNAUTHENTICATED",
    requests.codes.forbidden: "PERMISSION_DENIED",
    requests.codes.too_many_requests: "QUOTA_EXCEEDED",
}


def message_error(response: requests.Response) -> ProviderError:
    """The error for a message that FCM has refused."""
    status = response.status_code
    code = next((code for code in (*_said(response), _STATUSES.get(status)) if code in _CODES), None)
    if code is None:
        unknown = TransientError if status >= _SERVER_ERROR or status == requests.codes.timeout else PermanentError
        return unknown(f"Firebase Cloud Messaging answered {status}")
    kind, words = _CODES[code]
    message = f"Firebase Cloud Messaging answered {code}: {words}"
    retry_after = response.headers.get("Retry-After", "")
    if issubclass(kind, TransientError) and retry_after.isdecimal():
        return ThrottledError(message, retry_after=float(retry_after))
    return ThrottledError(message, retry_after=_QUOTA_SECONDS) if kind is ThrottledError else kind(message)


def token_error(response: requests.Response) -> ProviderError:
    """The error for a refused request for an access token."""
    status = response.status_code
    message = f"Google's token service answered {status}"
    if status >= _SERVER_ERROR or status in (requests.codes.timeout, requests.codes.too_many_requests):
        return TransientError(message)
    return AuthError(f"{message}: the service account was refused")


def _said(response: requests.Response) -> list[str]:
    """The error codes of the answer, FCM's own first; empty if the answer is not FCM's."""
    try:
        error: Any = response.json()["error"]
        details = [one.get("errorCode") for one in error.get("details", ())]
        return [str(code) for code in (*details, error.get("status")) if code]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
