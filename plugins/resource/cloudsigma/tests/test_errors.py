"""Every refusal and every broken connection becomes one error of the contract with one clear line."""

from __future__ import annotations

import pytest
import requests

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_cloudsigma.errors import RefusalError, StateError, StrangerError, provider_error

WHERE = "CloudSigma https://zrh.cloudsigma.com"


def one(kind="backend", message="unknown error", point=None):
    return [{"error_type": kind, "error_message": message, "error_point": point}]


REFUSALS = {
    "validation": (400, one("validation", "This field is required", "mem"), PermanentError),
    "validation of what is not there": (400, one("validation", "Key x does not exist", "pubkeys"), NotFoundError),
    "credentials": (401, None, AuthError),
    "credentials, in words": (401, one("permission", "Authentication failed"), AuthError),
    "credit": (402, one("billing", "Not enough credit"), QuotaError),
    "credit without a body": (402, None, QuotaError),
    "billing with another status": (403, one("billing", "Subscribe first"), QuotaError),
    "payment": (400, one("payment", "No card"), QuotaError),
    "not allowed": (403, one("permission", "operation not allowed"), PermanentError),
    "quota": (403, one("permission", "Quota of drives exceeded"), QuotaError),
    "state": (403, one("permission", 'Cannot start guest in state "started"'), StateError),
    "not there": (404, one("notexist", "Object x does not exist"), NotFoundError),
    "not there without a body": (404, [], NotFoundError),
    "method": (405, [], PermanentError),
    "conflict": (409, one(), TransientError),
    "rate": (429, None, ThrottledError),
    "internal": (500, one(), TransientError),
    "internal, capacity": (500, one("backend", "We currently cannot provide enough resources"), QuotaError),
    "gateway": (502, None, TransientError),
    "concurrency": (503, one("concurrency", "Object is being modified"), TransientError),
    "capacity": (503, one("backend", "We currently cannot provide enough resources to create a drive"), QuotaError),
    "capacity in other words": (503, one("system", "Try another location"), QuotaError),
    "a gateway that is busy": (503, None, TransientError),
    "busy without a body": (503, [], TransientError),
    "the first word counts": (503, [*one("concurrency", "changed"), *one("backend", "x")], TransientError),
}


@pytest.mark.parametrize(("status", "errors", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(status, errors, expected):
    error = provider_error(RefusalError("POST", status, {}, errors), WHERE, 30.0, met=True)
    assert type(error) is expected
    assert error.message.startswith(WHERE)
    assert "\n" not in error.message


def test_a_read_request_never_means_missing_capacity():
    refusal = RefusalError("GET", 503, {}, one("system", "Try again"))
    assert type(provider_error(refusal, WHERE, 30.0)) is TransientError


def test_all_errors_of_the_list_are_reported_with_their_fields():
    errors = [*one("validation", "Too\n small", "mem"), *one("validation", "Required", "cpu")]
    error = provider_error(RefusalError("POST", 400, {}, errors), WHERE, 30.0, "resource.description")
    assert error.message == f"{WHERE}: Too small (resource.description.mem); Required (resource.description.cpu)"


def test_a_missing_resource_is_named_by_its_key():
    error = provider_error(
        RefusalError("POST", 404, {}, one("notexist", "Drive x does not exist")), WHERE, 30.0, "resource.libdrive_id"
    )
    assert error.message == f"{WHERE}: Drive x does not exist (resource.libdrive_id)"


def test_retry_after_in_seconds():
    error = provider_error(RefusalError("GET", 429, {"retry-after": "7"}, None), WHERE, 30.0)
    assert error.retry_after == 7.0
    error = provider_error(RefusalError("GET", 503, {"retry-after": "soon"}, one()), WHERE, 30.0)
    assert isinstance(error, ThrottledError)
    assert error.retry_after is None


def test_a_long_message_is_cut():
    error = provider_error(RefusalError("POST", 400, {}, one("validation", "x" * 1000)), WHERE, 30.0)
    assert len(error.message) < 500


@pytest.mark.parametrize("failure", [StrangerError(200), RefusalError("GET", 404, {}, None)])
def test_an_endpoint_that_never_answered_as_cloudsigma_is_wrong(failure):
    error = provider_error(failure, WHERE, 30.0)
    assert type(error) is PermanentError
    assert error.unreached
    assert "is resource.endpoint the URL of a location" in error.message


@pytest.mark.parametrize("failure", [StrangerError(200), RefusalError("POST", 400, {}, None)])
def test_a_web_page_from_a_proxy_leaves_the_outcome_unknown(failure):
    error = provider_error(failure, WHERE, 30.0, met=True)
    assert type(error) is TransientError
    assert not error.unreached


CONNECTIONS = {
    "time limit": (TimeoutError(), TransientError, "no answer within 30 s"),
    "time limit of the library": (requests.ReadTimeout(), TransientError, "no answer within 30 s"),
    "refused": (requests.ConnectionError("[Errno 111] Connection refused"), TransientError, "it cannot be reached"),
    "broken": (requests.ConnectionError("Connection reset by peer"), TransientError, "the connection broke"),
    "certificate": (
        requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"),
        PermanentError,
        "its certificate is not trusted",
    ),
    "not a URL": (requests.exceptions.InvalidURL("x"), PermanentError, "resource.endpoint is not a URL"),
    "unknown": (RuntimeError("a-secret"), PermanentError, "RuntimeError"),
}


@pytest.mark.parametrize(("failure", "expected", "words"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_connections(failure, expected, words):
    error = provider_error(failure, WHERE, 30.0)
    assert type(error) is expected
    assert words in error.message
    assert error.unreached == (words in ("it cannot be reached", "resource.endpoint is not a URL"))
    assert "a-secret" not in error.message
