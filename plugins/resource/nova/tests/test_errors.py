"""The error of the contract for each refusal of OpenStack."""

from __future__ import annotations

import json

import pytest
import requests
from keystoneauth1 import exceptions

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_nova.errors import provider_error

HTML = "<html><body>It works!</body></html>"


def refusal(status, body, url="http://nova/v2.1/servers", **headers):
    response = requests.Response()
    response.status_code = status
    response._content = (body if isinstance(body, str) else json.dumps(body)).encode()
    response.headers.update({"x-openstack-request-id": "req-7", "Content-Type": "application/json", **headers})
    return exceptions.from_response(response, "POST", url)


def said(message):
    return {"someFault": {"message": message}}


@pytest.mark.parametrize(
    ("error", "key", "kind", "text"),
    [
        (refusal(401, said("Not authorised")), "", AuthError, "Not authorised (request req-7)"),
        (refusal(403, said("Policy does not allow it")), "", AuthError, "Policy does not allow it"),
        (refusal(403, said("Quota exceeded for cores: 1 of 1")), "", QuotaError, "Quota exceeded for cores"),
        (refusal(409, {"NeutronError": {"message": "Quota exceeded for resources"}}), "", QuotaError, "Quota exc"),
        (refusal(409, {"NeutronError": {"message": "No more IP addresses available"}}), "", QuotaError, "No more"),
        (refusal(413, {"overLimit": {"message": "exceeds allowed gigabytes quota"}}), "", QuotaError, "gigabytes"),
        (refusal(409, said("Cannot delete while it is deleting")), "", TransientError, "Cannot delete"),
        (refusal(412, {"NeutronError": {"message": "Constrained to 3, but 4"}}), "", TransientError, "Constrained"),
        (refusal(404, said("Image x could not be found")), "image_id", NotFoundError, "resource.image_id: Image x"),
        (refusal(400, said("Invalid input")), "image_id", NotFoundError, "resource.image_id: Invalid input"),
        (refusal(404, said("Not here")), "", PermanentError, "Not here"),
        (refusal(400, said("Bad flavor")), "", PermanentError, "Bad flavor"),
        (refusal(500, said("Unexpected")), "", TransientError, "Unexpected (request req-7)"),
        (refusal(502, HTML, **{"Content-Type": "text/html"}), "", TransientError, "HTTP 502, not as OpenStack"),
        (refusal(404, HTML, **{"Content-Type": "text/html"}), "", PermanentError, "HTTP 404, not as OpenStack"),
        (exceptions.ConnectTimeout("x"), "", TransientError, "no answer within 3 s"),
        (exceptions.ConnectFailure("x: NewConnectionError: [Errno 111]"), "", TransientError, "it cannot be reached"),
        (exceptions.ConnectFailure("x: RemoteDisconnected"), "", TransientError, "broke before the answer"),
        (exceptions.RetriableConnectionFailure("x"), "", TransientError, "broke before the answer"),
        (exceptions.InvalidResponse("x"), "", PermanentError, "Identity URL?"),
        (refusal(404, HTML, "http://k/v3/auth/tokens"), "image_id", PermanentError, "HTTP 404, not as OpenStack"),
        (TimeoutError(), "", TransientError, "no answer within 3 s"),
        (exceptions.SSLError("x: CERTIFICATE_VERIFY_FAILED"), "", PermanentError, "its certificate is not trusted"),
        (exceptions.SSLError("x: EOF occurred"), "", TransientError, "broke before the answer"),
        (OSError("invalid path: /ca.pem"), "", PermanentError, "invalid path: /ca.pem"),
        (refusal(401, said("Not you"), "http://k/v3/auth/tokens"), "", AuthError, "Not you (see auth_data, and"),
        (requests.JSONDecodeError("x", "y", 0), "", PermanentError, "Identity URL?"),
        (requests.exceptions.ChunkedEncodingError("x"), "", TransientError, "broke before the answer"),
        (KeyError("token"), "", PermanentError, "Identity URL?"),
    ],
)
def test_class_of_each_failure(error, key, kind, text):
    made = provider_error(error, "cloud", 3.0, key)
    assert type(made) is kind
    assert str(made).startswith("cloud: ")
    assert text in str(made)
    assert HTML not in str(made)


TOKENS = "http://k/v3/auth/tokens"


@pytest.mark.parametrize(
    ("error", "unreached"),
    [
        (exceptions.ConnectFailure("x: NewConnectionError: [Errno 111]"), True),
        (exceptions.ConnectFailure("x: RemoteDisconnected"), False),
        (exceptions.ConnectTimeout("x"), False),
        (exceptions.InvalidResponse("x"), True),
        (refusal(400, said("Expecting to find domain in user"), TOKENS), True),
        (refusal(404, HTML, TOKENS), True),
        (refusal(500, said("Unexpected"), TOKENS), False),
        (refusal(400, said("Bad flavor")), False),
    ],
)
def test_an_unreachable_cloud_received_nothing(error, unreached):
    assert provider_error(error, "cloud", 3.0).unreached is unreached


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Tue, 24 Nov 2026 00:00:09 GMT", "Date": "Tue, 24 Nov 2026 00:00:04 GMT"}, 5.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [413, 429])
def test_throttling_carries_retry_after(status, headers, seconds):
    made = provider_error(refusal(status, said("This request was rate-limited."), **headers), "cloud", 3.0)
    assert isinstance(made, ThrottledError)
    assert made.retry_after == seconds
