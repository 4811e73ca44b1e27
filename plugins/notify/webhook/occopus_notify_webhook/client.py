"""HTTP requests to the receiver, and the meaning of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from occopus_core.api import AuthError, PermanentError, ProviderError, ThrottledError, TransientError

_LATER = {requests.codes.request_timeout, requests.codes.too_early, requests.codes.too_many_requests}
_REFUSED = {requests.codes.unauthorized, requests.codes.forbidden}
_SUCCESSES = range(200, 300)
_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Send a request once, with a time limit in seconds. Raises `ProviderError`."""
    half = seconds / 2  # one half to connect, one for the answer
    try:
        where = _host(url)
        with requests.post(
            url, data=body, headers=dict(headers), timeout=(half, half), allow_redirects=False, stream=True
        ) as response:
            error = _error(where, response)
    # The library's error texts contain the whole URL, which may be a secret.
    except ValueError:
        raise PermanentError("the url cannot be used: it is not a valid http or https URL") from None
    except requests.RequestException as failure:
        raise TransientError(f"{where} {_in_words(failure, seconds)}") from None
    if error is not None:
        raise error


def _error(where: str, response: requests.Response) -> ProviderError | None:
    """The error for an answer; None if the receiver has accepted the notifications."""
    status = response.status_code
    if status in _SUCCESSES:
        return None
    message = f"{where} answered {status}"
    retry_after = response.headers.get("Retry-After", "")
    if status == requests.codes.too_many_requests or (status in _SERVER_ERRORS and retry_after.isdecimal()):
        return ThrottledError(message, retry_after=float(retry_after) if retry_after.isdecimal() else None)
    if status in _REFUSED:
        return AuthError(f"{message}: it does not accept the signature, or the secret in auth_data")
    if status in _LATER or status in _SERVER_ERRORS:
        return TransientError(message)
    hint = ": redirects are not followed, so the url must be the final one" if status in _REDIRECTS else ""
    return PermanentError(message + hint)


def _in_words(failure: requests.RequestException, seconds: float) -> str:
    match failure:
        case requests.exceptions.SSLError():
            return "has no certificate that this host trusts"
        case requests.Timeout():
            return f"did not answer within {seconds:g} s"
        case requests.exceptions.ProxyError():
            return "could not be reached through the proxy"
        case _:
            return "could not be reached, or hung up before it answered"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
