"""The operations of the simulated cloud on plain data, with faults and counts, independent of the transport.

A call is opened, which determines its fault, then performed, unless it hangs or is refused, and closed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.testing.simcloud.faults import OPERATIONS, Fault, Faults, Subject
from occopus_core.testing.simcloud.inventory import PAGE, Inventory, Limits, Machine, Order, Refusal

_LOG_LENGTH = 100_000
_ORDERING = frozenset({"create", "ensure"})
"""The operations whose body is an order."""


@dataclass(frozen=True, slots=True)
class _Query:
    """A call about all instances with the owner's tags."""

    owner: Mapping[str, str | None]
    token: str = ""


@dataclass(slots=True)
class Call:
    """One call in progress."""

    operation: str
    subjects: Sequence[Subject]
    fault: Fault


@dataclass(slots=True)
class _Count:
    by_operation: Counter[str] = field(default_factory=Counter)
    now: int = 0
    most: int = 0
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_LOG_LENGTH))


class Service:
    """One simulated cloud. Not thread-safe."""

    def __init__(self, inventory: Inventory, clock: Callable[[], float], seed: int = 0) -> None:
        self.inventory = inventory
        self._clock = clock
        self._seed = seed
        self._faults = Faults()
        self._count = _Count()

    def open(self, operation: str, body: Mapping[str, Any]) -> Call:
        """Accept a call and determine its fault. Raises `Refusal` for an invalid call."""
        subjects = self._subjects(operation, body)
        call = Call(operation, subjects, self._faults.for_call(operation, subjects or (_Query({}),)))
        count = self._count
        count.by_operation[operation] += 1
        count.now += 1
        count.most = max(count.most, count.now)
        count.log.append(
            {
                "at": self._clock(),
                "operation": operation,
                "tokens": [subject.token for subject in subjects] if operation in {"create", "delete"} else [],
                "instances": len(subjects),
                "outcome": call.fault.label,
            }
        )
        return call

    def close(self) -> None:
        """A call has been answered or abandoned."""
        self._count.now -= 1

    def perform(self, call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
        """Perform the call and return the answer. Raises `Refusal`."""
        if call.fault.refusal:
            raise call.fault.refusal
        if call.operation in _ORDERING:
            return self._order(call)
        if call.operation == "list":
            return self._page(self.inventory.visible(self.inventory.owned(body["owner"])), body)
        ids = [str(id) for id in body["ids"]]
        # The instances may have been deleted since the call was opened.
        machines = self.inventory.find(ids)
        if call.operation == "delete":
            now = self._clock()
            seen = [each for each in machines if each.visible_at <= now]
            return {"results": {**dict.fromkeys(ids), **{each.id: self._delete(each) for each in seen}}}
        if call.operation == "stop":
            for machine in machines:
                self.inventory.stop(machine)
            return {"results": dict.fromkeys(ids)}
        if call.operation == "logs":
            return {"logs": {**dict.fromkeys(ids), **{each.id: self._printed(each, body) for each in machines}}}
        gone = [] if call.fault.no_trace else self.inventory.gone(ids)
        return self._page([*self.inventory.visible(machines), *gone], body)

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules. Raises `ValueError`."""
        self._faults = Faults(rules, self._seed)

    def set_limits(self, quotas: Mapping[str, int], images: Sequence[str] | None, page: int = PAGE) -> None:
        """Replace the limits."""
        self.inventory.limits = Limits(quotas, images, page)

    def calls(self) -> dict[str, Any]:
        """The number of calls by operation, and the most at a time."""
        count = self._count
        totals = {operation: count.by_operation[operation] for operation in OPERATIONS}
        return {"total": totals, "most_at_once": count.most}

    def log(self) -> list[dict[str, Any]]:
        """The last 100,000 calls, oldest first."""
        return list(self._count.log)

    def reset(self) -> None:
        """Remove all instances, counts, faults and limits."""
        self.inventory.clear()
        self.set_limits({}, None)
        self._faults = Faults()
        self._count = _Count(now=self._count.now)

    def _subjects(self, operation: str, body: Mapping[str, Any]) -> Sequence[Subject]:
        if operation in _ORDERING:
            return [Order.parse(body)]
        if operation == "list":
            return [_Query(_typed(body, "owner", dict))]
        ids = _typed(body, "ids", list)
        most = PAGE if operation == "describe" else self.inventory.limits.page
        if len(ids) > most:
            raise Refusal("permanent", f"one call names at most {most} ids")
        return self.inventory.find(map(str, ids))

    def _order(self, call: Call) -> dict[str, Any]:
        (order,) = call.subjects
        assert isinstance(order, Order)
        if call.operation == "ensure":
            self.inventory.require_image(order.image)
            return {"progress": ""}
        machine = self.inventory.create(
            order, forget_token=call.fault.forget_tokens, invisible_seconds=call.fault.invisible_seconds
        )
        return {"instance": machine.view(self._clock())}

    def _page(self, found: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> dict[str, Any]:
        """One page of the instances, in order of their ids, and its last id if there are more."""
        after, size = str(body.get("after") or ""), self.inventory.limits.page
        left = sorted((each for each in found if each["id"] > after), key=lambda each: each["id"])
        following = {"next": left[size - 1]["id"]} if len(left) > size else {}
        return {"instances": left[:size], **following}

    def _printed(self, machine: Machine, body: Mapping[str, Any]) -> str | None:
        """The last lines of its output; None before it runs."""
        if machine.ready_at is None or self._clock() < machine.ready_at:
            return None
        if machine.ready_at < float(body.get("since") or machine.ready_at):
            return ""
        return "".join(machine.output.splitlines(keepends=True)[-_typed(body, "lines", int) :])

    def _delete(self, machine: Machine) -> dict[str, Any] | None:
        refusal = self._faults.for_deletion(machine)
        if refusal:
            return refusal.as_dict()
        self.inventory.delete(machine)
        return None


def _typed(body: Mapping[str, Any], key: str, kind: type) -> Any:
    value = body.get(key)
    if not isinstance(value, kind):
        raise Refusal("permanent", f"this call needs {key}")
    return value
