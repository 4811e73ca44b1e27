"""Maps errors of EC2 and botocore to the errors of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_ec2.tags import TokenUsedError

_SERVER_ERROR = 500
_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthError,
    403: AuthError,
    408: TransientError,
    429: ThrottledError,
}
_CODES: Mapping[type[ProviderError], frozenset[str]] = {
    QuotaError: frozenset(
        {
            "InstanceLimitExceeded",
            "MaxIOPSLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "NetworkInterfaceLimitExceeded",
            "ReservationCapacityExceeded",
            "ResourceLimitExceeded",
            "SpotMaxPriceTooLow",
            "VcpuLimitExceeded",
            "VolumeLimitExceeded",
        }
    ),
    ThrottledError: frozenset(
        {
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
            "TooManyRequestsException",
        }
    ),
    AuthError: frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "Blocked",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurityToken",
            "MissingAuthenticationToken",
            "NotAuthorized",
            "OptInRequired",
            "PendingVerification",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        }
    ),
    TokenUsedError: frozenset({"IdempotentParameterMismatch"}),
    TransientError: frozenset(
        {
            "InternalError",
            "InternalFailure",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServerInternal",
            "ServiceUnavailable",
            "Unavailable",
        }
    ),
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}
_NO_ROOM = "Insufficient"
"""Prefixes of the codes for no capacity and for no free addresses in the subnet."""
_NO_SUCH_THING = (".NotFound", ".Malformed", ".Unavailable")
_KEYS: Mapping[str, str] = {
    "InvalidAMIID": "image_id",
    "InvalidGroup": "security_group_ids",
    "InvalidGroupId": "security_group_ids",
    "InvalidSecurityGroupID": "security_group_ids",
    "InvalidKeyPair": "key_name",
    "InvalidSubnet": "subnet_id",
    "InvalidSubnetID": "subnet_id",
}
"""Keys of the `resource` section by the part of a code before its dot."""
_PARAMETERS = {
    "instancetype": "instance_type",
    "iaminstanceprofile": "iam_instance_profile",
    "subnetid": "subnet_id",
    "imageid": "image_id",
    "groupid": "security_group_ids",
    "keyname": "key_name",
    "volumetype": "volume_type",
    "maxprice": "max_price",
}
_PARAMETER = re.compile(r"\bfor (?:parameter )?'?(\w+)", re.IGNORECASE)
_NOT_SHARED = "Not authorized for images"
_SEALED = "Encoded authorization failure message"
"""The start of the encoded part of a message, which only an administrator can decode."""

_NO_CREDENTIALS = (
    botocore.CredentialRetrievalError,
    botocore.LoginError,
    botocore.MetadataRetrievalError,
    botocore.NoAuthTokenError,
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.ProfileNotFound,
    botocore.SSOError,
    botocore.TokenRetrievalError,
)
_TIMEOUTS = (TimeoutError, botocore.ReadTimeoutError, botocore.ConnectTimeoutError)
_UNREACHABLE = (botocore.EndpointConnectionError, botocore.ProxyConnectionError)
_BROKEN = (botocore.HTTPClientError, botocore.ConnectionError, ResponseParserError, OSError)


class StrangerError(Exception):
    """The answer does not come from EC2: a web page, for example."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_of_ec2(error: Exception) -> bool:
    """Whether EC2 itself sent the error."""
    return isinstance(error, botocore.ClientError)


def provider_error(error: Exception, where: str, seconds: float, *, met: bool = False) -> ProviderError:
    """Map the exception of a call to an error of the contract.

    `where` names the endpoint, `seconds` is the time limit of the call.
    `met`: the endpoint has answered as EC2 before, so any other answer comes from a proxy in between.
    """
    if isinstance(error, botocore.ClientError):
        return _refusal(error.response, where)
    if isinstance(error, StrangerError):
        message = f"{where} answered HTTP {error.status}, not as EC2 does: is it the endpoint of the EC2 API?"
        if met or error.status >= _SERVER_ERROR:  # from a gateway, which may have forwarded the call
            return TransientError(message)
        return PermanentError(message, unreached=True)
    if isinstance(error, _NO_CREDENTIALS):
        return AuthError(
            f"{where}: no credentials can be had: {_line(error)}; give accesskey and secretkey in auth_data.yaml, or "
            "what boto3 takes, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return _trouble(error, where, seconds)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Errors of the connection. A request that the library cannot even send fails permanently."""
    if isinstance(error, _TIMEOUTS):
        return TransientError(f"{where}: no answer within {seconds:g} s")
    if isinstance(error, botocore.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PermanentError(
            f"{where}: its certificate is not trusted; AWS_CA_BUNDLE names a file with those that are"
        )
    if isinstance(error, _UNREACHABLE):
        return TransientError(f"{where}: it cannot be reached{_why_not(error)}", unreached=True)
    if isinstance(error, _BROKEN):
        return TransientError(f"{where}: the connection broke before the answer was complete")
    return PermanentError(f"{where}: {_line(error)}")


def _why_not(error: Exception) -> str:
    """The cause, taken from the exception that the library wrapped."""
    below = str(getattr(error, "kwargs", {}).get("error", ""))
    if "refused" in below:
        return ", nothing listens there"
    return ", its name is not known" if "resolve" in below else ""


def _refusal(response: Mapping[str, Any], where: str) -> ProviderError:
    """Map an error response of EC2."""
    metadata = response.get("ResponseMetadata", {})
    code, said = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    kind = _kind(code, said, metadata.get("HTTPStatusCode", 0))
    key = _key(code, said)
    reported = " ".join(said.partition(_SEALED)[0].split())
    message = f"{where}: {code}: {reported}" + (f" (resource.{key})" if key else "")
    request_id = metadata.get("RequestId")
    if kind is ThrottledError:
        after = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
        return ThrottledError(message, retry_after=float(after) if after.isdecimal() else None, request_id=request_id)
    return kind(message, request_id=request_id)


def _kind(code: str, said: str, status: int) -> type[ProviderError]:
    """The error class. The code counts before the status: EC2 reports missing capacity with a 500."""
    if _NOT_SHARED in said or code.endswith(_NO_SUCH_THING):
        return NotFoundError
    if code.startswith(_NO_ROOM):
        return QuotaError
    unknown = TransientError if status >= _SERVER_ERROR else PermanentError
    return _BY_CODE.get(code) or _BY_STATUS.get(status, unknown)


def _key(code: str, said: str) -> str:
    """The key of the `resource` section that an error is about; empty if unknown."""
    if _NOT_SHARED in said:
        return "image_id"
    parameter = _PARAMETER.search(said)
    return _KEYS.get(code.partition(".")[0]) or _PARAMETERS.get(parameter[1].lower() if parameter else "", "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
