"""Authentication and authorisation: bearer tokens, each with a scope and possibly one infrastructure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPBearer

from occopus_core.rest.access import CONNECTION
from occopus_core.rest.connections import client_of
from occopus_core.rest.limits import Buckets
from occopus_core.rest.problems import Refused
from occopus_core.store.tokens import Scope, TokenRecord, Tokens

BEARER = HTTPBearer(auto_error=False, description="A token, if the service requires one.")
"""Describes the tokens in the OpenAPI document; `Gatekeeper` checks them."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="occopus"'}
_ENVIRONMENT = TokenRecord("environment", "OCCOPUS_REST_TOKEN", Scope.WRITE, None, 0.0)


@dataclass(slots=True)
class Gatekeeper:
    """Admits clients with a token. Unless `required`, it admits every client until the first token is created."""

    tokens: Tokens
    buckets: Buckets
    required: bool
    insecure: bool = False
    token: str = field(default="", repr=False)
    """An additional token of the scope `write`, from the service's environment. It is not in the store."""

    def __post_init__(self) -> None:
        self.required = self.required or bool(self.token)

    @property
    def asks(self) -> bool:
        """True if a token is required. Raises `StoreError`."""
        if not (self.required or self.insecure):
            self.required = bool(self.tokens.all())
        return self.required and not self.insecure

    def identify(self, authorization: str | None) -> TokenRecord | None:
        """The record of the token; None if no token is required. Raises `Refused`."""
        if self.insecure:
            return None
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            token = self._own(text.strip()) or self.tokens.find(text.strip())
            if token is None:
                raise Refused(401, "the token is not valid", _CHALLENGE)
            return token
        if self.asks:
            raise Refused(401, "a token is needed: Authorization: Bearer TOKEN", _CHALLENGE)
        return None

    def _own(self, shown: str) -> TokenRecord | None:
        digests = (hashlib.sha256(text.encode(errors="replace")).digest() for text in (shown, self.token))
        return _ENVIRONMENT if self.token and hmac.compare_digest(*digests) else None


def allowed(scope: Scope) -> Callable[[Request, object], str]:
    """A dependency that admits clients whose token has this scope for the infrastructure of the path.

    A token for one infrastructure allows no access to others. Raises `Refused`.
    """

    def check(request: Request, _shown: Annotated[object, Security(BEARER)]) -> str:
        keeper: Gatekeeper = request.app.state.gatekeeper
        address = client_of(request.client.host) if request.client else ""
        token = _identified(keeper, request, address)
        client = token.id if token is not None else address
        keeper.buckets.take(client)
        if token is None:
            return client
        connection = request.scope.get(CONNECTION)
        if connection is not None:
            connection.authenticated = True
        if not token.scope.includes(scope):
            raise Refused(403, f"this token is for '{token.scope.value}', this needs '{scope.value}'")
        if token.infra_id is not None and token.infra_id != request.path_params.get("infraid"):
            raise Refused(403, "this token is for another infrastructure")
        return client

    return check


def _identified(keeper: Gatekeeper, request: Request, address: str) -> TokenRecord | None:
    try:
        return keeper.identify(request.headers.get("authorization"))
    except Refused:
        keeper.buckets.take(address)  # this also limits attempts to guess tokens
        raise
