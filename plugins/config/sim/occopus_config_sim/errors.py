"""Maps refusals of the simulated manager to the errors of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)

_KINDS: Mapping[str, type[ProviderError]] = {
    "auth": AuthError,
    "not_found": NotFoundError,
    "quota": QuotaError,
    "permanent": PermanentError,
    "error_500": TransientError,
}


def provider_error(refusal: Mapping[str, Any], where: str, request_id: str | None) -> ProviderError:
    """The error for a refusal of the manager; one of an unknown kind is permanent."""
    message = f"simulated manager {where}: {refusal.get('message', 'refused')}"
    kind = refusal.get("kind")
    if kind == "throttle":
        return ThrottledError(message, retry_after=refusal.get("retry_after"), request_id=request_id)
    return _KINDS.get(str(kind), PermanentError)(message, request_id=request_id)
