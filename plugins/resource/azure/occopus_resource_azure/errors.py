"""Maps errors of Azure and of the connection to those of the contract, by ARM code and not by the SDK's class."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core import exceptions as azure

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)


class LaterError(TransientError):
    """A dependency is not ready or is still in use: the same call succeeds later."""


class RefusedError(Exception):
    """Azure Resource Manager refused the call."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status, self.error, self.headers = status, error, headers


class StrangerError(Exception):
    """The answer does not come from Azure Resource Manager, or is incomplete: a web page, for example."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


NO_ROOM = frozenset(
    {
        "AllocationFailed",
        "ContainerGroupQuotaReached",
        "InsufficientCapacity",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "PublicIPCountLimitReached",
        "QuotaExceeded",
        "ResourceQuotaExceeded",
        "SkuNotAvailable",
        "StaticPublicIPCountLimitReached",
        "SubnetIsFull",
        "ZonalAllocationFailed",
    }
)
"""Codes of exceeded quotas, of sizes that are not offered, and of regions without capacity."""
_QUOTA_WORDS = re.compile(
    r"exceeding .*quota|quota .*exceeded|requested resource is not available in the location", re.IGNORECASE
)

_LATER = frozenset(
    {
        "AnotherOperationInProgress",
        "Conflict",
        "ContainerGroupDeploymentNotReady",
        "ContainerGroupTransitioning",
        "NicInUse",
        "NicReservedForAnotherVm",
        "OperationPreempted",
        "PublicIPAddressCannotBeDeleted",
        "ReferencedResourceNotProvisioned",
        "ResourceGroupBeingDeleted",
        "RetryableError",
        "RetryableErrorDueToAnotherOperation",
    }
)
_IN_USE = re.compile(r"InUse\w*CannotBeDeleted")
_ATTACHED = re.compile(r"is attached to VM", re.IGNORECASE)
_AUTH = frozenset(
    {
        "AuthorizationFailed",
        "DisabledSubscription",
        "InvalidSubscriptionId",
        "LinkedAuthorizationFailed",
        "ReadOnlyDisabledSubscription",
        "SubscriptionNotFound",
    }
)
ABSENT = frozenset({"NotFound", "ParentResourceNotFound", "ResourceGroupNotFound", "ResourceNotFound"})
"""Codes of a 404 that say that a resource, or its parent, does not exist."""
NO_GROUP = "ResourceGroupNotFound"
DANGLING = "InvalidResourceReference"
_MISSING = frozenset(
    {
        DANGLING,
        "ImageNotFound",
        "InaccessibleImage",
        "LocationNotAvailableForResourceGroup",
        "LocationNotAvailableForResourceType",
        "NoRegisteredProviderFound",
        "PlatformImageNotFound",
        "SubnetNotFound",
        *ABSENT,
    }
)
_HINTS: Mapping[str, str] = {
    "AuthorizationFailed": "the README of occopus-resource-azure has the least role",
    "MissingSubscriptionRegistration": "register it with 'az provider register --namespace NAMESPACE'",
    "SubscriptionNotFound": "see subscription_id in auth_data",
}
_KEYS: tuple[tuple[str, str], ...] = (
    ("networkinterfaces/", "nic_name"),
    ("/subnets/", "subnet_name"),
    ("virtualnetworks/", "vnet_name"),
    ("resource group '", "resource_group"),
    ("platform image", "publisher"),
    ("image '", "image"),
    ("/galleries/", "image_id"),
    ("/images/", "image_id"),
    ("location", "location"),
)
_TROUBLES: tuple[tuple[tuple[type[Exception], ...], str, bool], ...] = (
    (
        (TimeoutError, azure.ServiceRequestTimeoutError, azure.ServiceResponseTimeoutError),
        "no answer within {seconds:g} s",
        False,
    ),
    ((azure.ServiceRequestError,), "it cannot be reached{why}", True),
    ((azure.HttpResponseError,), "the login failed: {text}", True),
    ((azure.AzureError, OSError), "the connection broke before the answer was complete", False),
)
"""Errors after which a repeat may succeed: message, and whether the request certainly did not arrive."""
_AADSTS = re.compile(r"AADSTS\d+: [^\r\n]*?(?=\.\s|\.?\s*Trace ID|\.?[\r\n]|$)")
_NO_TENANT = "Unable to get authority configuration"
_LONGEST = 400
_UNAUTHORIZED, _NOT_FOUND, _TIMEOUT, _TOO_MANY, _SERVER_ERROR = 401, 404, 408, 429, 500


def codes(error: Mapping[str, Any]) -> Iterator[str]:
    """The codes of an ARM error, the most general first; compute and templates nest the specific ones."""
    yield str(error.get("code") or "")
    inner = error.get("innererror")
    if isinstance(inner, Mapping):
        yield str(inner.get("internalErrorCode") or inner.get("code") or "")
    for detail in error.get("details") or ():
        if isinstance(detail, Mapping):
            yield from codes(detail)


def is_no_room(found: Iterator[str] | list[str], message: str) -> bool:
    """Whether an error or a failed operation reports an exceeded quota, a size not offered, or missing capacity."""
    known = {code.rstrip(".") for code in found}
    limited = any(code.lower().endswith("countlimitreached") for code in known)
    return limited or bool(NO_ROOM & known) or bool(_QUOTA_WORDS.search(message))


def line(text: object, longest: int = _LONGEST) -> str:
    """A text as one line of limited length."""
    joined = " ".join(str(text).split())
    return joined if len(joined) <= longest else f"{joined[:longest]}…"


def provider_error(
    error: Exception, where: str, seconds: float, resource_key: str = "", *, met: bool = False
) -> ProviderError:
    """The error of the contract for the exception of a call.

    `where` names the cloud, `seconds` is the time limit of the call, `resource_key` is the key of the description that
    names the requested resource. `met` says that Azure Resource Manager has answered at the endpoint: any other answer
    then comes from a proxy in between, which may have forwarded the call.
    """
    if isinstance(error, RefusedError):
        return _refusal(error, where, resource_key)
    if isinstance(error, StrangerError | azure.DecodeError | LookupError | TypeError | AttributeError):
        status = f"HTTP {error.status}" if isinstance(error, StrangerError) else "something"
        text = f"{where} answered {status}, not as Azure Resource Manager does"
        if met:
            return TransientError(text)
        return PermanentError(f"{text}: is resource.endpoint its URL?", unreached=True)
    return _trouble(error, where, seconds)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Map errors of the login and of the connection."""
    text = str(error)
    if isinstance(error, azure.ClientAuthenticationError):
        return _login_refusal(text, where)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        message = "its certificate is not trusted; REQUESTS_CA_BUNDLE names a file with those that are"
        return PermanentError(f"{where}: {message}", unreached=True)
    for kinds, words, unreached in _TROUBLES:
        if isinstance(error, kinds):
            message = words.format(seconds=seconds, why=_why_not(text), text=line(text))
            return TransientError(f"{where}: {message}", unreached=unreached)
    return PermanentError(f"{where}: {type(error).__name__}: {line(text)}")


def _login_refusal(text: str, where: str) -> ProviderError:
    found = _AADSTS.search(text)
    if found is not None:
        return AuthError(f"{where}: {line(found[0])} (see auth_data)")
    if _NO_TENANT in text:  # the library does not show Azure's own message
        return AuthError(f"{where}: AADSTS90002: the login knows no such tenant: see tenant_id in auth_data")
    if "temporarily" in text or "server_error" in text:
        return TransientError(f"{where}: the login failed: {line(text)}", unreached=True)
    return AuthError(
        f"{where}: no credentials found: give tenant_id, client_id, client_secret and subscription_id in "
        f"auth_data.yaml, or what DefaultAzureCredential takes ({line(text.splitlines()[0] if text else '', 160)})"
    )


def _why_not(text: str) -> str:
    if "refused" in text:
        return ", nothing listens there"
    return ", its name is not known" if "resolve" in text or "not known" in text else ""


def _refusal(error: RefusedError, where: str, resource_key: str) -> ProviderError:
    found = [code for code in codes(error.error) if code]
    message = _message(error.error)
    kind = _kind(error.status, found, message)
    code = next(
        (one for one in reversed(found) if one in NO_ROOM | _LATER | _AUTH | _MISSING), found[0] if found else ""
    )
    text = f"{where}: {code or f'HTTP {error.status}'}: {line(message)}"
    if code in _HINTS:
        text += f" ({_HINTS[code]})"
    if kind is NotFoundError and (key := resource_key or _key(message)):
        text += f" (resource.{key})"
    request_id = error.headers.get("x-ms-request-id") or None
    if kind is ThrottledError:
        return ThrottledError(text, retry_after=_retry_after(error.headers), request_id=request_id)
    return kind(text, request_id=request_id)


def _kind(status: int, found: list[str], message: str) -> type[ProviderError]:
    known = set(found)
    later = bool(known & _LATER) or any(map(_IN_USE.fullmatch, found)) or bool(_ATTACHED.search(message))
    cases: tuple[tuple[bool, type[ProviderError]], ...] = (
        (status != _TOO_MANY and is_no_room(found, message), QuotaError),
        (later, LaterError),
        (status == _TOO_MANY, ThrottledError),
        (status >= _SERVER_ERROR or status == _TIMEOUT, TransientError),
        (status == _UNAUTHORIZED or bool(known & _AUTH), AuthError),
        (bool(known & _MISSING) or (status == _NOT_FOUND and not found), NotFoundError),
    )
    return next((kind for applies, kind in cases if applies), PermanentError)


def _message(error: Mapping[str, Any]) -> str:
    """The message of the error, with those of its details that add something."""
    texts = [str(error.get("message") or "")]
    for detail in error.get("details") or ():
        text = str(detail.get("message") or "") if isinstance(detail, Mapping) else ""
        if text and not _is_json(text) and text not in texts:
            texts.append(text)
    return " ".join(filter(None, texts))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _key(message: str) -> str:
    """The key of the `resource` section that a message is about."""
    lowered = message.lower()
    return next((key for words, key in _KEYS if words in lowered), "")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; a date is compared to Azure's own clock."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None
