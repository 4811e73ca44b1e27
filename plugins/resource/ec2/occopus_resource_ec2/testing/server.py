"""``python -m occopus_resource_ec2.testing.server [--port N]``: moto's EC2 on the loopback, with what moto lacks.

A ClientToken makes one instance, however often the call is repeated. Access keys can be refused, the account can have a
limit of instances, instances take time to boot and to terminate, calls are counted and can be made to fail. Instances
have addresses in 127.0.0.0/8 and answer pings. Paths below ``/control`` are no part of EC2;
`occopus_resource_ec2.testing.process` calls them.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import re
import shlex
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

os.environ.update(
    MOTO_AMIS_PATH=str(Path(__file__).with_name("images.json")),
    MOTO_ENABLE_AMI_VALIDATION="true",
    MOTO_ENABLE_KEYPAIR_VALIDATION="true",
)

try:
    from moto.backends import get_backend
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.ec2.models import elastic_network_interfaces
    from moto.ec2.models.instances import StateReason
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.test import run_wsgi_app
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"error: {error}: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus")

from occopus_core.testing.web import PAGE
from occopus_resource_ec2.testing.faults import Fault, Faults

_INSTANCE = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>")
_STATE = re.compile(rb"<instanceState>.*?</instanceState>")
_STATE_REASON = re.compile(rb"<stateReason>.*?</stateReason>")
_OUTPUT = re.compile(rb"<output>.*?</output>", re.DOTALL)
_CREDENTIAL = re.compile(r"Credential=([^/]*)/[^/]*/([^/]*)/")
_REFUSAL = """<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>"""
_DRIP_SECONDS = 0.05
_BAD_KEYS = "AuthFailure", "AWS was not able to validate the provided access credentials"
_MISMATCH = (
    "IdempotentParameterMismatch",
    "Arguments on this idempotent request are inconsistent with arguments used before",
)
_FULL = "InstanceLimitExceeded", "You have requested more instances than your current instance limit of {} allows"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def _random_loopback() -> str:
    return f"127.{random.randint(64, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"


class Cloud:
    """A WSGI application: moto's EC2 behind fault injection."""

    def __init__(self, access_key: str, most_instances: int | None = None) -> None:
        self._moto = create_backend_app("ec2")
        self._access_key = access_key
        self._most_instances = most_instances
        self._lock = threading.Lock()
        self._faults = Faults()
        self._forget()
        # Public addresses of instances lead to this machine, so that pings are answered.
        vars(elastic_network_interfaces)["random_public_ip"] = _random_loopback

    def _forget(self) -> None:
        self._calls: Counter[str] = Counter()
        self._made: dict[str, tuple[Mapping[str, str], Answer]] = {}
        self._times = {"boot_seconds": 0.0, "delete_seconds": 0.0}
        self._due: dict[str, tuple[float, str, int]] = {}
        self._ends: dict[tuple[str, str], float] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"].startswith("/control/"):
            said = self._control(environ["PATH_INFO"].removeprefix("/control/"), json.loads(body or b"null"))
            return _send(Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"}), start_response)
        parameters = {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        return self._call(parameters, environ, body, start_response)

    def _call(
        self, parameters: dict[str, str], environ: dict[str, Any], body: bytes, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        with self._lock:
            self._calls[parameters.get("Action", "")] += 1
        changed = self._faults.changed
        fault = self._faults.next_for(parameters, environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
        kind = fault.kind if fault else ""
        if fault and kind == "refuse":
            return _send(_refusal(fault.status, fault.code, fault.message, fault.retry_after), start_response)
        if fault and kind == "html":
            return _send(Answer(fault.status, PAGE, {"Content-Type": "text/html"}), start_response)
        if kind == "hang":
            changed.wait()
            return _hang_up(environ, start_response)
        if kind == "first_page":
            del parameters["NextToken"]
            body = urlencode(parameters).encode()
        answer = self._answer(parameters, environ, body)
        if fault and kind == "take_back":
            self._take_back(parameters["ClientToken"], fault)
        if kind == "lost_reply":
            return _hang_up(environ, start_response)
        if fault:
            answer = _spoilt(answer, fault)
        if kind == "drip":
            start_response(f"{answer.status} ", list(answer.headers.items()))
            return _drip(answer.body, changed)
        return _send(answer, start_response)

    def _answer(self, parameters: dict[str, str], environ: dict[str, Any], body: bytes) -> Answer:
        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if credential is None or credential[1] != self._access_key:
            return _refusal(401, *_BAD_KEYS)
        with self._lock:
            self._let_time_pass(credential[2])
            action, token = parameters.get("Action"), parameters.get("ClientToken")
            if action == "RunInstances" and token in self._made:
                before, answer = self._made[token]
                return answer if before == parameters else _refusal(400, *_MISMATCH)
            if action == "RunInstances" and self._is_full():
                return _refusal(400, _FULL[0], _FULL[1].format(self._most_instances))
            answer = self._ask_moto(environ, body)
            if answer.status == HTTPStatus.OK and action == "GetConsoleOutput":
                return replace(answer, body=_OUTPUT.sub(_console(parameters["InstanceId"]), answer.body))
            if answer.status == HTTPStatus.OK and action in ("RunInstances", "TerminateInstances"):
                self._take_time(action, credential[2], _INSTANCE.findall(answer.body))
                if token:
                    self._made[token] = (parameters, answer)
        return answer

    def _take_back(self, token: str, fault: Fault) -> None:
        """Terminate the instance of a token; repeats of the call return its current state, as EC2 may do."""
        with self._lock:
            parameters, answer = self._made[token]
            code, message = escape(fault.code), escape(fault.message)
            reason = f"<stateReason><code>{code}</code><message>{message}</message></stateReason>"
            body = _STATE.sub(b"<instanceState><code>48</code><name>terminated</name></instanceState>", answer.body)
            body = _STATE_REASON.sub(reason.encode(), body)
            self._made[token] = parameters, replace(answer, body=body)
            for instance in _instances():
                if instance.id.encode() in _INSTANCE.findall(body):
                    self._due.pop(instance.id, None)
                    instance.terminate()
                    instance.state_reason = StateReason(fault.message, fault.code)
                    # A second termination does not change the reason.
                    vars(instance)["terminate"] = lambda instance=instance: instance.instance_state

    def _is_full(self) -> bool:
        """Whether the account has no room for another instance; every call of the handler creates one."""
        if self._most_instances is None:
            return False
        return sum(1 for instance in _instances() if instance.state != "terminated") >= self._most_instances

    def _ask_moto(self, environ: dict[str, Any], body: bytes) -> Answer:
        there = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks, status, headers = run_wsgi_app(self._moto, {**environ, **there}, buffered=True)
        return Answer(int(status.split()[0]), b"".join(chunks), dict(headers))

    def _take_time(self, action: str, region: str, ids: Iterable[bytes]) -> None:
        """Keep new instances in an earlier state; moto makes them ready at once."""
        key, before, after = (
            ("boot_seconds", ("pending", 0), ("running", 16))
            if action == "RunInstances"
            else ("delete_seconds", ("shutting-down", 32), ("terminated", 48))
        )
        now = time.monotonic()
        for id in map(bytes.decode, ids):
            due = self._ends.setdefault((action, id), now + self._times[key])  # not restarted by a repeated call
            if due > now:
                self._set_state(region, id, *before)
                self._due[id] = (due, *after)

    def _let_time_pass(self, region: str) -> None:
        now = time.monotonic()
        for id, (due, *state) in list(self._due.items()):
            if due <= now:
                self._set_state(region, id, *state)
                del self._due[id]

    @staticmethod
    def _set_state(region: str, id: str, name: Any, code: Any) -> None:
        state = get_backend("ec2")[DEFAULT_ACCOUNT_ID][region].get_instance(id).instance_state
        state.name, state.code = name, code

    def _control(self, what: str, given: Any) -> Any:
        with self._lock:
            if what == "faults":
                self._faults.replace([Fault(**rule) for rule in given])
            elif what == "state":
                found = next(instance for instance in _instances() if instance.id == given["id"])
                found.instance_state.name, found.instance_state.code = given["name"], 0
            elif what == "times":
                self._times.update(given)
            elif what == "calls":
                return self._calls
            elif what == "inventory":
                return list(_inventory())
            elif what == "reset":
                self._faults.replace([])
                self._forget()
                get_backend("ec2").reset()
        return None


def _inventory() -> Iterator[dict[str, Any]]:
    """All volumes, and all instances that are not terminated, of all regions."""
    for instance in _instances():
        if instance.state != "terminated":
            yield {"id": instance.id, "state": instance.state, "tags": _tags(instance)}
    for backend in get_backend("ec2")[DEFAULT_ACCOUNT_ID].values():
        for volume in backend.volumes.values():
            yield {"id": volume.id, "state": volume.status, "tags": _tags(volume), "size": volume.size}


def _console(id: str) -> bytes:
    """The XML element with the console output of an instance: the lines that its script echoes."""
    user_data = next((each.user_data for each in _instances() if each.id == id), None)
    script = base64.b64decode(str(user_data or "")).decode()
    commands = [shlex.split(line) for line in script.splitlines() if script.startswith("#!") and line.strip()]
    printed = "".join(f"{' '.join(words[1:])}\r\n" for words in commands if words[:1] == ["echo"])
    return b"<output>" + base64.b64encode(printed.encode()) + b"</output>"


def _instances() -> Iterator[Any]:
    for backend in get_backend("ec2")[DEFAULT_ACCOUNT_ID].values():
        yield from backend.all_instances()


def _tags(thing: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing.get_tags()}


def _refusal(status: int, code: str, message: str, retry_after: int | None = None) -> Answer:
    text = _REFUSAL.format(code=escape(code), message=escape(message), id=uuid.uuid4())
    headers = {"Content-Type": "text/xml;charset=UTF-8"}
    return Answer(status, text.encode(), {**headers, "Retry-After": str(retry_after)} if retry_after else headers)


def _spoilt(answer: Answer, fault: Fault) -> Answer:
    """The parts of the answer that the client receives."""
    if fault.kind == "cut_reply":
        return replace(answer, body=answer.body[: int(len(answer.body) * fault.share)])
    if fault.kind == "foreign_reply":
        return Answer(200, fault.message.encode() or PAGE, {"Content-Type": "text/html"})
    return answer


def _send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = {key: value for key, value in answer.headers.items() if key.lower() != "content-length"}
    start_response(f"{answer.status} ", [*headers.items(), ("Content-Length", str(len(answer.body)))])
    return [answer.body]


def _hang_up(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 ", [])  # the rest meets a closed connection
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


def _drip(body: bytes, changed: threading.Event) -> Iterator[bytes]:
    for number in range(len(body)):
        yield body[number : number + 1]
        changed.wait(_DRIP_SECONDS)


class _Quietly(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_what: Any) -> None:
        """Log nothing: calls are counted instead."""


def main() -> None:
    """Serve until stopped; the first line on stdout is the endpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; default: any free port")
    parser.add_argument("--access-key", default="AKIAEXAMPLE", help="the one access key that is let in")
    parser.add_argument("--instances", type=int, metavar="N", help="what the account has room for; default: any number")
    options = parser.parse_args()
    cloud = Cloud(options.access_key, options.instances)
    server = make_server("127.0.0.1", options.port, cloud, threaded=True, request_handler=_Quietly)
    print(f"http://127.0.0.1:{server.port}", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
