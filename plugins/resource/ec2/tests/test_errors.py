"""The error class of each way in which a call fails."""

from __future__ import annotations

import pytest
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_ec2.errors import StrangerError, provider_error
from occopus_resource_ec2.tags import TokenUsedError

URL = "https://ec2.example.org"

REFUSALS = [
    # code, status, message, class, key
    ("InsufficientInstanceCapacity", 500, "", QuotaError, ""),
    ("InsufficientFreeAddressesInSubnet", 400, "", QuotaError, ""),
    ("InstanceLimitExceeded", 400, "", QuotaError, ""),
    ("VcpuLimitExceeded", 400, "", QuotaError, ""),
    ("MaxSpotInstanceCountExceeded", 400, "", QuotaError, ""),
    ("RequestLimitExceeded", 503, "", ThrottledError, ""),
    ("Throttling", 400, "", ThrottledError, ""),
    ("SomethingNew", 429, "", ThrottledError, ""),
    ("AuthFailure", 401, "AWS was not able to validate the provided access credentials", AuthError, ""),
    ("AuthFailure", 401, "Not authorized for images: [ami-1]", NotFoundError, "image_id"),
    ("UnauthorizedOperation", 403, "You are not authorized.", AuthError, ""),
    ("ExpiredToken", 400, "", AuthError, ""),
    ("RequestExpired", 400, "", AuthError, ""),
    ("SignatureDoesNotMatch", 403, "", AuthError, ""),
    ("SomethingNew", 403, "", AuthError, ""),
    ("InvalidAMIID.NotFound", 400, "The image id '[ami-1]' does not exist", NotFoundError, "image_id"),
    ("InvalidAMIID.Malformed", 400, "Invalid id: 'x'", NotFoundError, "image_id"),
    ("InvalidSubnetID.NotFound", 400, "", NotFoundError, "subnet_id"),
    ("InvalidGroup.NotFound", 400, "", NotFoundError, "security_group_ids"),
    ("InvalidKeyPair.NotFound", 400, "", NotFoundError, "key_name"),
    ("InvalidInstanceID.NotFound", 400, "", NotFoundError, ""),
    ("InvalidParameterValue", 400, "Invalid value 'zz' for InstanceType.", PermanentError, "instance_type"),
    (
        "InvalidParameterValue",
        400,
        "Value (nope) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        PermanentError,
        "iam_instance_profile",
    ),
    ("IdempotentParameterMismatch", 400, "", TokenUsedError, ""),
    ("OperationNotPermitted", 400, "", PermanentError, ""),
    ("SomethingNew", 400, "for the first time", PermanentError, ""),
    ("InternalError", 500, "", TransientError, ""),
    ("Unavailable", 503, "", TransientError, ""),
    ("SomethingNew", 502, "", TransientError, ""),
]


def refusal(code, status, message, **headers):
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return provider_error(botocore.ClientError(answer, "RunInstances"), f"EC2 {URL}", 30.0)


@pytest.mark.parametrize(("code", "status", "message", "kind", "key"), REFUSALS)
def test_class_and_key_of_each_refusal(code, status, message, kind, key):
    error = refusal(code, status, message)
    assert type(error) is kind
    assert str(error) == f"EC2 {URL}: {code}: {message}{f' (resource.{key})' if key else ''} (request r-1)"


def test_a_throttle_carries_retry_after_if_known():
    assert refusal("RequestLimitExceeded", 503, "", **{"retry-after": "7"}).retry_after == 7.0
    assert refusal("RequestLimitExceeded", 503, "").retry_after is None


def test_the_encoded_part_of_a_message_is_left_out():
    error = refusal("UnauthorizedOperation", 403, "You may not. Encoded authorization failure message: 9xKl2" * 9)
    assert error.message == f"EC2 {URL}: UnauthorizedOperation: You may not."


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (TimeoutError(), TransientError, "no answer within 30 s"),
        (botocore.ReadTimeoutError(endpoint_url=URL), TransientError, "no answer within 30 s"),
        (botocore.ConnectTimeoutError(endpoint_url=URL), TransientError, "no answer within 30 s"),
        (botocore.EndpointConnectionError(endpoint_url=URL), TransientError, "it cannot be reached"),
        (
            botocore.EndpointConnectionError(endpoint_url=URL, error="Errno 111: refused"),
            TransientError,
            "nothing listens",
        ),
        (botocore.EndpointConnectionError(endpoint_url=URL, error="to resolve x"), TransientError, "name is not known"),
        (botocore.ProxyConnectionError(proxy_url=URL), TransientError, "it cannot be reached"),
        (botocore.ConnectionClosedError(endpoint_url=URL), TransientError, "the connection broke"),
        (botocore.SSLError(endpoint_url=URL, error="EOF occurred"), TransientError, "the connection broke"),
        (botocore.SSLError(endpoint_url=URL, error="CERTIFICATE_VERIFY_FAILED"), PermanentError, "not trusted"),
        (ResponseParserError("Unable to parse response, invalid XML"), TransientError, "the connection broke"),
        (StrangerError(502), TransientError, "answered HTTP 502, not as EC2 does"),
        (StrangerError(200), PermanentError, "answered HTTP 200, not as EC2 does"),
        (botocore.NoCredentialsError(), AuthError, "give accesskey and secretkey in auth_data.yaml"),
        (botocore.PartialCredentialsError(provider="env", cred_var="x"), AuthError, "no credentials can be had"),
        (botocore.ProfileNotFound(profile="work"), AuthError, "(work) could not be found"),
        (botocore.ParamValidationError(report="a\nb"), PermanentError, "a b"),
        (ValueError("Invalid endpoint: x"), PermanentError, "Invalid endpoint: x"),
    ],
)
def test_class_of_each_exception_of_botocore(error, kind, words):
    found = provider_error(error, f"EC2 {URL}", 30.0)
    assert type(found) is kind
    assert words in str(found)
    assert str(found).startswith(f"EC2 {URL}")
    assert "\n" not in str(found)
