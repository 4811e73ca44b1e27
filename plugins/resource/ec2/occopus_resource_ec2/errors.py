"""What EC2's refusals, and botocore's, mean to the core."""

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
"""How the codes begin that say that there is no capacity, and no addresses in the subnet."""
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
"""What of the `resource` section a code is about, by what comes before its dot."""
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
"""What begins the part of a message that only an administrator can decode."""

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
    """An answer that is not EC2's, such as a web page."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_of_ec2(error: Exception) -> bool:
    """Whether it is what EC2 itself answered."""
    return isinstance(error, botocore.ClientError)


def provider_error(error: Exception, where: str, seconds: float, *, met: bool = False) -> ProviderError:
    """The error for whatever a call was ended by. `where` names the endpoint, `seconds` is how long it might take.

    `met`: it has answered as EC2 before, so other answers come from a proxy on the way.
    """
    if isinstance(error, botocore.ClientError):
        return _refusal(error.response, where)
    if isinstance(error, StrangerError):
        told = f"{where} answered HTTP {error.status}, not as EC2 does: is it the endpoint of the EC2 API?"
        if met or error.status >= _SERVER_ERROR:  # of a gateway, which may have passed the call on
            return TransientError(told)
        return PermanentError(told, unreached=True)
    if isinstance(error, _NO_CREDENTIALS):
        return AuthError(
            f"{where}: no credentials can be had: {_line(error)}; give accesskey and secretkey in auth_data.yaml, or "
            "what boto3 takes, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return _trouble(error, where, seconds)


def _trouble(error: Exception, where: str, seconds: float) -> ProviderError:
    """Errors of the way there and back. What the library could not even send is refused for good."""
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
    """The reason is in what the library had from the one below it."""
    below = str(getattr(error, "kwargs", {}).get("error", ""))
    if "refused" in below:
        return ", nothing listens there"
    return ", its name is not known" if "resolve" in below else ""


def _refusal(response: Mapping[str, Any], where: str) -> ProviderError:
    """The error for an answer of EC2 that says what is wrong."""
    metadata = response.get("ResponseMetadata", {})
    code, said = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    kind = _kind(code, said, metadata.get("HTTPStatusCode", 0))
    key = _key(code, said)
    told = " ".join(said.partition(_SEALED)[0].split())
    message = f"{where}: {code}: {told}" + (f" (resource.{key})" if key else "")
    request_id = metadata.get("RequestId")
    if kind is ThrottledError:
        after = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
        return ThrottledError(message, retry_after=float(after) if after.isdecimal() else None, request_id=request_id)
    return kind(message, request_id=request_id)


def _kind(code: str, said: str, status: int) -> type[ProviderError]:
    """The code decides before the status: EC2 says with a 500 that it has no capacity."""
    if _NOT_SHARED in said or code.endswith(_NO_SUCH_THING):
        return NotFoundError
    if code.startswith(_NO_ROOM):
        return QuotaError
    unknown = TransientError if status >= _SERVER_ERROR else PermanentError
    return _BY_CODE.get(code) or _BY_STATUS.get(status, unknown)


def _key(code: str, said: str) -> str:
    """The key of the `resource` section that a refusal is about; empty where it does not say."""
    if _NOT_SHARED in said:
        return "image_id"
    parameter = _PARAMETER.search(said)
    return _KEYS.get(code.partition(".")[0]) or _PARAMETERS.get(parameter[1].lower() if parameter else "", "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
