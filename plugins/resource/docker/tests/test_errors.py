"""Refusals and broken connections, with messages of real engines and registries."""

from __future__ import annotations

import json
import socket
import ssl

import pytest
import requests
from docker.errors import APIError, DockerException

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_docker.errors import (
    ContainerMissingError,
    ImageMissingError,
    NameTakenError,
    PullError,
    StartingError,
    StoppedError,
    image_error,
    provider_error,
    without_secrets,
)
from occopus_resource_docker.order import Image


def refusal(status, message, kind="application/json", **headers):
    response = requests.Response()
    response.status_code = status
    response.headers.update({"Content-Type": kind, **headers})
    return APIError("refused", response=response, explanation=message)


def mapped(error, *, greeting=False):
    return provider_error(error, "Docker engine unix:///x", 30.0, greeting=greeting)


@pytest.mark.parametrize(
    ("status", "message", "kind", "key"),
    [
        (404, "No such image: nosuch:1", ImageMissingError, "resource.image"),
        (500, "No such image: nosuch:1", ImageMissingError, "resource.image"),
        (404, "no such image: docker.io/library/nosuch:1: image not known", ImageMissingError, "resource.image"),
        (404, "No such container: t-1", ContainerMissingError, ""),
        (404, 'no container with name or ID "t-1" found: no such container', ContainerMissingError, ""),
        (409, 'Conflict. The container name "/t-1" is already in use by container "0a".', NameTakenError, ""),
        (
            500,
            "container 75 must be in Created or Stopped state to be started: container state improper",
            StartingError,
            "",
        ),
        (500, 'creating container storage: the container name "t-1" is already in use by 0a.', NameTakenError, ""),
        (409, "removal of container t-1 is already in progress", TransientError, ""),
        (404, "network nowhere not found", NotFoundError, "resource.network"),
        (500, "unable to find network with name or ID nowhere: network not found", NotFoundError, "resource.network"),
        (500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", QuotaError, "resource.ports"),
        (500, "listen tcp4 127.0.0.1:80: bind: address already in use", QuotaError, "resource.ports"),
        (400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", QuotaError, "resource.cpus"),
        (500, "write /var/lib/docker/tmp/x: no space left on device", QuotaError, ""),
        (400, "Minimum memory limit allowed is 6MB", PermanentError, "resource.mem_limit"),
        (500, "json: cannot unmarshal number 9 into Go struct field .Memory of type int64", PermanentError, ""),
        (
            500,
            "error while creating mount source path '/proc/x': mkdir /proc/x: no such file",
            PermanentError,
            "volumes",
        ),
        (400, 'invalid port specification: "999999"', PermanentError, "resource.ports"),
        (400, 'OCI runtime create failed: exec: "x": executable file not found in $PATH', PermanentError, "command"),
        (500, 'runc: runc create failed: exec: "x": executable file not found', PermanentError, "command"),
        (400, 'create ./a: "./a" includes invalid characters for a local volume name', PermanentError, "volumes"),
        (500, "toomanyrequests: You have reached your pull rate limit.", QuotaError, "resource.image"),
        (
            404,
            "pull access denied for x, repository does not exist or may require 'docker login'",
            NotFoundError,
            "image",
        ),
        (500, "Get https://r/v2/: dial tcp: lookup r: no such host", TransientError, ""),
        (500, "Get http://r/v2/x: unauthorized", AuthError, ""),
        (404, 'failed to GET http://h/x.tar with status 404 Not Found: {"manifest unknown"}', NotFoundError, "origin"),
        (400, "something else", PermanentError, ""),
        (500, "something else", TransientError, ""),
        (401, "who are you?", AuthError, ""),
        (403, "not you", AuthError, ""),
    ],
)
def test_refusals_of_engines(status, message, kind, key):
    error = mapped(refusal(status, message))
    assert type(error) is kind
    assert error.message.startswith(f"Docker engine unix:///x: {message}")
    assert key in error.message
    assert error.unreached is (kind is AuthError)


def test_an_error_within_an_answer_has_no_status():
    assert type(mapped(PullError("reading manifest 1 in r/x: manifest unknown"))) is NotFoundError
    assert type(mapped(PullError("something else"))) is TransientError


def test_a_throttle_carries_retry_after():
    error = mapped(refusal(429, "later", **{"Retry-After": "7"}))
    assert isinstance(error, ThrottledError)
    assert error.retry_after == 7
    assert mapped(refusal(429, "later", **{"Retry-After": "Wed, 21 Oct"})).retry_after is None


@pytest.mark.parametrize("status", [404, 409, 502])
@pytest.mark.parametrize("said", ["<html>Welcome</html>", '{"message":"Welcome', " ", ""])
def test_a_refusal_that_is_not_an_engines_may_come_from_a_gateway(status, said):
    """In the greeting it means a wrong endpoint.

    Later it may come from a gateway or be incomplete: the outcome is unknown.
    """
    later, first = mapped(refusal(status, said, "text/html")), mapped(refusal(status, said, "text/html"), greeting=True)
    assert type(later) is TransientError
    assert type(first) is (TransientError if status == 502 else PermanentError)
    assert "Welcome" not in later.message + first.message
    assert (later.unreached, first.unreached) == (False, status != 502)


@pytest.mark.parametrize(
    ("cause", "kind", "words", "unreached"),
    [
        (ConnectionRefusedError(), StoppedError, "it cannot be reached, nothing listens", True),
        (FileNotFoundError(), StoppedError, "it cannot be reached, there is no such socket", True),
        (socket.gaierror(), TransientError, "it cannot be reached, its name is not known", True),
        (PermissionError(), AuthError, "this user may not open the socket", True),
        (TimeoutError(), TransientError, "no answer within 30 s", False),
        (ssl.SSLCertVerificationError(), PermanentError, "tlscacert in auth_data has to be that of", True),
        (ConnectionResetError(), TransientError, "the connection broke", False),
        (ssl.SSLEOFError("EOF occurred in violation of protocol"), TransientError, "the connection broke", False),
        (KeyError("Id"), TransientError, "answered, not as Docker does", False),
        (json.JSONDecodeError("Unterminated string", '{"Id": "', 7), TransientError, "not as Docker does", False),
        (RuntimeError("unheard of"), PermanentError, "", False),
    ],
)
def test_errors_of_the_connection(cause, kind, words, unreached):
    for wrapped in all_wraps(cause):
        assert_mapped(mapped(wrapped), kind, words, unreached)


@pytest.mark.parametrize(
    ("cause", "kind", "words", "unreached"),
    [
        (ConnectionRefusedError(), StoppedError, "it cannot be reached, nothing listens", True),
        (TimeoutError(), TransientError, "no answer within 30 s", False),
        (ssl.SSLError("tlsv13 alert certificate required"), AuthError, "it does not accept the certificate", True),
        (ssl.SSLError("wrong version number"), PermanentError, "it does not speak TLS", True),
        (KeyError("ApiVersion"), PermanentError, "answered, not as Docker does", True),
        (RuntimeError("unheard of"), PermanentError, "", True),
    ],
)
def test_a_failed_greeting_had_no_effect(cause, kind, words, unreached):
    for wrapped in all_wraps(cause):
        assert_mapped(mapped(wrapped, greeting=True), kind, words, unreached)


def all_wraps(cause):
    """Each way in which the library and its dependencies wrap the error."""
    library = DockerException("while fetching the version")
    library.__cause__ = inner = DockerException("within")
    inner.__cause__ = cause
    yield from (cause, library)
    if isinstance(cause, OSError):
        yield requests.ConnectionError("aborted", cause)


def assert_mapped(error, kind, words, unreached):
    assert type(error) is kind
    assert words in error.message
    assert error.unreached is unreached


def test_a_message_is_one_line_of_limited_length():
    error = mapped(refusal(500, "many\nlines " * 1000))
    assert "\n" not in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://me:pass@h:80/x.tar?sig=s#f", "http://h:80/x.tar"),
        ('Get "https://h/x.tar?sig=s": dial tcp', 'Get "https://h/x.tar": dial tcp'),
        ("Get http://me:p@h/a?b and http://h/c?d failed", "Get http://h/a and http://h/c failed"),
        ("Get https://r/v2/: no such host", "Get https://r/v2/: no such host"),
        ("http://h?next=http://me:p@x/", "http://h"),
    ],
)
def test_urls_in_messages_have_no_secrets(said, shown):
    assert without_secrets(said) == shown
    assert mapped(PullError(said)).message.endswith(shown)


def test_a_long_url_is_cut_without_its_secrets():
    assert "secret" not in mapped(PullError(f"{'x' * 380} http://somebody:secret-word@h/")).message


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ('error parsing HTTP 404 response body: invalid character: "TOP SECRET manifest unknown"', NotFoundError, "r"),
        ("failed to GET http://h/x.tar with status 404 Not Found: TOP SECRET", NotFoundError, "(status 404)"),
        (
            "Get https://r/v2/: unauthorized: TOP SECRET",
            AuthError,
            "h wants another login (unauthorized)",
        ),
        (
            "Error processing tar file: TOP SECRET: invalid tar header",
            PermanentError,
            "h gives is no tar",
        ),
        ("dial tcp: lookup TOP SECRET: no such host", TransientError, "does not find the address of h: check"),
        ("TOP SECRET", TransientError, "h gave no image"),
    ],
)
def test_the_answer_of_another_server_is_not_repeated(said, kind, words):
    for error in (PullError(said), refusal(500, said)):
        seen = image_error(error, "importing http://h/x.tar", "h", "Docker engine unix:///x", 30.0)
        assert type(seen) is kind
        assert "SECRET" not in f"{seen} {seen!r} {seen.args}", "the args of an exception are shown by tracebacks"
        assert words in seen.message


def test_failures_of_the_engine_itself_are_reported():
    seen = image_error(ConnectionRefusedError(), "pulling x", "h", "Docker engine unix:///x", 30.0)
    assert "nothing listens" in seen.message


def test_an_image_that_cannot_be_pulled_is_one_line_with_what_to_do():
    image = Image("nosuch:1")
    said = "pull access denied for nosuch, repository does not exist or may require 'docker login': denied"
    seen = image_error(refusal(404, said), image.what, image.source, "Docker engine unix:///x", 30.0)
    assert str(seen) == (
        "Docker engine unix:///x: pulling nosuch:1 failed: the registry docker.io has no such image, or shows it only "
        "after a login: check its name and tag (pull access denied) (resource.image)"
    )


@pytest.mark.parametrize(
    ("image", "source"),
    [
        (Image("nginx:1"), "the registry docker.io"),
        (Image("registry.example.org:5000/team/web@sha256:0"), "the registry registry.example.org:5000"),
        (Image("-a.b/c:1"), "its source"),
        (Image("x", url="http://[a/b"), "its source"),
        (Image("x", url="https://me:word@files.example.org/a.tar?sig=s"), "files.example.org"),
    ],
)
def test_the_source_of_an_image_is_a_host(image, source):
    assert image.source == source
