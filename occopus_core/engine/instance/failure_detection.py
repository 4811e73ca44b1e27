"""Decides when an instance counts as failed, from its provider's answer, its health checks and the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.errors import ProviderError
from occopus_core.api.health import Verdict
from occopus_core.api.resource import Instance, InstanceState
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.applicable import Applicable, Surroundings
from occopus_core.engine.instance.checks import CheckTarget
from occopus_core.engine.instance.observe import Observed
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.clock import Clock
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps
from occopus_core.engine.planning.backoff import PROVING_SECONDS
from occopus_core.engine.planning.dependees import Support, support
from occopus_core.engine.planning.outage import Ailment, Source
from occopus_core.engine.planning.plan import LOST
from occopus_core.engine.planning.preparation import Subject
from occopus_core.events import EventKind
from occopus_core.registry import PluginError
from occopus_core.render import TemplateError
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import Condition, InstanceRecord, Stage

_STARTING = frozenset({Stage.BOOTING, Stage.CONFIGURING})
"""Stages of an instance that its provider should know but that is not ready yet."""


_COMING_UP = frozenset({InstanceState.PROVISIONING, InstanceState.PENDING})
"""States of an instance that is on its way to READY."""


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class Notes:
    """Receives the results of a diagnosis. The default ignores them: a preview changes nothing."""

    put: Callable[[InstanceRecord], None] = _ignore
    """Receives a changed row."""
    emit: Callable[[EventKind, Work, str], None] = _ignore
    """Receives an event of an instance."""
    configure: Callable[[ConfigurationRecord], None] = _ignore
    """Receives a changed configuration record of an instance."""


def notes_of(runtime: Runtime) -> Notes:
    """Notes that a pass records and reports."""
    return Notes(runtime.journal.put, runtime.emit, runtime.journal.configure)


def with_new_checks(record: InstanceRecord, now: float) -> InstanceRecord:
    """The row of an instance with other health checks: one that is ill counts as ill since `now`, not since before.

    One that is well has been well for as long as before: instances that depend on it count on that.
    """
    if record.unhealthy_since is None:
        return dataclasses.replace(record, ill_seconds=0.0)
    return dataclasses.replace(record, condition=Condition.AILING, unhealthy_since=now, well_since=now, ill_seconds=0.0)


class Diagnosis:
    """Finds the instances that are not well, from the providers' answers in `observed`.

    Each is judged by the description that applies to it. `pause` is the time in seconds since the last observation.
    """

    def __init__(
        self,
        applicable: Applicable,
        clock: Clock,
        works: Sequence[Work],
        observed: Observed,
        pause: float,
        notes: Notes,
    ) -> None:
        self._applicable = applicable
        self._clock = clock
        self._surroundings = Surroundings(applicable, works)
        # What goes may have been made for a description that is not in force any more.
        staying = (work for work in works if not (work.dropping or work.record.condemned))
        self._ready = [work for work in staying if work.stage is Stage.READY]
        self._ready_of: dict[bool, Mapping[str, Sequence[Work]]] = {}
        self._starting = [work for work in works if work.stage in _STARTING]
        self._seen, self._hidden = observed.seen, observed.hidden
        self._pause = pause
        self._notes = notes
        self._unfit: dict[str, str] = {}
        self._needed: Mapping[str, Sequence[str]] = {}
        self._found: dict[str, Ailment] = {}
        self._supports: dict[tuple[str, bool], Support] = {}
        """By node name, and whether a build under way has made the instances."""

    def targets(self, loop: Loop) -> Steps[list[CheckTarget]]:
        """The instances to check: those that run, as far as their providers can see."""
        checked: list[tuple[Work, Subject]] = []
        for work in self._ready:
            self._take_addresses(work)
            if work.implementation.health_check.checks and not self._is_down(work):
                checked.append((work, self._surroundings.of(work).subject(work)))
        slow = [pair for pair in checked if pair[0].implementation.config_management is not None]
        quick = [pair for pair in checked if pair[0].implementation.config_management is None]
        values = {work.node_id: self._values(work, subject) for work, subject in quick}
        if slow:  # their sections may hold any template
            values |= yield from loop.in_pool(
                lambda: {work.node_id: self._values(work, subject) for work, subject in slow}
            )
        return [
            CheckTarget(work.node_id, work.record.address, found)
            for work, _ in checked
            if (found := values[work.node_id])
        ]

    def _values(self, work: Work, subject: Subject) -> dict[str, Any]:
        """The rendered value for each health checker; empty if they cannot be rendered. May run in the pool."""
        try:
            return self._applicable.scope(work).health_values(subject, work.record.address)
        except (TemplateError, ProviderError, PluginError, DescriptionError) as error:
            self._unfit[work.node_id] = str(error)
            return {}

    def is_any_ill(self, examined: Mapping[str, Outcome[Verdict]]) -> bool:
        """True if an instance is not well, or was not well when it was last observed."""
        return any(map(self._lost, self._starting)) or any(
            work.record.unhealthy_since is not None or self._is_down(work) or _fails(examined.get(work.node_id))
            for work in self._ready
        )

    def ailments(
        self, examined: Mapping[str, Outcome[Verdict]], needed: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Ailment]:
        """The problems found, by node id. Changed rows and events go to the notes.

        `needed` has by node id all nodes that it depends on. It is used only if `is_any_ill`. The time in which one of
        them has no healthy instance does not count for the `timeout` of the instance.
        """
        self._needed = needed
        for work in self._ready:
            self._note(work, **_not_after(self._clock.now(), work.record))
        for work in sorted(self._ready, key=lambda work: len(needed.get(work.node_id, ()))):  # dependees first
            self._add(work, self._ailment(work, examined.get(work.node_id)))
        for work in self._starting:
            self._add(work, self._lost(work))
        return self._found

    def _add(self, work: Work, ailment: Ailment | None) -> None:
        if ailment is not None:
            waits_for = self._support(work).down if ailment.source is Source.CHECK else ""
            self._found[work.node_id] = dataclasses.replace(ailment, waits_for=waits_for)

    def _support(self, work: Work) -> Support:
        """The state of the nodes that it depends on."""
        key = (work.node_name, work.record.provisional)
        if key not in self._supports:
            around = self._ready_around(work)
            self._supports[key] = support(
                self._needed.get(work.node_id, ()), lambda name: [each.record for each in around.get(name, ())]
            )
        return self._supports[key]

    def _ready_around(self, work: Work) -> Mapping[str, Sequence[Work]]:
        """By node name: the ready instances among those that the instance sees."""
        made = work.record.provisional
        if made not in self._ready_of:
            found: dict[str, list[Work]] = {}
            for each in self._surroundings.of(work).works.all():
                if each.stage is Stage.READY and not each.dropping:
                    found.setdefault(each.node_name, []).append(each)
            self._ready_of[made] = found
        return self._ready_of[made]

    def _lost(self, work: Work) -> Ailment | None:
        """The problem of an instance that never became ready."""
        instance = self._instance(work)
        if instance is None or instance.state not in LOST:
            return None
        return Ailment(instance.reason or LOST[instance.state], fatal=True, source=_source(instance))

    def _ailment(self, work: Work, examined: Outcome[Verdict] | None) -> Ailment | None:
        instance = self._instance(work)
        if instance is not None and instance.state in {*LOST, InstanceState.DELETING}:
            reason = instance.reason or LOST.get(instance.state, "it is being deleted")
            self._ill(work, reason, fatal=True)
            return Ailment(reason, fatal=True, source=_source(instance))
        if instance is not None and instance.state is not InstanceState.READY:
            ailment = self._ailing(work, f"the provider reports it as {instance.state.value}")
            # After its whole time limit it will not come up, even if others are in the same state.
            stuck = ailment.fatal and instance.state in _COMING_UP
            return dataclasses.replace(ailment, source=Source.PROVIDER) if stuck else ailment
        verdict = examined.value if examined is not None else None
        if verdict is not None and not verdict.healthy:
            return self._vanished(work) if work.node_id in self._hidden else self._ailing(work, verdict.reason)
        if examined is not None and examined.error is not None:
            return self._unknown(work, str(examined.error))
        if verdict is None and (instance is None or work.node_id in self._unfit):
            return self._unknown(work, self._unfit.get(work.node_id) or self._unasked(work))
        self._well(work)
        return None

    def _unasked(self, work: Work) -> str:
        """Why there is no answer of its provider, if known."""
        outcome = self._seen.get(work.node_id)
        return "" if outcome is None or outcome.error is None else str(outcome.error)

    def _instance(self, work: Work) -> Instance | None:
        """Its provider's answer; None without one."""
        outcome = self._seen.get(work.node_id)
        return outcome.value if outcome is not None else None

    def _is_down(self, work: Work) -> bool:
        instance = self._instance(work)
        return instance is not None and instance.state is not InstanceState.READY

    def _take_addresses(self, work: Work) -> None:
        """Update its addresses: a restart may have changed them."""
        instance = self._instance(work)
        if instance is not None and instance.addresses:
            self._note(work, addresses=instance.addresses)

    def _vanished(self, work: Work) -> Ailment:
        """Neither its provider nor a health check finds it; it is so young that the provider may not show it yet."""
        reason = LOST[InstanceState.ABSENT]
        self._ill(work, reason, fatal=True)
        return Ailment(reason, fatal=False)

    def _ailing(self, work: Work, reason: str) -> Ailment:
        since, now, needs = work.record.unhealthy_since, self._clock.now(), self._support(work)
        lasts = 0.0 if since is None else now - since
        counted = lasts if since is None else min(lasts, now - needs.since)
        timeout = work.implementation.health_check.timeout
        fatal = counted > timeout and not needs.down
        self._ill(work, reason, fatal=fatal)
        if needs.down:
            return Ailment(f"for {lasts:.0f} s: {reason}", fatal=False)
        later = f", {counted:.0f} s of them since '{needs.recovered}' is healthy" if counted < lasts else ""
        began = now if work.record.unhealthy_since is None else max(work.record.unhealthy_since, needs.since)
        return Ailment(f"for {lasts:.0f} s{later} (limit {timeout:g} s): {reason}", fatal, until=began + timeout)

    def _ill(self, work: Work, reason: str, *, fatal: bool) -> None:
        first = work.record.unhealthy_since is None
        since = self._clock.now() - self._ill_before(work) if first else work.record.unhealthy_since
        condition = Condition.FAILED if fatal else Condition.AILING
        self._note(work, condition=condition, unhealthy_since=since, reason=reason)
        if first:
            self._notes.emit(EventKind.NODE_UNHEALTHY, work, reason)

    def _ill_before(self, work: Work) -> float:
        """Seconds for which it was ill before a short recovery, which does not set the clock back."""
        recovered = work.record.well_since
        proven = recovered is None or self._clock.now() - recovered >= PROVING_SECONDS
        return 0.0 if proven else work.record.ill_seconds

    def _well(self, work: Work) -> None:
        since, now = work.record.unhealthy_since, self._clock.now()
        recovered = {} if since is None else {"well_since": now, "ill_seconds": self._ill_seconds(work, since)}
        self._note(work, condition=Condition.WELL, unhealthy_since=None, reason="", **recovered)
        if recovered:
            self._notes.emit(EventKind.NODE_RECOVERED, work, "")

    def _ill_seconds(self, work: Work, since: float) -> float:
        """Seconds for which it was ill while all nodes that it depends on were healthy."""
        needs = self._support(work)
        return 0.0 if needs.down else max(0.0, self._clock.now() - max(since, needs.since))

    def _unknown(self, work: Work, reason: str) -> Ailment | None:
        """Health unknown: keep the last state, and do not count the time without an observation."""
        since = work.record.unhealthy_since
        if since is not None:
            later = min(since + self._pause, self._clock.now())
            self._note(work, unhealthy_since=later, well_since=later)  # it was not well until then
            return Ailment(work.record.reason, fatal=False)
        if reason:
            self._note(work, condition=Condition.UNKNOWN, reason=reason)
        return None

    def _note(self, work: Work, **changes: Any) -> None:
        if any(getattr(work.record, name) != value for name, value in changes.items()):
            work.record = dataclasses.replace(work.record, **changes)
            self._notes.put(work.record)


def _not_after(now: float, record: InstanceRecord) -> dict[str, float]:
    """The moments of a row that are later than `now`, because the system time was set back: each is `now`."""
    moments = {name: getattr(record, name) for name in ("since", "well_since", "unhealthy_since")}
    return {name: now for name, moment in moments.items() if moment is not None and moment > now}


def _fails(examined: Outcome[Verdict] | None) -> bool:
    return examined is not None and examined.value is not None and not examined.value.healthy


def _source(instance: Instance) -> Source:
    """The kind of evidence in a provider's answer that an instance is lost."""
    return Source.MISSING if instance.is_missing else Source.PROVIDER
