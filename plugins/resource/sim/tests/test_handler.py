"""The handler without a server: its checks, and unexpected answers."""

from __future__ import annotations

import pytest

from occopus_core.api import (
    AuthError,
    Connection,
    Context,
    CreateRequest,
    InstanceId,
    NotFoundError,
    Owner,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.web import answering
from occopus_resource_sim import SimHandler
from occopus_resource_sim.errors import provider_error


def handler(endpoint: str = "http://127.0.0.1:9") -> SimHandler:
    return SimHandler(Connection("sim", {"endpoint": endpoint}, {}, call_timeout=5.0))


def request(**resource: object) -> CreateRequest:
    return CreateRequest("t-1", Owner("us", "i-1", "web", "n-1"), resource, Context())


def always(status: int, body: bytes):
    """The same answer to everything."""
    return answering(lambda *_: (status, {"X-Request-Id": "req-7"}, body))


@pytest.mark.parametrize("resource", [{"boot_seconds": "1.5"}, {"steps": "3"}, {"steps": 3}, {"delete_seconds": 0}])
def test_numbers_may_be_texts(resource):
    handler().check(request(**resource))


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        ({"boot_seconds": "soon"}, "boot_seconds must be a number from 0 to 315360000, not 'soon'"),
        ({"delete_seconds": -1}, "delete_seconds must be a number from 0 to 315360000, not -1"),
        ({"steps": "1.5"}, "steps must be a whole number from 1 to 315360000, not '1.5'"),
        ({"boot_seconds": "1e300"}, "boot_seconds must be a number from 0 to 315360000, not '1e300'"),
        ({"steps": 0}, "steps must be a whole number from 1 to 315360000, not 0"),
        ({"boot_seconds": "inf"}, "boot_seconds must be"),
    ],
)
def test_an_invalid_number_is_named(resource, named):
    with pytest.raises(PermanentError, match=named):
        handler().check(request(**resource))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("auth", AuthError),
        ("not_found", NotFoundError),
        ("quota", QuotaError),
        ("permanent", PermanentError),
        ("error_500", TransientError),
        ("throttle", ThrottledError),
        ("something-new", PermanentError),
    ],
)
def test_a_refusal_becomes_its_error(kind, error):
    made = provider_error({"kind": kind, "message": "no", "retry_after": 3}, "http://x", "req-1")
    assert type(made) is error
    assert str(made) == "simulated cloud http://x: no (request req-1)"
    assert getattr(made, "retry_after", 3) == 3


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>hello</html>", TransientError),
        (200, b'{"instances": [{"id": "sim-1"', TransientError),
        (200, b"{}", TransientError),
        (200, b'{"instances": null}', TransientError),
        (200, b'{"instances": [{"id": "sim-1"}]}', TransientError),
        (200, b"", TransientError),
        (404, b"nothing here", PermanentError),
        (502, b"<html>bad gateway</html>", TransientError),
        (200, b"[]", TransientError),
    ],
)
def test_an_answer_of_another_server_is_a_provider_error(status, body, error):
    with always(status, body) as endpoint, pytest.raises(error, match=rf"HTTP {status}.*req-7") as caught:
        handler(endpoint).describe([InstanceId("sim-1")])
    assert type(caught.value) is error


def test_an_unexpected_state_is_unknown():
    body = b'{"instances": [{"id": "sim-1", "state": "levitating", "addresses": [], "token": "t", "reason": "", \
        "owner": {"installation": "us", "infra_id": null, "node_name": null, "node_id": null}}]}'
    with always(200, body) as endpoint:
        instance = handler(endpoint).describe([InstanceId("sim-1")])["sim-1"]
    assert (instance.state.value, instance.raw_state) == ("unknown", "levitating")


@pytest.mark.parametrize("endpoint", ["", "not a url", "ftp://127.0.0.1", "http://"])
def test_an_invalid_endpoint_is_a_permanent_error(endpoint):
    with pytest.raises(PermanentError, match="is not a URL"):
        handler(endpoint).create(request())


def test_a_host_that_refuses_is_transient():
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        handler("http://127.0.0.1:1").create(request())
    assert caught.value.unreached
