"""The error class of each way in which a call fails."""

from __future__ import annotations

import pytest
import requests

from occopus_core.api import AuthError, NotFoundError, PermanentError, QuotaError, ThrottledError, TransientError
from occopus_resource_cloudbroker.answers import RefusalError, StrangerError
from occopus_resource_cloudbroker.errors import WrongStatusError, is_certain, provider_error, with_key

WHERE = "CloudBroker https://platform.example.org"
REFUSALS = [
    # status, type, words, class
    (200, "authentication", "", AuthError),
    (401, "", "", AuthError),
    (403, "", "", AuthError),
    (200, "missing rights", "You may not do this", AuthError),
    (200, "wrong status", "The instance is halted", WrongStatusError),
    (402, "", "", QuotaError),
    (422, "", "The maximum number of instances is exceeded", QuotaError),
    (200, "", "Insufficient credit", QuotaError),
    (500, "", "InsufficientInstanceCapacity: not enough capacity", QuotaError),
    (404, "", "", NotFoundError),
    (422, "", "Deployment could not be found", NotFoundError),
    (422, "", "Couldn't find Deployment with id=1", NotFoundError),
    (422, "", "Instance type must exist", NotFoundError),
    (200, "", "Key pair doesn't exist", NotFoundError),
    (422, "", "Isolated is not included in the list", PermanentError),
    (400, "", "", PermanentError),
    (200, "", "Please try again", TransientError),
    (500, "", "something went wrong", TransientError),
    (502, "", "", TransientError),
    (503, "", "", TransientError),
    (409, "", "", TransientError),
    (429, "", "", ThrottledError),
    (200, "", "API rate limit reached", ThrottledError),
]


@pytest.mark.parametrize(("status", "type", "words", "kind"), REFUSALS)
def test_a_refusal_has_its_class(status, type, words, kind):
    error = RefusalError(status, [words] if words else [], type, explained=True)
    found = provider_error(error, WHERE, 30)
    assert found.__class__ is kind
    assert found.message.startswith(f"{WHERE}: ")
    assert "\n" not in found.message


def test_wrong_credentials_are_one_clear_line():
    for error in (RefusalError(401), RefusalError(200, ["HTTP Basic: Access denied."], "authentication")):
        found = provider_error(error, WHERE, 30)
        assert found.message == (
            f"{WHERE}: the e-mail address or the password is wrong (auth_data of type cloudbroker: email, password)"
        )
        assert found.unreached


def test_retry_after_is_kept():
    found = provider_error(RefusalError(503, retry_after="7"), WHERE, 30)
    assert isinstance(found, ThrottledError)
    assert found.retry_after == 7.0
    assert provider_error(RefusalError(429, retry_after="soon"), WHERE, 30).retry_after is None


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("Deployment could not be found", "deployment_id"),
        ("Instance type must exist", "instance_type_id"),
        ("Key pair could not be found", "key_pair_id"),
        ("Opened port is invalid", "opened_port"),
    ],
)
def test_a_refused_creation_names_the_key(words, key):
    found = with_key(provider_error(RefusalError(422, [words], explained=True), WHERE, 30))
    assert found.message == f"{WHERE}: {words} (resource.description.{key})"


def test_long_messages_of_the_platform_are_cut():
    found = provider_error(RefusalError(422, ["x" * 10_000], explained=True), WHERE, 30)
    assert len(found.message) < 400


def test_an_endpoint_that_never_answered_as_cloudbroker_is_wrong():
    for error in (StrangerError(200), StrangerError(301), RefusalError(404)):
        found = provider_error(error, WHERE, 30)
        assert isinstance(found, PermanentError)
        assert found.unreached
        assert "is it the endpoint of a CloudBroker Platform?" in found.message
    for error in (StrangerError(200), StrangerError(502)):
        found = provider_error(error, WHERE, 30, met=True)
        assert isinstance(found, TransientError)
        assert not found.unreached


@pytest.mark.parametrize(
    ("error", "kind", "words", "unreached"),
    [
        (TimeoutError(), TransientError, "no answer within 30 s", False),
        (requests.ReadTimeout(), TransientError, "no answer within 30 s", False),
        (requests.ConnectionError("Connection refused"), TransientError, "nothing listens there", True),
        (requests.ConnectionError("NameResolutionError: x"), TransientError, "its name is not known", True),
        (requests.ConnectionError("NewConnectionError: x"), TransientError, "no connection can be made", True),
        (requests.ConnectionError("Remote end closed"), TransientError, "the connection broke", False),
        (requests.exceptions.ChunkedEncodingError(), TransientError, "the connection broke", False),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), PermanentError, "REQUESTS_CA_BUNDLE", True),
        (requests.exceptions.SSLError("handshake"), TransientError, "no encrypted connection", True),
        (requests.exceptions.InvalidURL("x"), PermanentError, "is resource.endpoint a URL?", True),
        (LookupError("id"), TransientError, "something is missing", False),
        (RuntimeError("x"), PermanentError, "RuntimeError", False),
    ],
)
def test_errors_of_the_connection(error, kind, words, unreached):
    found = provider_error(error, WHERE, 30)
    assert isinstance(found, kind)
    assert words in found.message
    assert found.unreached is unreached


def test_errors_without_effect_are_certain():
    assert is_certain(PermanentError("x"))
    assert is_certain(ThrottledError("x"))
    assert is_certain(TransientError("x", unreached=True))
    assert not is_certain(TransientError("x"))
