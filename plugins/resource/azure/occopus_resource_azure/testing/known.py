"""Known errors of Azure as faults: ``known("SkuNotAvailable", region="eastus")``.

Bodies have the codes, statuses and shapes of recordings and public reports; messages are shortened.
"""

from __future__ import annotations

import json
from typing import Any

from occopus_resource_azure.testing.faults import Fault

MACHINES = "Microsoft.Compute/virtualMachines"
ADDRESSES = "Microsoft.Network/publicIPAddresses"
CONTAINERS = "Microsoft.ContainerInstance/containerGroups"
_GATEWAY = {"x-ms-failure-cause": "gateway"}
_SERVICE = {"x-ms-failure-cause": "service"}
_CHALLENGE = {**_GATEWAY, "WWW-Authenticate": 'Bearer error="invalid_token"'}
_QUOTA = (
    "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional "
    "details - Deployment Model: Resource Manager, Current Limit: 4, Current Usage: 4, Additional Required: 2."
)
_ALLOCATION = (
    "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too "
    "restrictive. Please remove some constraints and try again."
)
_MEASURED = json.dumps(
    {"operationGroup": "PutVM3Min", "allowedRequestCount": 162, "measuredRequestCount": 191}, separators=(",", ":")
)


def _put(type: str, status: int, code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": "refuse", "method": "PUT", "type": type, "status": status, "code": code, "message": message, **more}


def _failed(type: str, code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": "fail_operation", "method": "PUT", "type": type, "code": code, "message": message, **more}


def _any(status: int, code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": "refuse", "status": status, "code": code, "message": message, **more}


KNOWN: dict[str, dict[str, Any]] = {
    # Refused immediately.
    "CoreQuota": _put(MACHINES, 409, "OperationNotAllowed", _QUOTA),
    "SkuNotAvailable": _put(
        MACHINES, 409, "SkuNotAvailable", "The requested VM size is currently not available in location 'eastus'."
    ),
    "MarketplacePurchaseEligibilityFailed": _put(
        MACHINES,
        400,
        "MarketplacePurchaseEligibilityFailed",
        "Marketplace purchase eligibilty check returned errors. See inner errors for details. ",
        details=[{"code": "BadRequest", "message": "The offer cannot be bought."}],
        headers=_GATEWAY,
    ),
    "PublicIPCountLimitReached": _put(
        ADDRESSES,
        400,
        "PublicIPCountLimitReached",
        "Cannot create more than 20 public IP addresses for this subscription in this region.",
        details=[],
    ),
    "ContainerGroupQuotaReached": _put(
        CONTAINERS,
        409,
        "ContainerGroupQuotaReached",
        "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in "
        "region 'eastus'. Limit: '10', Usage: '10' Requested: '1'.",
    ),
    # Accepted, then failed.
    "AllocationFailed": _failed(MACHINES, "AllocationFailed", "Allocation failed. Please try reducing the VM size."),
    "ZonalAllocationFailed": _failed(MACHINES, "ZonalAllocationFailed", "Allocation failed in this zone."),
    "OverconstrainedAllocationRequest": _failed(MACHINES, "OverconstrainedAllocationRequest", _ALLOCATION),
    "OverconstrainedZonalAllocationRequest": _failed(MACHINES, "OverconstrainedZonalAllocationRequest", _ALLOCATION),
    "OSProvisioningTimedOut": _failed(
        MACHINES, "OSProvisioningTimedOut", "OS Provisioning for VM did not finish in the allotted time."
    ),
    "InternalExecutionError": _failed(MACHINES, "InternalExecutionError", "An internal execution error occurred."),
    "ContainerCapacity": _failed(
        CONTAINERS,
        "Failed",
        "The requested resource is not available in the location 'uksouth' at this moment. Please retry with a "
        "different resource request or in another location.",
    ),
    # For any call.
    "ComputeThrottled": _any(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
        type=MACHINES,
        details=[{"code": "TooManyRequests", "target": "PutVM3Min", "message": _MEASURED}],
        headers={"Retry-After": "30"},
    ),
    "ArmThrottled": _any(
        429, "429", "Request is temporarily throttled. Retry after 2 seconds.", headers={"Retry-After": "2"}
    ),
    "SubscriptionRequestsThrottled": _any(
        429,
        "SubscriptionRequestsThrottled",
        "Number of requests for the subscription exceeded the backend storage limit. Please try again "
        "after '6' seconds.",
        headers={"Retry-After": "6", **_GATEWAY},
    ),
    "AuthorizationFailed": _any(
        403,
        "AuthorizationFailed",
        "The client with object id does not have authorization to perform the action or the scope is invalid. If "
        "access was recently granted, please refresh your credentials.",
        headers=_GATEWAY,
    ),
    "ExpiredAuthenticationToken": _any(
        401,
        "ExpiredAuthenticationToken",
        "The access token expiry UTC time is earlier than current UTC time.",
        headers=_CHALLENGE,
    ),
    "InvalidAuthenticationTokenTenant": _any(
        401,
        "InvalidAuthenticationTokenTenant",
        "The access token is from the wrong issuer. It must match the tenant associated with this subscription.",
        headers=_CHALLENGE,
    ),
    "MissingSubscriptionRegistration": _any(
        409,
        "MissingSubscriptionRegistration",
        "The subscription is not registered to use namespace 'Microsoft.Compute'.",
    ),
    "AnotherOperationInProgress": _any(
        409, "AnotherOperationInProgress", "Another operation on this or dependent resource is in progress.", details=[]
    ),
    "ServerTimeout": _any(503, "ServerTimeout", "The request timed out.", headers=_GATEWAY),
    "ServiceUnavailable": _any(503, "ServiceUnavailable", "The service is unavailable now.", headers=_SERVICE),
    "GatewayTimeout": _any(
        504, "GatewayTimeout", "The gateway did not receive a response within the specified time.", headers=_SERVICE
    ),
    "HtmlUnavailable": {"kind": "html", "status": 503},
}
"""Selectors and answer of each, by its code, or by another name if several share the code."""


def known(name: str, **selectors: Any) -> Fault:
    """The fault of this name, for the calls that the selectors match."""
    return Fault(**{**KNOWN[name], **selectors})
