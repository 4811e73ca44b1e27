"""Attacks below HTTP: ambiguous requests, and clients that are slow, numerous, or do not read."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

HOST = "Host: 127.0.0.1\r\n"
POST = f"POST /infrastructures/ HTTP/1.1\r\n{HOST}"
SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: smuggled\r\n\r\n"

MALFORMED = [
    ("two kinds of lengths", f"{POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
    ("two lengths", f"{POST}Content-Length: 6\r\nContent-Length: 5\r\n\r\nabcdef{SMUGGLED}", 400),
    ("a length with a sign", f"{POST}Content-Length: +5\r\n\r\nabcde{SMUGGLED}", 400),
    ("a negative length", f"{POST}Content-Length: -1\r\n\r\n{SMUGGLED}", 400),
    ("an unknown coding", f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
    ("a space before the colon", f"{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
    ("a chunk that is none", f"{POST}Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n{SMUGGLED}", 400),
    ("two hosts", f"GET /healthz HTTP/1.1\r\n{HOST}Host: evil.example\r\n\r\n", 400),
    ("no host", "GET /healthz HTTP/1.1\r\n\r\n", 400),
    ("a NUL in a header", f"GET /healthz HTTP/1.1\r\n{HOST}X-Request-Id: a\0b\r\n\r\n", 400),
    ("a line without end", "GET /" + "a" * 100_000, 400),
    ("headers without end", f"GET /healthz HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 20_000, 400),
    ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403),
    ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ("an address in the place of a path", f"GET http://evil.example/healthz HTTP/1.1\r\n{HOST}\r\n", 404),
    ("a protocol of its own", f"GET /healthz HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    (
        "a key that is too long",
        f"POST /infrastructures/trial/scaleup/web HTTP/1.1\r\n{HOST}Idempotency-Key: {'x' * 300}\r\n\r\n",
        422,
    ),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, cloud_process, new_workspace, describe, serve):
    cloud_process.reset()
    workspace = new_workspace(tmp_path_factory.mktemp("wire"))
    workspace.ready("import", workspace.write("nodes.yaml", cloud_process.definitions("worker")))
    workspace.ready("build", workspace.write("trial.yaml", describe("web")), "-i", "trial")
    with serve(workspace, "--max-instances", "50") as (process, client):
        client.process = process
        yield client


def connect(client):
    address = urlsplit(client.base)
    return socket.create_connection((address.hostname, address.port), timeout=LONGEST)


@pytest.mark.parametrize(("what", "request_", "status"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_malformed_requests(served, what, request_, status):
    with connect(served) as connection:
        with contextlib.suppress(ConnectionError):  # it may have heard enough
            connection.sendall(request_.encode("latin-1"))
        answer = connection.recv(100_000)
        assert int(answer.split()[1]) == status, what
        if status == 400:
            with contextlib.suppress(ConnectionResetError):
                while more := connection.recv(100_000):
                    answer += more
            assert b"smuggled" not in answer
    assert served.get("/healthz").status == 200


def test_a_client_that_never_ends_a_request_is_disconnected_and_blocks_no_other(served):
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(served)) for _ in range(300)]
        for one in crowd:
            one.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        ends = time.monotonic() + LONGEST
        assert served.get("/healthz").status == 200
        crowd[0].settimeout(0.2)
        with contextlib.suppress(ConnectionError):  # dripping does not help
            while True:
                assert time.monotonic() < ends
                crowd[0].sendall(b"a")
                with contextlib.suppress(TimeoutError):
                    assert crowd[0].recv(1) == b""
                    break
        for one in crowd[1:]:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""


def test_more_connections_than_there_may_be_are_closed(served):
    with contextlib.ExitStack() as stack:
        for _ in range(520):
            stack.enter_context(connect(served))
        with connect(served) as late, contextlib.suppress(ConnectionError):
            assert late.recv(1) == b""
    assert wait_for(lambda: served.get("/healthz").status == 200)


def wait_for(condition):
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if condition():
                return True
        time.sleep(0.1)
    return False


def test_streams_are_bounded_and_given_back(served):
    request = f"GET /infrastructures/trial/events HTTP/1.1\r\n{HOST}Accept: text/event-stream\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(connect(served)) for _ in range(110)]
        for one in streams:
            one.sendall(request)
        statuses = sorted(one.recv(12)[9:] for one in streams)
        assert statuses == [b"200"] * 100 + [b"503"] * 10
        assert served.get("/infrastructures/trial").status == 200

    def is_open():
        with connect(served) as one:
            one.sendall(request)
            return one.recv(12)[9:] == b"200"

    assert wait_for(is_open)


def test_queries_to_a_hanging_provider_block_no_other(served, cloud_process):
    cloud_process.set_faults([{"kind": "hang", "operation": "describe"}])
    asking = [threading.Thread(target=served.get, args=("/infrastructures/trial/plan",)) for _ in range(50)]
    try:
        for one in asking:
            one.start()
        assert served.get("/infrastructures/trial").status == 200
        assert served.get("/readyz").status == 200
        assert [one.is_alive() for one in asking] == [True] * 50
    finally:
        cloud_process.set_faults([])
        for one in asking:
            one.join()


BIG = {"user_id": "me", "infra_name": "big", "nodes": [{"name": "web", "type": "worker", "scaling": {"min": 51}}]}
NETWORK = [
    ("too many instances", "POST", "/infrastructures/", json.dumps(BIG), 422),
    ("a large alert", "POST", "/infrastructures/trial/alerts", b"x" * (2**20 + 1), 413),
    ("a deep alert", "POST", "/infrastructures/trial/alerts", b"[" * 500_000, 422),
    ("too many alerts", "POST", "/infrastructures/trial/alerts",
     json.dumps({"alerts": [{"status": "firing"}] * 1001}), 422),
]  # fmt: skip


@pytest.mark.parametrize(("what", "method", "path", "body", "status"), NETWORK, ids=[row[0] for row in NETWORK])
def test_bodies_that_ask_for_too_much(served, what, method, path, body, status):
    assert served.call(method, path, body).status == status, what
    assert served.get("/readyz").status == 200


def test_every_line_of_the_log_is_one_record(served):
    lines = [line for line in served.process.said.read_text().splitlines() if '"request":' in line]
    assert lines
    for record in map(json.loads, lines):
        assert set(record) == {"at", "request", "client", "method", "path", "status", "seconds"}
