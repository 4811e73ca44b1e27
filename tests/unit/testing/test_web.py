"""The HTTP server for tests."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from occopus_core.testing.web import answering


def asked(url, method, body=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method, "/there?x=1", body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_is_answered(method):
    seen = []

    def respond(method, path, headers, body):
        seen.append((method, path, headers["Host"].partition(":")[0], body))
        return 202, {"X-Seen": method}, b"done"

    with answering(respond=respond) as url:
        status, headers, body = asked(url, method, b"what is sent")
    assert (status, headers["X-Seen"], body) == (202, method, b"done")
    assert seen == [(method, "/there?x=1", "127.0.0.1", b"what is sent")]


def test_head_has_the_headers_and_no_body():
    with answering(lambda _path, _headers, _body: (200, {}, b"twelve bytes")) as url:
        status, headers, body = asked(url, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "12", b"")


def test_an_answer_without_the_method_is_for_all_of_them():
    with answering(lambda path, _headers, body: (200, {}, path.encode() + body)) as url:
        assert asked(url, "DELETE", b"!")[2] == b"/there?x=1!"
