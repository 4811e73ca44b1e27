"""The instances of the simulated cloud: their state is computed from the time, with rules for creation and deletion.

Nothing here waits or runs in the background: every access computes the current state of an instance.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from typing import Any

PAGE = 10_000
"""The most ids in one call, and the most instances in one answer, unless `Limits.page` is lower."""

_GONE = 10_000
"""How many of the last deleted instances are still described, as absent."""

_NETWORK = int(IPv4Address("127.64.0.0"))
_NETWORK_SIZE = 2**22


class Refusal(Exception):  # noqa: N818 - an answer of the cloud, not a fault of the program
    """A refusal of the cloud: `kind` is one of the refusals in `occopus_core.testing.simcloud.faults`."""

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        """The refusal in the JSON of answers."""
        return {"kind": self.kind, "message": self.message, "retry_after": self.retry_after}


def digest(value: Any) -> dict[str, Any] | None:
    """SHA-256 and length of a text, or of the JSON of anything else; None for None."""
    if value is None:
        return None
    content = (value if isinstance(value, str) else json.dumps(value)).encode()
    return {"sha256": hashlib.sha256(content).hexdigest(), "length": len(content)}


def _number(body: Mapping[str, Any], key: str, default: float) -> float:
    try:
        value = float(body.get(key, default))
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value < float("inf"):
        raise Refusal("permanent", f"{key} must be a number that is not negative")
    return value


@dataclass(frozen=True, slots=True)
class Order:
    """A request to create one instance."""

    token: str
    owner: Mapping[str, str | None]
    project: str
    image: str
    fail: str
    output: str
    port: str
    boot_seconds: float
    delete_seconds: float
    shutdown_seconds: float
    steps: int
    context: Mapping[str, dict[str, Any] | None]
    """Digests of `user_data`, `env` and `command`."""

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Order:
        """The order in the body of a create call. Raises `Refusal`."""
        token, owner = body.get("token"), body.get("owner")
        if not isinstance(token, str) or not token or not isinstance(owner, Mapping):
            raise Refusal("permanent", "an instance needs a token and an owner")
        return cls(
            token=token,
            owner=dict(owner),
            project=str(body.get("project", "default")),
            image=str(body.get("image", "default")),
            fail=str(body.get("fail", "")),
            output=str(body.get("output", "")),
            port=str(body.get("port", "")),
            boot_seconds=_number(body, "boot_seconds", 0.0),
            delete_seconds=_number(body, "delete_seconds", 0.0),
            shutdown_seconds=_number(body, "shutdown_seconds", 0.0),
            steps=max(1, int(_number(body, "steps", 1))),
            context={key: digest(body.get(key)) for key in ("user_data", "env", "command")},
        )


@dataclass(slots=True)
class Machine:
    """One instance of the inventory, possibly unfinished or departing. Times are in seconds of the clock."""

    id: str
    token: str
    owner: Mapping[str, str | None]
    project: str
    addresses: tuple[str, str]
    """A public address and a private one."""
    order: Mapping[str, Any]
    """The order, for tests that compare it."""
    created_at: float
    visible_at: float
    """When `describe` and `list` begin to show it."""
    steps_left: int
    boot_seconds: float
    delete_seconds: float
    fail: str
    output: str = ""
    """Its output once it is ready."""
    port: str = ""
    """A port that no other machine of its project can have; empty for none."""
    shutdown_seconds: float = 0.0
    """How long a requested shutdown takes."""
    stopped_at: float | None = None
    """When it has stopped, or will stop; None until a stop was requested."""
    ready_at: float | None = None
    """None while it is unfinished."""
    gone_at: float | None = None
    """None until its deletion was requested."""
    imposed: str = ""
    """A state set by a test."""
    reason: str = ""

    def state(self, now: float) -> str:
        """Its state at the time `now`."""
        if self.gone_at is not None:
            return "deleting"
        if self.imposed:
            return self.imposed
        if self.ready_at is None:
            return "provisioning"
        if self.stopped_at is not None and self.stopped_at <= now:
            return "stopped"
        if now < self.ready_at:
            return "pending"
        return "failed" if self.fail else "ready"

    def as_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    def view(self, now: float) -> dict[str, Any]:
        """Its representation for clients."""
        state = self.state(now)
        return {
            "id": self.id,
            "state": state,
            "addresses": () if state == "provisioning" else self.addresses,
            "token": self.token,
            "owner": self.owner,
            "reason": self.reason or (self.fail if state == "failed" else ""),
        }


_FIELDS = tuple(each.name for each in fields(Machine))


@dataclass(slots=True)
class Limits:
    """The most instances of a project, the existing images (None: all but ``unknown…``), the size of a page."""

    quotas: Mapping[str, int] = field(default_factory=dict)
    images: Collection[str] | None = None
    page: int = PAGE

    def knows(self, image: str) -> bool:
        """Whether the image exists."""
        return not image.startswith("unknown") if self.images is None else image in self.images


def _ignore(_machine: Machine, _present: bool) -> None:
    return


class Inventory:
    """The instances of one cloud. Not thread-safe.

    `clock` returns seconds; `record` gets each changed machine, and whether it still exists.
    """

    def __init__(self, clock: Callable[[], float], record: Callable[[Machine, bool], None] = _ignore) -> None:
        self.limits = Limits()
        self.serial = 0
        self._clock = clock
        self._record = record
        self._machines: dict[str, Machine] = {}
        self._by_token: dict[str, Machine] = {}
        self._used: Counter[str] = Counter()
        self._leaving: list[tuple[float, str]] = []
        self._gone: dict[str, Machine] = {}

    def restore(self, machines: Iterable[Machine], serial: int) -> None:
        """Load the data that an earlier process has recorded."""
        self.serial = serial
        for machine in machines:
            self._add(machine)
            if machine.gone_at is not None:
                heapq.heappush(self._leaving, (machine.gone_at, machine.id))

    def create(self, order: Order, *, forget_token: bool = False, invisible_seconds: float = 0.0) -> Machine:
        """The machine with the order's token, made or advanced by one step. Raises `Refusal`."""
        now = self._sweep()
        machine = None if forget_token else self._by_token.get(order.token)
        if machine is None:
            machine = self._make(order, now, invisible_seconds)
        elif machine.steps_left == 0 or machine.gone_at is not None:
            return machine
        machine.steps_left -= 1
        if machine.steps_left == 0:
            machine.ready_at = now + machine.boot_seconds
        self._record(machine, True)
        return machine

    def require_image(self, image: str) -> None:
        """Raises `Refusal` for an image that does not exist."""
        if not self.limits.knows(image):
            raise Refusal("not_found", f"image {image!r} does not exist")

    def find(self, ids: Iterable[str]) -> list[Machine]:
        """The existing machines among these, visible or not."""
        self._sweep()
        return [self._machines[id] for id in ids if id in self._machines]

    def gone(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """The representations of the recently deleted machines among these."""
        now = self._sweep()
        found = [self._gone[id] for id in ids if id in self._gone]
        return [machine.view(now) | {"state": "absent"} for machine in found if machine.visible_at <= now]

    def owned(self, owner: Mapping[str, str | None]) -> Iterator[Machine]:
        """The machines with all the owner's tags; a tag that is None matches anything."""
        self._sweep()
        wanted = [(key, value) for key, value in owner.items() if value is not None]
        return (m for m in self._machines.values() if all(m.owner.get(key) == value for key, value in wanted))

    def visible(self, machines: Iterable[Machine]) -> list[dict[str, Any]]:
        """The representations of these machines."""
        now = self._clock()
        return [machine.view(now) for machine in machines if machine.visible_at <= now]

    def delete(self, machine: Machine) -> None:
        """Start deletions; one in progress continues."""
        if machine.gone_at is None:
            machine.gone_at = self._clock() + machine.delete_seconds
            heapq.heappush(self._leaving, (machine.gone_at, machine.id))
            self._record(machine, True)

    def stop(self, machine: Machine) -> None:
        """Request shutdowns, which take `shutdown_seconds`; one in progress continues."""
        if machine.stopped_at is None:
            machine.stopped_at = self._clock() + machine.shutdown_seconds
            self._record(machine, True)

    def change(self, id: str, action: str, reason: str = "", state: str = "") -> None:
        """Change an instance as a user would: ``stop``, ``start``, ``fail`` or ``lose`` it.

        ``set`` gives it a `state` of any name. Raises `Refusal`.
        """
        found = self.find([id])
        states = {"stop": "stopped", "start": "", "fail": "failed", "lose": "", "set": state}
        if not found or action not in states:
            raise Refusal("not_found", f"no instance {id!r} or no action {action!r} (there are {', '.join(states)})")
        machine = found[0]
        if action == "lose":
            self._remove(machine)
            return
        machine.imposed, machine.reason = states[action], reason
        if action == "start":
            machine.stopped_at = None
        self._record(machine, True)

    def everything(self) -> list[dict[str, Any]]:
        """All machines, including unfinished and invisible ones, with all fields and the current state."""
        now = self._sweep()
        return [machine.as_dict() | {"state": machine.state(now)} for machine in self._machines.values()]

    def clear(self) -> None:
        """Remove everything at once."""
        for machine in list(self._machines.values()):
            self._remove(machine)
        self._gone.clear()

    def _make(self, order: Order, now: float, invisible_seconds: float) -> Machine:
        self.require_image(order.image)
        quota = self.limits.quotas.get(order.project)
        if quota is not None and self._used[order.project] >= quota:
            raise Refusal("quota", f"project {order.project!r} may have no more than {quota} instances")
        if order.port and any(self._holds_port(machine, order) for machine in self._machines.values()):
            raise Refusal("permanent", f"port {order.port} is in use")
        self.serial += 1
        machine = Machine(
            id=f"sim-{self.serial:08x}",
            token=order.token,
            owner=order.owner,
            project=order.project,
            addresses=_addresses(self.serial),
            order={"image": order.image, "steps": order.steps, **order.context},
            created_at=now,
            visible_at=now + invisible_seconds,
            steps_left=order.steps,
            boot_seconds=order.boot_seconds,
            delete_seconds=order.delete_seconds,
            fail=order.fail,
            output=order.output,
            port=order.port,
            shutdown_seconds=order.shutdown_seconds,
        )
        self._add(machine)
        return machine

    @staticmethod
    def _holds_port(machine: Machine, order: Order) -> bool:
        """Whether it has the port of an order. A duplicate, made because its token was forgotten, does not count."""
        return (machine.project, machine.port) == (order.project, order.port) and machine.token != order.token

    def _add(self, machine: Machine) -> None:
        self._machines[machine.id] = machine
        self._by_token[machine.token] = machine
        self._used[machine.project] += 1

    def _remove(self, machine: Machine) -> None:
        del self._machines[machine.id]
        if self._by_token.get(machine.token) is machine:
            del self._by_token[machine.token]
        self._used[machine.project] -= 1
        self._record(machine, False)

    def _sweep(self) -> float:
        """Remove machines whose deletion is complete. Returns the time."""
        now = self._clock()
        while self._leaving and self._leaving[0][0] <= now:
            machine = self._machines.get(heapq.heappop(self._leaving)[1])
            if machine is not None:
                self._remove(machine)
                self._gone[machine.id] = machine
        for id in list(self._gone)[: max(0, len(self._gone) - _GONE)]:
            del self._gone[id]
        return now


def _addresses(serial: int) -> tuple[str, str]:
    first = 2 * serial % _NETWORK_SIZE
    return str(IPv4Address(_NETWORK + first)), str(IPv4Address(_NETWORK + first + 1))
