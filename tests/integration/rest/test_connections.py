"""Hundreds of connections that send nothing shut out no other client."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import selectors
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from occopus_core.rest.connections import MOST_CONNECTIONS

pytestmark = pytest.mark.integration

CLIENTS = 20
SLOWEST = 60.0
"""Seconds that a call may take at the worst, on a machine that is busy with everything else."""
LONGEST = 600

SLOW = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
BODY = b"POST /infrastructures/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n"


@pytest.fixture
def guarded(ready, serve):
    token = ready.ready("rest-service", "token", "create", "--name", "a", "--scope", "read").stdout.strip()
    with serve(ready) as (process, client):
        client.said = process.said
        yield client, token


class Attack:
    """Keeps this many connections open in a thread, and opens each again as soon as it is closed.

    It sends `first` on each, then a byte now and then. `addresses` are those of its ends, in turn.
    """

    def __init__(self, base, count, first=b"", addresses=("127.0.0.1",)):
        self._address = (urlsplit(base).hostname, urlsplit(base).port)
        self._count, self._first, self._addresses = count, first, itertools.cycle(addresses)
        self._over = threading.Event()
        self.complete = threading.Event()
        self.opened = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(LONGEST)

    def _open(self, selector):
        with contextlib.suppress(OSError):
            one = socket.create_connection(self._address, timeout=5, source_address=(next(self._addresses), 0))
            one.setblocking(False)
            if self._first:
                one.send(self._first)
            selector.register(one, selectors.EVENT_READ)
            self.opened += 1
            if self.opened >= self._count:
                self.complete.set()

    def _run(self):
        with selectors.DefaultSelector() as selector:
            while not self._over.is_set():
                for _ in range(self._count - len(selector.get_map())):
                    if not self._over.is_set():
                        self._open(selector)
                for key, _ in selector.select(0.05):
                    with contextlib.suppress(OSError):
                        if key.fileobj.recv(100):
                            continue
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                if self._first:
                    for key in list(selector.get_map().values()):
                        with contextlib.suppress(OSError):
                            key.fileobj.send(b"a")
            for key in list(selector.get_map().values()):
                key.fileobj.close()


def attended(attacks, asks, calls):
    """The seconds that each call took during the attacks, of 20 clients side by side. All were answered."""
    seconds, faults = [], []

    def client(ask):
        for _ in range(calls):
            began = time.monotonic()
            try:
                status = ask()
            except OSError as error:
                status = repr(error)
            seconds.append(time.monotonic() - began)
            if status != 200:
                faults.append(status)

    with contextlib.ExitStack() as stack:
        for one in attacks:
            stack.enter_context(one)
        for one in attacks:
            assert one.complete.wait(LONGEST)
        threads = [threading.Thread(target=client, args=[ask]) for ask, _ in zip(itertools.cycle(asks), range(CLIENTS))]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert faults == []
    assert len(seconds) == CLIENTS * calls
    return sorted(seconds)


def many(part):
    return [f"127.{part}.{number // 250}.{1 + number % 250}" for number in range(1000)]


ATTACKS = {
    "520 idle connections, opened again as they are closed": [(520, b"", ["127.0.0.2"])],
    "600 connections with slow headers": [(600, SLOW, ["127.0.0.3"])],
    "both": [(520, b"", ["127.0.0.2"]), (600, SLOW, ["127.0.0.3"])],
    "both, from 2,000 addresses": [(520, b"", many(1)), (600, SLOW, many(2))],
    "both, from the address of the others": [(520, b""), (600, SLOW)],
    "600 connections that send no body": [(600, BODY, ["127.0.0.2"])],
}


@pytest.mark.parametrize("what", ATTACKS)
def test_health_checks_and_clients_with_tokens_are_answered_throughout(guarded, new_client, what, record_property):
    client, token = guarded
    known = new_client(client.base, token)
    calls = 3 if what.endswith("body") else 10
    took = attended(
        [Attack(client.base, *one) for one in ATTACKS[what]],
        [lambda: known.get("/infrastructures/").status, lambda: client.get("/healthz").status],
        calls,
    )
    p99 = took[int(len(took) * 0.99) - 1]
    record_property("p99", p99)
    print(f"{what}: median {took[len(took) // 2]:.3f} s, p99 {p99:.3f} s, worst {took[-1]:.3f} s")
    assert p99 < SLOWEST


def test_a_connection_with_a_token_is_kept_while_others_are_closed(guarded):
    client, token = guarded
    kept = http.client.HTTPConnection(urlsplit(client.base).netloc, timeout=LONGEST)
    kept.auto_open = 0  # once it is closed, it stays closed

    def ask():
        kept.request("GET", "/whoami", headers={"Authorization": f"Bearer {token}"})
        answer = kept.getresponse()
        answer.read()
        return answer.status

    with contextlib.closing(kept):
        kept.connect()
        assert ask() == 200
        with Attack(client.base, MOST_CONNECTIONS + 200, b"", many(1)) as attack:
            deadline = time.monotonic() + LONGEST
            while attack.opened < MOST_CONNECTIONS + 400:
                assert time.monotonic() < deadline
                assert ask() == 200


# The true client


def forwarded(workspace, serve, *options):
    def logged():
        lines = [json.loads(line) for line in process.said.read_text().splitlines() if line.startswith("{")]
        return {line["client"] for line in lines if line["path"] == "/healthz"}

    with serve(workspace, *options) as (process, client):
        client.get("/healthz", X_Forwarded_For="203.0.113.7")
        deadline = time.monotonic() + LONGEST
        while not logged():  # a request is logged after its answer
            assert time.monotonic() < deadline
        return logged()


def test_a_forwarded_address_is_believed_from_named_proxies_only(ready, serve):
    assert forwarded(ready, serve) == {"127.0.0.1"}
    assert forwarded(ready, serve, "--proxy", "192.0.2.0/24") == {"127.0.0.1"}
    assert forwarded(ready, serve, "--proxy", "127.0.0.1") == {"203.0.113.7"}


def test_the_rate_limit_sees_the_true_client(ready, serve):
    def statuses(client, address):
        return [client.get("/overview", X_Forwarded_For=address(number)).status for number in range(40)]

    with serve(ready, "--rate", "0.1") as (_, client):
        assert 429 in statuses(client, lambda number: f"203.0.113.{number}")
    with serve(ready, "--rate", "0.1", "--proxy", "127.0.0.1") as (_, client):
        assert set(statuses(client, lambda number: f"203.0.113.{number}")) == {200}
        assert 429 in statuses(client, lambda _number: "203.0.113.77")


@pytest.mark.parametrize("proxy", ["", "proxy.example", "10.0.0.0/99"])
def test_a_proxy_is_an_address(ready, proxy):
    refused = ready.run("rest-service", "--proxy", proxy)
    assert refused.code == 2
    assert "expected an IP address or a network such as 10.0.0.0/8" in refused.stderr
