"""The planner: derives the next step of each instance from the wanted and the present state. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from occopus_core.engine.planning.backoff import setback_delay
from occopus_core.engine.planning.outage import Ailment, Outage, Sickbay
from occopus_core.engine.planning.plan import RECHECKED, Hold, Plan, Step, Verb
from occopus_core.store.records import InstanceRecord, Setback, Stage

HEAL_SHARE = 0.2
"""The share of a node's instances that may be replaced at the same time; at least one."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a requested replacement of other nodes leaves to maintenance, by node name."""

    nodes: frozenset[str] = frozenset()
    """No instances of these are made or replaced."""
    settings: frozenset[str] = frozenset()
    """Of these nodes: no instances get another configuration either, because nothing changes for them."""

    @property
    def followers(self) -> frozenset[str]:
        """Nodes that get another configuration where one that they depend on changes."""
        return self.nodes - self.settings


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a plan depends on. Mappings are by node id unless they say otherwise."""

    targets: Mapping[str, int]
    """By node name: the wanted number of instances. Empty to destroy everything."""
    records: Sequence[InstanceRecord]
    now: float = 0.0
    """Seconds since 1970."""
    ailments: Mapping[str, Ailment] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Why an instance cannot be changed to match its description: it is replaced."""
    outdated: Mapping[str, str] = field(default_factory=dict)
    """Why an instance that lacks addresses of its dependees is replaced."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Why an instance has to be configured again."""
    checks: Mapping[str, bool] = field(default_factory=dict)
    """The ready instances whose health checks change; true if there are new ones to pass, not only fewer."""
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    """By node name."""
    dependees: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By node name: all nodes it depends on, directly or indirectly."""
    places: Mapping[str, str] = field(default_factory=dict)
    """The name of the provider that runs an instance."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """By node name: why no instance of the node can be created or reconfigured at present."""
    left: Left = Left()
    ordered: bool = False
    """True for an explicit order of a user: freeze, budget and back-off do not apply."""


def decide(situation: Situation) -> Plan:
    """Plan the next steps. Every instance gets one step; WAIT and KEEP leave it as it is."""
    sickbay = Sickbay(situation.records, situation.ailments, situation.dependees, situation.places)
    outage = Outage() if situation.ordered else sickbay.outage()
    steps: list[Step] = []
    by_node: dict[str, list[InstanceRecord]] = {name: [] for name in situation.targets}
    # The oldest instances stay: others may know their addresses.
    for record in sorted(situation.records, key=lambda record: (record.created_at, record.position)):
        by_node.setdefault(record.node_name, []).append(record)
    undescribed = "it is no longer described" if situation.targets else "the infrastructure is being destroyed"
    for name, present in by_node.items():
        if name in situation.targets:
            steps += _Node(situation, sickbay, outage, name, present).steps()
        else:
            steps += [Step(Verb.DESTROY, name, undescribed, record.node_id) for record in present]
    return Plan(tuple(steps), outage.reason, situation.left.nodes)


@dataclass(frozen=True, slots=True)
class _Node:
    situation: Situation
    sickbay: Sickbay
    outage: Outage
    name: str
    present: Sequence[InstanceRecord]

    def steps(self) -> Iterator[Step]:
        going = [record for record in self.present if record.stage is Stage.DROPPING or record.condemned]
        for record in going:
            why = "its deletion was begun" if record.stage is Stage.DROPPING else "it was chosen for removal"
            yield Step(Verb.DESTROY, self.name, why, record.node_id)
        staying = [record for record in self.present if record not in going]
        replaced, waiting = self._replacements(staying)
        excused = {one.node_id for one in staying if one.node_id in replaced and self._is_excused(one)}
        fit = [record for record in staying if record.node_id not in replaced]
        # If there are too many, unhealthy and outdated instances go first, then the youngest.
        fit.sort(key=lambda one: one.node_id in self.situation.ailments or one.node_id in self.situation.outdated)
        missing = max(0, self.target - len(fit))
        for number, (node_id, reason) in enumerate(replaced.items()):
            verb = Verb.REPLACE if number < missing else Verb.DESTROY
            yield Step(verb, self.name, reason, node_id, excused=node_id in excused)
        for record in fit[: self.target]:
            yield self._with_checks(waiting.get(record.node_id) or self._staying(record))
        for record in fit[self.target :]:
            yield Step(Verb.DESTROY, self.name, f"more than the {self.target} wanted", record.node_id)
        for _ in range(missing - len(replaced)):
            wanted = f"{self.target} wanted, {len(fit)} there"
            yield (
                self._left(self.situation.left.nodes, wanted) or self._stopped() or Step(Verb.CREATE, self.name, wanted)
            )

    @property
    def target(self) -> int:
        return self.situation.targets[self.name]

    def _replacements(self, staying: Sequence[InstanceRecord]) -> tuple[dict[str, str], dict[str, Step]]:
        """The reason for each replacement, and the step of each instance whose replacement is held back."""
        replaced: dict[str, str] = {}
        waiting: dict[str, Step] = {}
        budget = len(staying) if self.situation.ordered else max(1, int(self.target * HEAL_SHARE))
        making: Counter[str] = Counter() if self.situation.ordered else self._making(staying)
        for record in staying:
            reason = self._fault(record)
            if not reason:
                continue
            held = self._held(record, reason)
            full = len(replaced) + making[self._place(record)] >= budget
            if held is None and full and not self._is_begun_in_vain(record):
                text = f"{reason}; {budget} of {self.target} replaced at the same time"
                held = Step(Verb.WAIT, self.name, text, record.node_id, Hold.BUDGET)
            if held is None:
                replaced[record.node_id] = reason
            else:
                waiting[record.node_id] = held
        return replaced, waiting

    def _making(self, staying: Sequence[InstanceRecord]) -> Counter[str]:
        """The number of instances in creation at each provider: a slow provider does not hold up the others."""
        unready = [each for each in staying if each.stage is not Stage.READY and not self._fault(each)]
        return Counter(map(self._place, unready))

    def _place(self, record: InstanceRecord) -> str:
        return self.situation.places.get(record.node_id, record.connection)

    def _is_begun_in_vain(self, record: InstanceRecord) -> bool:
        """True for an unfinished instance that would not fit: no service is lost with it, and it has not failed."""
        return record.stage is not Stage.READY and record.node_id in self.situation.unfit

    def _fault(self, record: InstanceRecord) -> str:
        """Why the instance is to be replaced; empty if it is not."""
        unfit = self.situation.unfit.get(record.node_id, "")
        ailment = self.situation.ailments.get(record.node_id)
        fatal = ailment.reason if ailment is not None and ailment.fatal else ""
        return unfit or fatal or self.situation.outdated.get(record.node_id, "")

    def _is_excused(self, record: InstanceRecord) -> bool:
        """True if a node that the instance depends on is why it is replaced, or if it has not failed."""
        if self._is_begun_in_vain(record):
            return True
        if record.node_id in self.situation.ailments:
            return self.sickbay.follows_dependee(record)
        return record.node_id in self.situation.outdated

    def _held(self, record: InstanceRecord, reason: str) -> Step | None:
        """The WAIT step that holds back a replacement; None if it may begin."""
        leaving = self.situation.left
        left = self._left(leaving.settings if record.node_id in self.situation.unfit else leaving.nodes, reason, record)
        if left is not None:
            return left
        stopped = self._stopped(record.node_id)
        if stopped is not None and stopped.hold is Hold.DEFINITION:
            return stopped
        if record.node_id in self.outage.held or (self.outage.reason and record.node_id in self.situation.outdated):
            return Step(Verb.WAIT, self.name, f"{reason}; healing is frozen", record.node_id, Hold.FROZEN)
        ailment = self.situation.ailments.get(record.node_id)
        if ailment is not None and ailment.waits_for and not self.situation.ordered:
            return self._waiting(record, reason, ailment)
        return stopped

    def _waiting(self, record: InstanceRecord, reason: str, ailment: Ailment) -> Step:
        """The WAIT step of an instance that is ill while a node that it depends on is down."""
        text = f"{reason}; it needs '{ailment.waits_for}', which is down"
        return Step(Verb.WAIT, self.name, text, record.node_id, Hold.DEPENDENCY)

    def _stopped(self, node_id: str = "") -> Step | None:
        """The WAIT step for new instances of this node; None if one can be made."""
        situation = self.situation
        if self.name in situation.undefined:
            return self._undefined(node_id)
        pause = 0.0 if situation.ordered else setback_delay(situation.setbacks.get(self.name), situation.now)
        if not pause:
            return None
        text = f"node '{self.name}' keeps failing: tried again in {pause:.0f} s at the earliest"
        return Step(Verb.WAIT, self.name, text, node_id, Hold.BACK_OFF, situation.now + pause)

    def _staying(self, record: InstanceRecord) -> Step:
        ailment = self.situation.ailments.get(record.node_id)
        if record.stage is not Stage.READY:
            if self.name in self.situation.undefined:
                return self._undefined(record.node_id)
            text = f"its creation is under way ({record.stage.value})"
            left = self._left(self.situation.left.nodes, text, record)
            return left or Step(Verb.KEEP, self.name, text, record.node_id)
        if ailment is not None:
            ill = Step(Verb.WAIT, self.name, ailment.reason, record.node_id, Hold.ILLNESS, ailment.until)
            return self._waiting(record, ailment.reason, ailment) if ailment.waits_for else ill
        if record.node_id in self.situation.changed:
            if self.name in self.situation.undefined:
                return self._undefined(record.node_id)
            text = self.situation.changed[record.node_id]
            left = self._left(self.situation.left.settings, text, record)
            return left or Step(Verb.RECONFIGURE, self.name, text, record.node_id)
        return Step(Verb.KEEP, self.name, "", record.node_id)

    def _with_checks(self, step: Step) -> Step:
        """The step of an instance that stays. One that is ill or configured again is not proved by new checks.

        One that is left to maintenance keeps its former checks.
        """
        new = self.situation.checks.get(step.node_id)
        if new is None or step.hold is Hold.REPLACEMENT:
            return step
        proved = new and step.verb is Verb.KEEP
        return replace(step, reason=RECHECKED if proved else step.reason, rechecked=True, proved=proved)

    def _left(self, names: Collection[str], why: str, record: InstanceRecord | None = None) -> Step | None:
        """The WAIT step for what a replacement of other nodes leaves to maintenance; None if the node is not named."""
        if self.name not in names:
            return None
        node_id = record.node_id if record is not None else ""
        return Step(Verb.WAIT, self.name, f"{why}; it is left to maintenance", node_id, Hold.REPLACEMENT)

    def _undefined(self, node_id: str) -> Step:
        return Step(Verb.WAIT, self.name, self.situation.undefined[self.name], node_id, Hold.DEFINITION)
