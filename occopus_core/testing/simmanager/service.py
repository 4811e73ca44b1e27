"""The operations of the simulated configuration manager on plain data, with faults and counts.

It configures nothing. A job takes the `seconds` of the node's section, then publishes the section's `publish` and the
node's attributes, or fails with the reason in `fail`. Time is read from a clock: nothing runs in the background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from occopus_core.testing.simcloud.faults import Faults
from occopus_core.testing.simcloud.inventory import Refusal
from occopus_core.testing.simcloud.service import Call

OPERATIONS = ("register", "configure", "status", "cancel", "leave", "forget", "forget_infrastructure", "list")
MOST_LOGGED = 100_000


@dataclass(slots=True)
class Managed:
    """One node, with the manager's data. Times are in seconds of the clock."""

    node_id: str
    installation: str
    infra_id: str
    node_name: str
    token: str
    section: Mapping[str, Any]
    attributes: Mapping[str, Any]
    mapped: Mapping[str, Any]
    addresses: list[str]
    peers: list[str]
    generation: str = ""
    """The generation of the last job; empty before the first."""
    ends_at: float | None = None
    """When the last job ends or has ended; None before the first, and if it was cancelled or lost."""
    begins_at: float = 0.0
    """When the last job begins or has begun; before that it is queued."""
    leaves_at: float | None = None
    jobs: int = 0
    """The number of started jobs."""
    generations: list[str] = field(default_factory=list)
    """The generations with a started job, each once, in the order of their first jobs."""
    fail: str = ""
    """The reason of a failure set by a test, in place of the section's."""

    @property
    def owner(self) -> Mapping[str, str | None]:
        """The fields that fault rules match."""
        return {"installation": self.installation, "infra_id": self.infra_id, "node_name": self.node_name}

    def status(self, now: float) -> dict[str, Any]:
        """The result of `status`."""
        if self.ends_at is None:
            return {"state": "pending", "reason": "no job is under way", "generation": self.generation}
        if now < self.begins_at:
            return {"state": "queued", "reason": "another job is under way", "generation": self.generation}
        if now < self.ends_at:
            return {"state": "running", "progress": "a task is running", "generation": self.generation}
        reason = self.fail or str(self.section.get("fail", ""))
        if reason:
            output = str(self.section.get("output", ""))
            return {"state": "failed", "reason": reason, "generation": self.generation, "output": output}
        published = {**self.attributes, **dict(self.section.get("publish", {}))}
        return {"state": "ready", "generation": self.generation, "attributes": published}


@dataclass(frozen=True, slots=True)
class _Query:
    owner: Mapping[str, str | None]
    token: str = ""


@dataclass(slots=True)
class _Count:
    by_operation: Counter[str] = field(default_factory=Counter)
    now: int = 0
    most: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)


class ManagerService:
    """One simulated configuration manager. Not thread-safe. `record` is called after each change."""

    def __init__(self, clock: Callable[[], float], seed: int = 0, record: Callable[[], None] = lambda: None) -> None:
        self.nodes: dict[str, Managed] = {}
        self.infrastructures: set[str] = set()
        """The infrastructures with data that belongs to no single node."""
        self.most_jobs = 0
        """The most concurrent jobs so far."""
        self.forgotten: list[dict[str, Any]] = []
        """The nodes that this process has forgotten: their states, and whether they had left."""
        self._clock = clock
        self._seed = seed
        self._record = record
        self._faults = Faults((), seed, OPERATIONS)
        self._count = _Count()

    def dump(self) -> dict[str, Any]:
        """All data in JSON types."""
        return {
            "nodes": [asdict(each) for each in self.nodes.values()],
            "infrastructures": sorted(self.infrastructures),
        }

    def restore(self, held: Mapping[str, Any]) -> None:
        """Load the data that an earlier process has dumped."""
        self.nodes = {each["node_id"]: Managed(**each) for each in held["nodes"]}
        self.infrastructures = set(held["infrastructures"])

    def open(self, operation: str, body: Mapping[str, Any]) -> Call:
        """Accept a call and determine its fault. Raises `Refusal` for an invalid call."""
        subjects = self._subjects(operation, body)
        call = Call(operation, subjects, self._faults.for_call(operation, subjects or (_Query({}),)))
        count = self._count
        count.by_operation[operation] += 1
        count.now += 1
        count.most = max(count.most, count.now)
        nodes = [str(each.owner.get("node_name") or each.owner.get("infra_id") or "") for each in subjects]
        count.log.append({"at": self._clock(), "operation": operation, "nodes": nodes, "outcome": call.fault.label})
        del count.log[:-MOST_LOGGED]
        return call

    def close(self) -> None:
        """A call has been answered or abandoned."""
        self._count.now -= 1

    def perform(self, call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
        """Perform the call and return the answer. Raises `Refusal`."""
        if call.fault.refusal:
            raise call.fault.refusal
        answer: dict[str, Any] = getattr(self, f"_{call.operation}")(body)
        self._record()
        return answer

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules. Raises `ValueError`."""
        self._faults = Faults(rules, self._seed, OPERATIONS)

    def change(self, node_id: str, action: str, reason: str = "") -> None:
        """``lose`` a node, ``lose_job``, or ``fail`` it with a reason; an empty reason ends the failure.

        Raises `Refusal`.
        """
        node = self.nodes.get(node_id)
        if node is None or action not in ("lose", "lose_job", "fail"):
            raise Refusal("not_found", f"no node {node_id!r} or no action {action!r}")
        if action == "lose":
            del self.nodes[node_id]
        elif action == "lose_job":
            node.ends_at = None
        else:
            node.fail = reason
        self._record()

    def inventory(self) -> dict[str, Any]:
        """All data, with the status of each node."""
        now = self._clock()
        nodes = [asdict(each) | {"status": each.status(now)} for each in self.nodes.values()]
        return {"nodes": nodes, "infrastructures": sorted(self.infrastructures), "most_jobs": self.most_jobs,
                "forgotten": list(self.forgotten)}  # fmt: skip

    def calls(self) -> dict[str, Any]:
        """The number of calls by operation, and the most at a time."""
        totals = {operation: self._count.by_operation[operation] for operation in OPERATIONS}
        return {"total": totals, "most_at_once": self._count.most}

    def log(self) -> list[dict[str, Any]]:
        """The last 100,000 calls, oldest first: time, operation, nodes and outcome."""
        return list(self._count.log)

    def reset(self) -> None:
        """Remove all data, counts and faults."""
        self.nodes, self.infrastructures, self.most_jobs = {}, set(), 0
        self.forgotten.clear()
        self._faults = Faults((), self._seed, OPERATIONS)
        self._count = _Count(now=self._count.now)
        self._record()

    def _subjects(self, operation: str, body: Mapping[str, Any]) -> Sequence[Any]:
        if operation == "forget_infrastructure":
            return [_Query({"infra_id": str(body.get("infra_id"))})]
        if operation == "list":
            return [_Query({"installation": str(body.get("installation"))})]
        return [_managed(each) for each in _nodes(body)]

    # The operations

    def _register(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for node in _nodes(body):
            self._take(_managed(node))
        return {}

    def _take(self, new: Managed) -> Managed:
        """The stored node, updated with the data of the call."""
        known = self.nodes.setdefault(new.node_id, new)
        known.section, known.attributes, known.mapped = new.section, new.attributes, new.mapped
        known.addresses, known.peers = new.addresses, new.peers
        self.infrastructures.add(new.infra_id)
        return known

    def _configure(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock()
        for each in _nodes(body):
            node, generation = self._take(_managed(each)), str(each["generation"])
            if node.generation == generation and node.ends_at is not None and not _failed(node, now):
                continue
            node.generation, node.begins_at = generation, now + float(node.section.get("queued_seconds", 0))
            node.ends_at = node.begins_at + float(node.section.get("seconds", 0))
            node.jobs += 1
            if generation not in node.generations:
                node.generations.append(generation)
        running = sum(each.ends_at is not None and each.begins_at <= now < each.ends_at for each in self.nodes.values())
        self.most_jobs = max(self.most_jobs, running)
        return {}

    def _status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock()
        unknown = {"state": "unknown", "reason": "it was never registered"}
        ids = [str(each["node_id"]) for each in _nodes(body)]
        return {"status": {id: self.nodes[id].status(now) if id in self.nodes else unknown for id in ids}}

    def _cancel(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock()
        for each in _nodes(body):
            node = self.nodes.get(str(each["node_id"]))
            if node is not None and node.ends_at is not None and node.ends_at > now:
                node.ends_at = None
        return {}

    def _leave(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now, left = self._clock(), True
        for each in _nodes(body):
            node = self.nodes.get(str(each["node_id"]))
            if node is not None:
                if node.leaves_at is None:
                    node.leaves_at = now + float(node.section.get("leave_seconds", 0))
                left = left and now >= node.leaves_at
        return {"left": left}

    def _forget(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock()
        for each in _nodes(body):
            node = self.nodes.pop(str(each["node_id"]), None)
            if node is not None:
                left = node.leaves_at is not None and now >= node.leaves_at
                state = node.status(now)["state"]
                self.forgotten.append({"node_name": node.node_name, "state": state, "left": left})
                del self.forgotten[:-MOST_LOGGED]
        return {}

    def _forget_infrastructure(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.infrastructures.discard(str(body.get("infra_id")))
        return {}

    def _list(self, body: Mapping[str, Any]) -> dict[str, Any]:
        ours = [each for each in self.nodes.values() if each.installation == body.get("installation")]
        return {"nodes": [{"infra_id": n.infra_id, "node_name": n.node_name, "node_id": n.node_id} for n in ours]}


def _failed(node: Managed, now: float) -> bool:
    return str(node.status(now)["state"]) == "failed"


def _nodes(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    nodes = body.get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(each, Mapping) and each.get("node_id") for each in nodes):
        raise Refusal("permanent", "this call needs nodes")
    return nodes


def _managed(body: Mapping[str, Any]) -> Managed:
    fields: dict[str, Any] = {
        **{name: str(body.get(name, "")) for name in ("node_id", "installation", "infra_id", "node_name", "token")},
        **{name: dict(body.get(name, {})) for name in ("section", "attributes", "mapped")},
        **{name: list(body.get(name, [])) for name in ("addresses", "peers")},
    }
    return Managed(**fields)
