"""The simulated cloud as a server: JSON over HTTP on a loopback port.

What a client calls; with ``--api-key``, each of these needs the key in ``X-Api-Key``::

    POST /instances/create    {token, owner: {installation, infra_id, node_name, node_id}, project, image,
                               boot_seconds, delete_seconds, shutdown_seconds, steps, port, fail, output, user_data,
                               env, command}
                              -> {instance: {id, state, addresses, token, owner, reason}}
    POST /instances/describe  {ids, after}    -> {instances, next}, only those that exist
    POST /instances/list      {owner, after}  -> {instances, next} with all these tags; a tag that is null matches any
    POST /instances/delete    {ids}           -> {results: {id: null, or why not: {kind, message, retry_after}}}
    POST /instances/stop      {ids}           -> {results: {id: null}}
    POST /instances/logs      {ids, lines}    -> {logs: {id: the last lines of its output, null before it is ready}}

An answer has one page of instances, in the order of their ids; where there are more, `next` is what to give as `after`
for the next page. A delete, stop or logs names at most one page of ids. A page is 10,000, or what `/limits` says.

Of user_data, env and command only a digest and the length are kept. A create with a known token answers the instance
which has it; where `steps` is more than 1 the instance is half made (``provisioning``) until it was called so often.
Then it is ``pending`` for `boot_seconds`, and ``ready``, or ``failed`` with the reason in `fail`. A deleted instance
is ``deleting`` for `delete_seconds`; one that is asked to stop is ``stopped`` after `shutdown_seconds`. From outside it
may be ``stopped`` or ``failed``. The first address is public, the second private; both are in 127.64.0.0/10.

What a test calls::

    PUT  /faults     [rule, ...]                       in place of the earlier ones: see `.faults`
    PUT  /limits     {quotas: {project: most}, images: [name, ...] or null, page}
    POST /change     {id, action, reason, state}       stop, start, fail or lose an instance, or set its state
    GET  /inventory  -> [everything there is]          no eventual consistency here
    GET  /calls      -> {total: {operation: n}, most_at_once}
    GET  /log        -> [{at, operation, tokens, instances, outcome}, ...]
    POST /reset

Every answer has an ``X-Request-Id``. A refusal is {kind, message, retry_after} with the status of its kind: auth 401,
not_found 404, quota 409, permanent 422, throttle 429 (and ``Retry-After``), error_500 500. The inventory is on disk
before a call is answered; faults, limits and counts are of the process only.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import itertools
import json
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from occopus_core.testing.simcloud.faults import OPERATIONS
from occopus_core.testing.simcloud.inventory import Inventory, Refusal
from occopus_core.testing.simcloud.journal import Journal
from occopus_core.testing.simcloud.service import Call, Service

_STATUS = {"auth": 401, "not_found": 404, "quota": 409, "permanent": 422, "throttle": 429, "error_500": 500}
_BACKLOG = 1024


class _Protocol(HttpToolsProtocol):
    """Allows the application to close its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"occopus": {"abort": self.transport.abort}}


class _NoAnswer(Response):
    """An empty response for a client that has disconnected."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


async def _until_gone(request: Request) -> Response:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return _NoAnswer()


class SimulatedService(Protocol):
    """The service behind the server: the simulated cloud, or the simulated configuration manager."""

    def open(self, operation: str, body: Mapping[str, Any]) -> Call:
        """Accept a call."""

    def perform(self, call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
        """Perform the call."""

    def close(self) -> None:
        """The call was answered."""

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules."""

    def calls(self) -> dict[str, Any]:
        """The counts of calls."""

    def log(self) -> list[dict[str, Any]]:
        """The calls."""

    def reset(self) -> None:
        """Remove all data."""


class Committing(Protocol):
    """Stores the data of a service on disk."""

    async def committed(self) -> None:
        """Return when all changes so far are on disk."""


Act = Callable[[Any], Any]


class SimulatedApplication:
    """The routes of a service, and the translation of calls and answers to HTTP.

    `more` are further routes for tests.
    """

    def __init__(
        self,
        service: SimulatedService,
        journal: Committing,
        api_key: str | None,
        operations: Mapping[str, str],
        more: Sequence[tuple[str, str, Act]],
    ) -> None:
        """`operations` by their paths."""
        self._service = service
        self._journal = journal
        self._api_key = api_key
        self._operations = operations
        self._more = more
        self._request_ids = itertools.count(1)

    def routes(self) -> Starlette:
        """The ASGI application."""
        admin: list[tuple[str, str, Act]] = [
            ("PUT", "/faults", self._service.set_faults),
            *self._more,
            ("GET", "/calls", lambda _body: self._service.calls()),
            ("GET", "/log", lambda _body: self._service.log()),
            ("POST", "/reset", lambda _body: self._service.reset()),
        ]
        operations = [
            Route(path, self._operation(operation), methods=["POST"]) for path, operation in self._operations.items()
        ]
        return Starlette(
            routes=operations + [Route(path, self._admin(act), methods=[method]) for method, path, act in admin]
        )

    def _operation(self, operation: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._authenticate(request)
                return await self._perform(operation, request)
            except Refusal as refusal:
                return self._refuse(refusal)
            except ClientDisconnect:
                return _NoAnswer()

        return answer

    def _authenticate(self, request: Request) -> None:
        given = request.headers.get("x-api-key", "")
        if self._api_key is not None and not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise Refusal("auth", "the API key is missing or wrong")

    async def _perform(self, operation: str, request: Request) -> Response:
        body = await _body(request)
        if not isinstance(body, Mapping):
            raise Refusal("permanent", "the body must be a JSON object")
        call = self._service.open(operation, body)
        try:
            if call.fault.latency:
                await asyncio.sleep(call.fault.latency)
            if call.fault.hang:
                return await _until_gone(request)
            answer = self._service.perform(call, body)
            await self._journal.committed()
            if call.fault.lost_reply:
                request.scope["extensions"]["occopus"]["abort"]()
                return await _until_gone(request)
            return self._json(answer, spoil=call.fault.spoilt)
        finally:
            self._service.close()

    def _admin(self, act: Callable[[Any], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                result = act(await _body(request))
            except Refusal as refusal:
                return self._refuse(refusal)
            except (ValueError, TypeError, AttributeError) as error:
                return self._refuse(Refusal("permanent", str(error)))
            await self._journal.committed()
            return self._json(result)

        return answer

    def _json(
        self,
        answer: Any,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> Response:
        identified = {"x-request-id": f"req-{next(self._request_ids):08x}", **(headers or {})}
        content = spoil(json.dumps(answer, separators=(",", ":")).encode())
        return Response(content, status, identified, media_type="application/json")

    def _refuse(self, refusal: Refusal) -> Response:
        headers = {} if refusal.retry_after is None else {"retry-after": f"{refusal.retry_after:g}"}
        return self._json(refusal.as_dict(), _STATUS[refusal.kind], headers)


async def _body(request: Request) -> Any:
    content = await request.body()
    try:
        return json.loads(content) if content else None
    except ValueError:
        raise Refusal("permanent", "the body is not JSON") from None


def application(
    database: Path,
    *,
    clock: Callable[[], float] = time.time,
    seed: int = 0,
    api_key: str | None = None,
) -> Starlette:
    """The simulated cloud on this inventory file. Raises `sqlite3.Error`."""
    journal = Journal(database)
    inventory = Inventory(clock, journal.record)
    inventory.restore(*journal.load())
    service = Service(inventory, clock, seed)
    more: list[tuple[str, str, Act]] = [
        ("PUT", "/limits", lambda body: service.set_limits(**{"quotas": {}, "images": None, **body})),
        ("POST", "/change", lambda body: service.inventory.change(**body)),
        ("GET", "/inventory", lambda _body: service.inventory.everything()),
    ]
    operations = {f"/instances/{each}": each for each in OPERATIONS}
    return SimulatedApplication(service, journal, api_key, operations, more).routes()


def main() -> None:
    """Serve the simulated cloud until the process is stopped."""
    serve("occopus-simulated-cloud", "A simulated cloud on a loopback port, for tests.", application)


def serve(prog: str, description: str, application: Callable[..., Starlette]) -> None:
    """Serve until the process is stopped; the only line on standard output is the endpoint."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 (the default) takes a free one")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file of the inventory; made if missing")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults that happen with a probability")
    parser.add_argument("--api-key", help="refuse clients that do not send this key")
    options = parser.parse_args()
    try:
        app = application(options.database, seed=options.seed, api_key=options.api_key)
    except (sqlite3.Error, OSError, ValueError) as error:
        parser.error(f"--database {options.database}: {error}")
    try:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        parser.error(f"--port {options.port}: {error}")
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app,
        http=_Protocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
