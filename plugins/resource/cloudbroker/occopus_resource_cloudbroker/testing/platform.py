"""The simulated platform: its instances and the effects of API calls, without HTTP.

Built from public facts about element names, paths and states, not from recorded exchanges.
"""

from __future__ import annotations

import base64
import binascii
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml.ElementTree import fromstring

EMAIL = "somebody@example.org"
PASSWORD = "a-password-for-tests"  # noqa: S105 - it opens nothing
DEPLOYMENT = "11111111-aaaa-4aaa-8aaa-111111111111"
INSTANCE_TYPE = "22222222-bbbb-4bbb-8bbb-222222222222"
KEY_PAIR = "33333333-cccc-4ccc-8ccc-333333333333"

_BOOTING = ("starting", "initializing", "preparing")
_ENDING = ("stopping", "halted")
_NAME_LIMIT = 255
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without headers."""

    status: int
    body: bytes = b""


@dataclass(slots=True)
class Machine:
    """One instance with everything that the platform stores about it."""

    id: str
    fields: dict[str, str]
    """The fields of the request, with hyphens in the names."""
    created: float
    running_from: float
    shown_from: float
    addresses: Mapping[str, str]
    stopped: float | None = None
    halted_from: float = 0.0
    raw_status: str = ""
    """A status set by a test."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.fields.get("name", "")

    @property
    def user_data(self) -> str:
        """The user data, decoded."""
        text = self.fields.get("cloud-init", "")
        return base64.b64decode(text).decode() if self.fields.get("cloud-init-b64") == "true" else text

    def status(self, now: float) -> str:
        """Its status at a given time."""
        if self.raw_status:
            return self.raw_status
        if self.stopped is not None:
            return _ENDING[now >= self.halted_from]
        if now >= self.running_from:
            return "running"
        share = (now - self.created) / (self.running_from - self.created)
        return _BOOTING[min(2, int(3 * max(share, 0.0)))]


@dataclass
class Platform:
    """The account of one user. Thread-safe."""

    clock: Callable[[], float] = time.monotonic
    """Returns seconds, from any origin."""
    boot_seconds: float = 0.0
    stop_seconds: float = 0.0
    quota: int | None = None
    """The most instances that may run at once; None for no limit."""
    most_per_page: int = 25
    """The most instances on a page, whatever the request says."""
    hidden_seconds: float = 0.0
    """How long a new instance is missing from lists."""
    newest_first: bool = False
    keeps_names: bool = True
    """Whether it stores the requested names."""
    echoes_names: bool = True
    """Whether the answer to a creation has the name."""
    stops_while_starting: bool = True
    """Whether an instance can be stopped before it runs."""
    hourly_price: Decimal = Decimal("0.10")
    started_hours: int = 3
    """The hours that are charged for each instance."""
    deployments: set[str] = field(default_factory=lambda: {DEPLOYMENT})
    instance_types: set[str] = field(default_factory=lambda: {INSTANCE_TYPE})
    key_pairs: set[str] = field(default_factory=lambda: {KEY_PAIR})
    machines: dict[str, Machine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._start = self.clock()

    # Controls for tests

    def running(self) -> list[Machine]:
        """Every instance that has not been stopped."""
        with self._lock:
            return [machine for machine in self.machines.values() if self._alive(machine)]

    def lose(self, id: str) -> None:
        """Stop an instance, as if a user had done it."""
        with self._lock:
            self.machines[id].stopped = self.machines[id].halted_from = self.clock()

    def remove(self, id: str) -> None:
        """Delete the record of an instance."""
        with self._lock:
            del self.machines[id]

    # API

    def create(self, body: bytes) -> Answer:
        """POST /instances.xml."""
        with self._lock:
            fields = _read(body)
            errors = list(self._errors(fields)) if fields is not None else ["The request is not an instance in XML"]
            if errors or fields is None:
                return refused(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
            if self.quota is not None and len(self.running()) >= self.quota:
                return refused(HTTPStatus.UNPROCESSABLE_ENTITY, ["The maximum number of instances is exceeded"])
            machine = self._made(fields)
            self.machines[machine.id] = machine
            element = self._element(machine)
            if not self.echoes_names:
                element.remove(next(each for each in element if each.tag == "name"))
            return Answer(HTTPStatus.CREATED, _written(element))

    def get(self, id: str) -> Answer:
        """GET /instances/ID.xml."""
        with self._lock:
            machine = self.machines.get(id)
            return _missing(id) if machine is None else Answer(HTTPStatus.OK, _written(self._element(machine)))

    def list(self, page: int, per_page: int) -> Answer:
        """GET /instances.xml?page=PAGE&per_page=PER_PAGE."""
        with self._lock:
            now, size = self.clock(), max(1, min(per_page, self.most_per_page))
            shown = [machine for machine in self.machines.values() if machine.shown_from <= now]
            ordered = shown[::-1] if self.newest_first else shown
            root = Element("instances", {"type": "array"})
            root.extend(self._element(machine) for machine in ordered[(page - 1) * size : page * size])
            return Answer(HTTPStatus.OK, _written(root))

    def stop(self, id: str) -> Answer:
        """PUT /instances/ID/stop.xml."""
        with self._lock:
            machine = self.machines.get(id)
            if machine is None:
                return _missing(id)
            now = self.clock()
            refusing = _ENDING if self.stops_while_starting else (*_ENDING, *_BOOTING)
            if machine.status(now) in refusing:
                message = f"The instance is {machine.status(now)}"
                return refused(HTTPStatus.UNPROCESSABLE_ENTITY, [message], "wrong status")
            machine.stopped, machine.halted_from, machine.raw_status = now, now + self.stop_seconds, ""
            return Answer(HTTPStatus.OK)

    def costs(self, id: str) -> Answer:
        """GET /instances/ID/costs.xml."""
        with self._lock:
            if id not in self.machines:
                return _missing(id)
            root = Element("fees")
            cost = self.hourly_price * self.started_hours
            for name, quantity in (("Instance runtime fee", str(self.started_hours)), ("VAT", ""), ("Total", "")):
                amount = Decimal(0) if name == "VAT" else cost
                fee = SubElement(root, "fee")
                for part, text in (
                    ("name", name),
                    ("month_quantity", quantity),
                    ("month_cost", str(amount)),
                    ("total_quantity", quantity),
                    ("total_cost", str(amount)),
                ):
                    SubElement(fee, part).text = text
            return Answer(HTTPStatus.OK, _written(root))

    def _alive(self, machine: Machine) -> bool:
        return machine.status(self.clock()) not in _ENDING

    def _errors(self, fields: Mapping[str, str]) -> Iterator[str]:
        for name, key, known in (
            ("Deployment", "deployment-id", self.deployments),
            ("Instance type", "instance-type-id", self.instance_types),
            ("Key pair", "key-pair-id", self.key_pairs),
        ):
            if key in fields and fields[key] not in known:
                yield f"{name} could not be found"
            elif key not in fields and name != "Key pair":
                yield f"{name} can't be blank"
        if len(fields.get("name", "")) > _NAME_LIMIT:
            yield f"Name is too long (maximum is {_NAME_LIMIT} characters)"
        if fields.get("cloud-init-b64") == "true":
            try:
                base64.b64decode(fields.get("cloud-init", ""), validate=True)
            except binascii.Error:
                yield "Cloud init is not base64"

    def _made(self, fields: dict[str, str]) -> Machine:
        now = self.clock()
        if not self.keeps_names:
            fields.pop("name", None)
        octets = random.randint(64, 254), random.randint(0, 254), random.randint(1, 254)
        addresses = {  # so that pings are answered by this machine
            "external-ip-address": "127.{}.{}.{}".format(*octets),
            "internal-ip-address": f"10.{octets[0]}.{octets[1]}.{octets[2]}",
        }
        return Machine(str(uuid.uuid4()), fields, now, now + self.boot_seconds, now + self.hidden_seconds, addresses)

    def _element(self, machine: Machine) -> Element:
        now = self.clock()
        status = machine.status(now)
        root = Element("instance")
        stamp = (_EPOCH + timedelta(seconds=machine.created - self._start)).strftime("%Y-%m-%dT%H:%M:%SZ")
        described = {
            "id": machine.id,
            "name": machine.name,
            "status": status,
            **{
                key: machine.fields.get(key, "")
                for key in ("deployment-id", "instance-type-id", "opened-port", "disable-autostop", "isolated")
            },
            **{key: machine.addresses[key] if status == "running" else "" for key in machine.addresses},
            "internal-hostname": "",
            "external-hostname": "",
            "created-at": stamp,
            "updated-at": stamp,
        }
        for key, text in described.items():
            SubElement(root, key).text = text
        return root


def refused(status: int, messages: Sequence[str], type: str = "") -> Answer:
    """An answer with an ``errors`` element."""
    root = Element("errors")
    for message in messages:
        SubElement(root, "error").text = message
    if type:
        SubElement(root, "type").text = type
    return Answer(status, _written(root))


def _missing(id: str) -> Answer:
    return refused(HTTPStatus.NOT_FOUND, [f"Instance {id} could not be found"])


def _read(body: bytes) -> dict[str, str] | None:
    try:
        root: Any = fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError):
        return None
    if root.tag != "instance":
        return None
    return {each.tag.replace("_", "-"): "".join(each.itertext()) for each in root}


def _written(root: Element) -> bytes:
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text
