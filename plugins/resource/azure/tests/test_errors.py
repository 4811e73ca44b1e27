"""Errors of Azure become errors of the contract, by their code."""

from __future__ import annotations

import pytest
from azure.core import exceptions as azure

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_azure.errors import LaterError, RefusedError, StrangerError, provider_error

WHERE = "Azure at https://management.azure.com"


def refused(status, code, message="words", headers=None, **more):
    error = RefusedError(status, {"code": code, "message": message, **more}, headers or {})
    return provider_error(error, WHERE, 30, met=True)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (409, "SkuNotAvailable", "The requested VM size for resource is currently not available in location 'eastus'."),
        (409, "OperationNotAllowed", "Operation results in exceeding quota limits of Core. Maximum allowed: 100"),
        (409, "OperationNotAllowed", "it results in exceeding approved Total Regional Cores quota. Additional details"),
        (400, "PublicIPCountLimitReached", "Cannot create more than 20 public IP addresses for this subscription."),
        (400, "IPv4BasicSkuPublicIpCountLimitReached", "Cannot create more than 0 IPv4 Basic SKU public IP addresses."),
        (400, "SubnetIsFull", "Subnet default does not have enough capacity for 1 IP addresses."),
        (409, "ContainerGroupQuotaReached", "container group quota 'StandardCores' exceeded in region 'eastus'."),
        (
            409,
            "ServiceUnavailable",
            "The requested resource is not available in the location 'uksouth' at this moment.",
        ),
        (200, "OverconstrainedZonalAllocationRequest", "Allocation failed."),
    ],
)
def test_missing_capacity_lets_another_implementation_take_over(status, code, message):
    assert type(refused(status, code, message)) is QuotaError


def test_a_quota_in_the_details_of_a_deployment_is_missing_capacity():
    error = refused(400, "InvalidTemplateDeployment", details=[{"code": "QuotaExceeded", "message": "Limit: 4"}])
    assert type(error) is QuotaError
    assert "QuotaExceeded" in error.message


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "NicInUse", "is used by existing resource"),
        (400, "NicReservedForAnotherVm", "reserved for 180 seconds"),
        (400, "PublicIPAddressCannotBeDeleted", "still allocated"),
        (400, "InUseSubnetCannotBeDeleted", "in use"),
        (400, "InUseNetworkSecurityGroupCannotBeDeleted", "in use"),
        (409, "OperationNotAllowed", "Disk d is attached to VM /subscriptions/s"),
        (409, "AnotherOperationInProgress", "in progress"),
        (400, "ReferencedResourceNotProvisioned", "not in Succeeded state"),
    ],
)
def test_busy_resources_are_retried_later(status, code, message):
    assert type(refused(status, code, message)) is LaterError


def test_an_unready_dependency_with_status_429_is_no_throttling():
    details = [{"code": "ReferencedResourceNotProvisioned", "message": "Cannot proceed"}]
    error = refused(429, "RetryableError", details=details, headers={"Retry-After": "11"})
    assert type(error) is LaterError


def test_throttling_carries_retry_after():
    detail = {"code": "TooManyRequests", "target": "HighCostGet", "message": '{"allowedRequestCount": 162}'}
    error = refused(429, "OperationNotAllowed", details=[detail], headers={"Retry-After": "7"})
    assert type(error) is ThrottledError
    assert error.retry_after == 7
    assert "allowedRequestCount" not in error.message


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "ExpiredAuthenticationToken", AuthError),
        (401, "InvalidAuthenticationTokenTenant", AuthError),
        (403, "AuthorizationFailed", AuthError),
        (404, "SubscriptionNotFound", AuthError),
        (403, "RequestDisallowedByPolicy", PermanentError),
        (409, "MissingSubscriptionRegistration", PermanentError),
        (409, "PropertyChangeNotAllowed", PermanentError),
        (400, "InvalidParameter", PermanentError),
        (400, "MarketplacePurchaseEligibilityFailed", PermanentError),
        (404, "ResourceGroupNotFound", NotFoundError),
        (400, "InvalidResourceReference", NotFoundError),
        (400, "InaccessibleImage", NotFoundError),
        (503, "ServerTimeout", TransientError),
        (504, "GatewayTimeout", TransientError),
        (409, "OperationNotAllowed", PermanentError),
    ],
)
def test_other_refusals(status, code, kind):
    error = refused(status, code)
    assert type(error) is kind
    assert code in error.message


def test_an_unregistered_provider_is_one_line_with_the_command():
    message = "The subscription is not registered to use namespace 'Microsoft.ContainerInstance'."
    error = refused(409, "MissingSubscriptionRegistration", message)
    assert "az provider register" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("Resource /x/providers/Microsoft.Network/networkInterfaces/nic not found.", "nic_name"),
        ("Resource group 'x' could not be found.", "resource_group"),
        ("The provided location 'mars' is not available for resource type", "location"),
    ],
)
def test_a_missing_resource_is_named_by_its_key(message, key):
    assert refused(404, "NotFound", message).message.endswith(f"(resource.{key})")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("AADSTS7000215: Invalid client secret provided. Ensure the secret. Trace ID: x", "AADSTS7000215"),
        ("AADSTS7000222: The provided client secret keys for app 'x' are expired.\r\nTrace ID: y", "AADSTS7000222"),
        ("AADSTS700016: Application with identifier 'x' was not found in the directory", "AADSTS700016"),
        ("AADSTS90002: Tenant 'x' not found. Check to make sure. Trace ID: z", "AADSTS90002"),
    ],
)
def test_a_refused_login_is_one_line_with_its_code(text, code):
    error = provider_error(azure.ClientAuthenticationError(text), WHERE, 30)
    assert type(error) is AuthError
    assert code in error.message
    assert "Trace ID" not in error.message
    assert "\n" not in error.message


def test_errors_of_the_connection():
    timeout = provider_error(TimeoutError(), WHERE, 30)
    assert type(timeout) is TransientError
    assert not timeout.unreached
    closed = provider_error(azure.ServiceRequestError("Connection refused"), WHERE, 30)
    assert type(closed) is TransientError
    assert closed.unreached
    broken = provider_error(azure.ServiceResponseError("Connection aborted"), WHERE, 30)
    assert type(broken) is TransientError
    assert not broken.unreached


def test_a_web_page_is_a_wrong_endpoint_until_azure_has_answered():
    stranger = provider_error(StrangerError(200), WHERE, 30)
    assert type(stranger) is PermanentError
    assert stranger.unreached
    gateway = provider_error(StrangerError(503), WHERE, 30, met=True)
    assert type(gateway) is TransientError


def test_an_untrusted_certificate_is_no_outage():
    error = provider_error(azure.ServiceRequestError("SSLError: CERTIFICATE_VERIFY_FAILED"), WHERE, 30)
    assert type(error) is PermanentError
    assert "REQUESTS_CA_BUNDLE" in error.message
