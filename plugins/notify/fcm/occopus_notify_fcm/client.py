"""HTTP to Firebase Cloud Messaging, with access tokens of a service account."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from google.auth import crypt, jwt

from occopus_core.api import AuthError, Connection, TransientError
from occopus_notify_fcm.errors import message_error, token_error

_ENDPOINT = "https://fcm.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME = 3600
"""The requested lifetime of an access token, in seconds."""
_MARGIN = 60.0
"""Seconds before its expiry after which an access token is not used any more."""


@dataclass(frozen=True, slots=True)
class _AccessToken:
    value: str = field(repr=False)
    good_until: float


class Client:
    """One project with one service account. Keeps its access token until shortly before it expires."""

    def __init__(self, connection: Connection) -> None:
        settings = connection.settings
        self._auth = connection.auth
        self._url = f"{settings.get('endpoint', _ENDPOINT)}/v1/projects/{settings['project_id']}/messages:send"
        # A message may need two calls, each with a time to connect and one for the answer.
        self._timeout = connection.call_timeout / 4
        self._token: _AccessToken | None = None

    def send(self, body: Mapping[str, Any]) -> None:
        """Send one message, once. Raises `ProviderError`."""
        headers = {"Authorization": f"Bearer {self._access_token()}"}
        response = self._post("Firebase Cloud Messaging", self._url, json=body, headers=headers)
        if response.status_code != requests.codes.ok:
            if response.status_code == requests.codes.unauthorized:
                self._token = None
            raise message_error(response)

    def _access_token(self) -> str:
        now = time.monotonic()
        if self._token is None or now > self._token.good_until:
            value, seconds = self._new_token()
            self._token = _AccessToken(value, now + seconds - _MARGIN)
        return self._token.value

    def _new_token(self) -> tuple[str, float]:
        """An access token and its lifetime in seconds. One request: google-auth itself would retry."""
        uri, assertion = _assertion(self._auth)
        data = {"grant_type": _GRANT, "assertion": assertion}
        response = self._post("Google's token service", uri, data=data)
        if response.status_code != requests.codes.ok:
            raise token_error(response)
        try:
            answer = response.json()
            return str(answer["access_token"]), float(answer.get("expires_in", _LIFETIME))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TransientError("Google's token service answered something that is no access token") from None

    def _post(self, what: str, url: str, **content: Any) -> requests.Response:
        timeout = (self._timeout, self._timeout)
        try:
            return requests.post(url, timeout=timeout, allow_redirects=False, **content)
        except requests.Timeout:
            raise TransientError(f"{what} did not answer in time") from None
        except requests.RequestException:  # its text may contain secrets of the request
            raise TransientError(f"{what} could not be reached, or hung up before it answered") from None


def _assertion(auth: Mapping[str, str]) -> tuple[str, str]:
    """The URL of the token service, and the signed request for a token. Raises `AuthError`."""
    if "service_account" not in auth:
        raise AuthError("auth_data has no service_account for this notifier: the key file of a service account")
    now = int(time.time())
    try:
        account = json.loads(auth["service_account"])
        uri, email = str(account["token_uri"]), str(account["client_email"])
        signer = crypt.RSASigner.from_service_account_info(account)  # type: ignore[no-untyped-call]
        claims = {"iss": email, "scope": _SCOPE, "aud": uri, "iat": now, "exp": now + _LIFETIME}
        return uri, jwt.encode(signer, claims).decode()  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError, AttributeError):  # their texts may quote the key
        raise AuthError("auth_data.service_account is not the key file (JSON) of a service account") from None
