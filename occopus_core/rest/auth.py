"""Who may do what: bearer tokens, each with a scope and perhaps one infrastructure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPBearer

from occopus_core.rest.limits import Buckets
from occopus_core.rest.problems import Refused
from occopus_core.store.tokens import Scope, TokenRecord, Tokens

BEARER = HTTPBearer(auto_error=False, description="A token, where the service asks for one.")
"""Tells the OpenAPI document, and so its page; what is shown is looked at by ourselves."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="occopus"'}
_ENVIRONMENT = TokenRecord("environment", "OCCOPUS_REST_TOKEN", Scope.WRITE, None, 0.0)


@dataclass(slots=True)
class Gatekeeper:
    """Lets through who shows a token. Without `required` everybody is let through until the first token is made."""

    tokens: Tokens
    buckets: Buckets
    required: bool
    insecure: bool = False
    token: str = field(default="", repr=False)
    """One more token, of the scope `write`, which the store does not know: that of the service's environment."""

    def __post_init__(self) -> None:
        self.required = self.required or bool(self.token)

    @property
    def asks(self) -> bool:
        """True where nobody is let through without a token. Raises `StoreError`."""
        if not (self.required or self.insecure):
            self.required = bool(self.tokens.all())
        return self.required and not self.insecure

    def identify(self, authorization: str | None) -> TokenRecord | None:
        """Whose token it is; None where none is asked for. Raises `Refused`."""
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
    """A dependency: the client, who may do what needs this scope to the infrastructure of the path.

    A token for one infrastructure allows nothing that concerns others. Raises `Refused`.
    """

    def check(request: Request, _shown: Annotated[object, Security(BEARER)]) -> str:
        keeper: Gatekeeper = request.app.state.gatekeeper
        address = request.client.host if request.client else ""
        token = _identified(keeper, request, address)
        client = token.id if token is not None else address
        keeper.buckets.take(client)
        if token is None:
            return client
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
        keeper.buckets.take(address)  # whoever tries tokens is slowed down as well
        raise
