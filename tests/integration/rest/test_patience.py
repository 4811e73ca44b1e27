"""Limits of time and memory, with a service in this process: its limits are short here, so that nothing waits long."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from occopus_core.credentials import Credentials
from occopus_core.manager import InfrastructureManager
from occopus_core.rest import server as serving
from occopus_core.rest.app import create_app
from occopus_core.rest.auth import Gatekeeper
from occopus_core.rest.limits import Buckets, Limits
from occopus_core.rest.metrics import Metrics
from occopus_core.rest.server import Server, configure
from occopus_core.rest.service import Service
from occopus_core.settings import Settings
from occopus_core.store.service import ANSWER_SECONDS, MOST_ANSWERS
from occopus_core.store.tokens import Scope

pytestmark = pytest.mark.integration

LONGEST = 600
"""Seconds after which a call counts as stuck, however busy the machine is."""
HOLD_BACK = 64 * 1024
"""Bytes that a connection keeps for a client, as asyncio has it."""
EVENT = 20_000
"""Bytes of a large event."""


class Inside:
    """A service in a thread of this process, with access to its state."""

    def __init__(self, manager, server, app, client):
        self.manager, self.server, self.app, self.client = manager, server, app, client

    def connect(self, small=False):
        address = urlsplit(self.client.base)
        connection = socket.socket()
        if small:  # so that what is not read piles up at the server
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(LONGEST)
        connection.connect((address.hostname, address.port))
        return connection

    @property
    def waiting(self):
        """For each connection, the number of bytes buffered for its client."""
        return [one.transport.get_write_buffer_size() for one in list(self.server.server_state.connections)]


@contextlib.contextmanager
def inside(workspace, new_client, limits, *, tokens=False):
    said, listening = [], threading.Event()

    def say(text):
        said.append(text)
        listening.set()

    with InfrastructureManager(Settings(f"sqlite:///{workspace.store}"), Credentials()) as manager:
        service = Service(manager, 0.3, say)
        keeper = Gatekeeper(manager.store.tokens, Buckets(limits.rate), required=tokens)
        app = create_app(service, keeper, limits, Metrics())
        server = Server(configure(app, "127.0.0.1", 0), service, say)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert listening.wait(LONGEST)
            yield Inside(manager, server, app, new_client(said[0].split()[-1]))
        finally:
            service.stopping.set()
            server.should_exit = True
            thread.join()


def change(store, statement, rows):
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection, connection:
        connection.executemany(statement, rows)


@pytest.fixture
def built(ready):
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    return ready


# Bodies


def test_a_body_that_does_not_arrive_in_time(built, new_client):
    assert Limits().body_seconds == 30
    with inside(built, new_client, Limits(body_seconds=0.5)) as one, one.connect() as connection:
        connection.sendall(b"POST /infrastructures/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n#")
        connection.settimeout(0.02)
        answer = b""
        for _ in range(999):  # now and then a byte does not help
            assert one.client.get("/readyz").status == 200
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(100_000)
                break
            connection.sendall(b"#")
        connection.settimeout(LONGEST)
        with contextlib.suppress(ConnectionError):
            while more := connection.recv(100_000):  # until the service closes the connection
                answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["detail"] == "the body did not arrive within 0.5 s"


KEYS = ",".join(f'"{number:x}":0' for number in range(100_000))
BODIES = {
    "a description": ("POST", "/infrastructures/", f"{{{KEYS}}}"),
    "node definitions": (
        "PUT",
        "/node_definitions/",
        '{"node_def:x": [{"resource": {"type": "sim", "endpoint": "http://127.0.0.1:1", ' + KEYS + "}}]}",
    ),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_of_100_000_keys_gets_a_short_answer_and_blocks_no_other(ready, serve, what):
    with serve(ready) as (_, client):
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client.call(*BODIES[what])))
        asking.start()
        while asking.is_alive():
            assert client.get("/readyz").status == 200
        assert answers[0].status == 422
        assert len(answers[0].text) < 100_000
        assert len(answers[0].json["errors"]) == 100
        assert answers[0].json["detail"].endswith("more mistakes")


# Clients that do not read


def test_a_client_that_does_not_read_its_stream_is_let_go_and_costs_little(built, new_client, until, monkeypatch):
    monkeypatch.setattr(serving, "UNREAD_SECONDS", 1.0)
    held, pause = (
        {},
        serving.Protocol.pause_writing,
    )  # what is kept for each client when the service stops writing to it

    def pausing(protocol):
        held[protocol] = protocol.transport.get_write_buffer_size()
        pause(protocol)

    monkeypatch.setattr(serving.Protocol, "pause_writing", pausing)
    with inside(built, new_client, Limits()) as one:
        statement = (
            "INSERT INTO events (infra_id, at, kind, node_name, node_id, text) VALUES ('trial', 1, 'x', '', '', ?)"
        )
        change(built.store, statement, [("x" * EVENT,)] * 1000)
        ask = b"GET /infrastructures/trial/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        with contextlib.ExitStack() as stack:
            deaf = [stack.enter_context(one.connect(small=True)) for _ in range(5)]
            for client in deaf:
                client.sendall(ask)
            until(lambda: len(held) == len(deaf))
            most, over = max(held.values()), False
            while not over:
                over = not one.app.state.streams
                most = max([most, *one.waiting])
                assert one.client.get("/infrastructures/trial").status == 200
            assert HOLD_BACK < most < HOLD_BACK + 2 * EVENT
            until(lambda: len(one.server.server_state.connections) <= 1)  # though the clients are still there
            monkeypatch.setattr(serving, "UNREAD_SECONDS", LONGEST)
            with one.connect() as reader, reader.makefile("rb") as heard:
                reader.sendall(ask)
                for _ in range(1000):
                    assert any(line == b"event: x\n" for line in heard)


# Requests with keys


def test_more_keys_than_are_kept_in_a_day(built, new_client):
    with inside(built, new_client, Limits()) as one:
        rows = [(str(number), time.time()) for number in range(MOST_ANSWERS)]
        change(built.store, "INSERT INTO answers (key, request, asked_at) VALUES (?, 'x', ?)", rows)
        path = "/infrastructures/trial/scaleto/web/1"
        full = one.client.post(path, Idempotency_Key="another")
        assert (full.status, full.headers["Retry-After"]) == (429, "3600")
        assert one.client.post(path).status == 200
        change(built.store, "UPDATE answers SET asked_at = ?", [(time.time() - ANSWER_SECONDS - 1,)])
        assert one.client.post(path, Idempotency_Key="another").status == 200


# Information in answers, or in their cost


@pytest.fixture
def asked():
    """The statements that requests cause at the store."""
    heard = []

    def hear(_connection, _cursor, statement, *_):
        if threading.current_thread().name == "AnyIO worker thread":  # maintenance continues meanwhile
            heard.extend([statement] if statement != "BEGIN" else [])

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    yield heard
    sa.event.remove(sa.Engine, "before_cursor_execute", hear)


CALLS = [("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/scaleup/web"), ("POST", "/attach")]


def test_who_has_no_business_here_learns_nothing_of_what_there_is(built, new_client, asked):
    with inside(built, new_client, Limits(), tokens=True) as one:
        tokens = one.manager.store.tokens
        known = tokens.create("a", Scope.WRITE, None, 1.0)
        revoked = tokens.create("b", Scope.WRITE, None, 1.0)
        tokens.revoke(revoked.split("_")[1], 2.0)
        foreign = tokens.create("c", Scope.WRITE, "another", 1.0)
        wrong = {
            "of a known id": known[:-1] + ("A" if known[-1] != "A" else "B"),
            "of an unknown id": f"occ_{'0' * 16}_{'x' * 43}",
            "revoked": revoked,
        }

        def ask(token, infra_id):
            """All observable properties of the answers, and of the work."""
            del asked[:]
            client = new_client(one.client.base, token)
            answers = [client.call(method, f"/infrastructures/{infra_id}{rest}") for method, rest in CALLS]
            return [(answer.status, answer.text) for answer in answers], list(asked)

        reported = [ask(token, infra_id) for token in wrong.values() for infra_id in ("trial", "none")]
        assert {status for status, _ in reported[0][0]} == {401}
        assert all(one == reported[0] for one in reported)
        assert len(reported[0][1]) == len(CALLS)
        assert all("FROM tokens" in statement for statement in reported[0][1])
        assert ask(None, "trial") == ask(None, "none")
        strange = ask(foreign, "trial")
        assert {status for status, _ in strange[0]} == {403}
        assert strange == ask(foreign, "none")
        assert all("FROM tokens" in statement for statement in strange[1])
        assert ask(known, "none")[0] != ask(known, "trial")[0]
