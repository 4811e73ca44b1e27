"""The login host: discovery of a tenant, tokens, and refusals."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs

from occopus_resource_azure.testing.account import TENANT
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request

CLIENT_ID = "0cc0b005-0000-4000-8000-00000000000c"
CLIENT_SECRET = "a~secret~for~tests"  # noqa: S105 - it opens nothing
TOKEN_SECONDS = 3599
_DISCOVERY = "/v2.0/.well-known/openid-configuration"
_TOKEN = "/oauth2/v2.0/token"  # noqa: S105 - a path


class Login:
    """The issued tokens, and the applications that may have them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: dict[str, float] = {}
        self.secrets = {CLIENT_ID: CLIENT_SECRET}
        """The secret of each application; those in `expired` are no longer valid."""
        self.expired: set[str] = set()

    def is_for(self, path: str) -> bool:
        """Whether a path belongs to the login host."""
        return path.endswith((_DISCOVERY, _TOKEN)) or path == "/common/discovery/instance"

    def answer(self, request: Request, base: str) -> Answer:
        """The answer to a call to the login host."""
        if request.path == "/common/discovery/instance":
            endpoint = f"{base}/{TENANT}{_DISCOVERY}"
            return Answer(200, {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": []})
        tenant = request.path.strip("/").split("/")[0]
        if tenant.lower() != TENANT:
            message = (
                f"AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are "
                "signing into the correct cloud."
            )
            return _refusal(400, "invalid_tenant", 90002, message)
        if request.path.endswith(_DISCOVERY):
            return Answer(200, _configuration(base, tenant))
        return self._token({name: values[0] for name, values in parse_qs(request.body or "").items()})

    def _token(self, form: dict[str, str]) -> Answer:
        client = form.get("client_id", "")
        if client not in self.secrets:
            message = f"AADSTS700016: Application with identifier '{client}' was not found in the directory."
            return _refusal(400, "unauthorized_client", 700016, message)
        if "client_secret" not in form:
            message = (
                "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or "
                "'client_secret'."
            )
            return _refusal(401, "invalid_client", 7000218, message)
        if client in self.expired:
            message = f"AADSTS7000222: The provided client secret keys for app '{client}' are expired."
            return _refusal(401, "invalid_client", 7000222, message)
        if form["client_secret"] != self.secrets[client]:
            message = (
                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the "
                f"client secret value, not the client secret ID, for a secret added to app '{client}'."
            )
            return _refusal(401, "invalid_client", 7000215, message)
        token = f"eyJ0eXAiOiJKV1QifQ.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(40)}"
        self._tokens[token] = self._clock() + TOKEN_SECONDS
        times = {"expires_in": TOKEN_SECONDS, "ext_expires_in": TOKEN_SECONDS}
        return Answer(200, {"token_type": "Bearer", **times, "access_token": token})

    def let_in(self, token: str) -> None:
        """Accept a token without expiry."""
        self._tokens[token] = math.inf

    def forget(self) -> None:
        """Let all issued tokens expire."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def check(self, request: Request, base: str) -> None:
        """Raises `RefusedError` for a call without a valid token."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        if kind.lower() == "bearer" and until is not None and until > self._clock():
            return
        word = f'Bearer authorization_uri="{base}/{TENANT}", error="invalid_token"'
        headers = {"WWW-Authenticate": f'{word}, error_description="The access token is not valid."'}
        if not token:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise RefusedError(401, "AuthenticationFailed", message, cause="gateway", headers=headers)
        if until is not None:
            message = "The access token expiry UTC time is earlier than current UTC time."
            raise RefusedError(401, "ExpiredAuthenticationToken", message, cause="gateway", headers=headers)
        raise RefusedError(
            401, "InvalidAuthenticationToken", "The access token is invalid.", cause="gateway", headers=headers
        )


def _configuration(base: str, tenant: str) -> Json:
    return {
        "token_endpoint": f"{base}/{tenant}{_TOKEN}",
        "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
        "issuer": f"{base}/{tenant}/v2.0",
    }


def _refusal(status: int, error: str, number: int, message: str) -> Answer:
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = secrets.token_hex(16), secrets.token_hex(16)
    text = f"{message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
    body = {"error": error, "error_description": text, "error_codes": [number], "timestamp": at}
    return Answer(status, {**body, "trace_id": trace, "correlation_id": correlation})
