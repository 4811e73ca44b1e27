"""How the instances of an infrastructure fare, from what their providers and their health checks say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.health import Verdict
from occopus_core.api.resource import Address, Instance, InstanceState
from occopus_core.descriptions.model import Infrastructure, NodeDescription
from occopus_core.engine.instance.checks import CheckTarget
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.healing import Ailment
from occopus_core.engine.planning.plan import LOST
from occopus_core.engine.planning.preparation import Subject
from occopus_core.events import EventKind
from occopus_core.render import TemplateError, functions
from occopus_core.store.records import Condition, Stage


@dataclass(frozen=True, slots=True)
class _Everyone:
    """All instances, as the templates of health checks may ask for them."""

    works: Sequence[Work]

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """See `occopus_core.render.Peers`."""
        return [work.record.addresses for work in self.works if work.node_name == node_name]


class Diagnosis:
    """The instances that should be well. `seen` is what the providers say, by node id.

    `pause` is in seconds: for so long nobody has looked at them.
    """

    def __init__(
        self,
        runtime: Runtime,
        description: Infrastructure,
        works: Sequence[Work],
        seen: Mapping[str, Outcome[Instance]],
        pause: float,
    ) -> None:
        self._runtime = runtime
        self._nodes = {node.name: node for node in description.nodes}
        self._works = works
        self._ready = [work for work in works if work.stage is Stage.READY]
        self._seen = seen
        self._pause = pause
        self._unfit: dict[str, str] = {}

    def targets(self) -> list[CheckTarget]:
        """What is to be checked: instances that run, as far as their providers can see."""
        everyone = functions(_Everyone(self._works))
        targets = []
        for work in self._ready:
            self._take_addresses(work)
            if not work.implementation.health_check.checks or self._is_down(work):
                continue
            node = self._nodes.get(work.node_name, NodeDescription(work.node_name, ""))
            subject = Subject(node, work.node_id, work.record.token, work.implementation, everyone)
            try:
                checks = self._runtime.scope.health_values(subject, work.record.address)
            except TemplateError as error:
                self._unfit[work.node_id] = str(error)
                continue
            if checks:
                targets.append(CheckTarget(work.node_id, work.record.address, checks))
        return targets

    def ailments(self, examined: Mapping[str, Outcome[Verdict]]) -> Mapping[str, Ailment]:
        """What is wrong, by node id; it is recorded as well, and what has changed is told."""
        ailments = {}
        for work in self._ready:
            ailment = self._ailment(work, examined.get(work.node_id))
            if ailment is not None:
                ailments[work.node_id] = ailment
        return ailments

    def _ailment(self, work: Work, examined: Outcome[Verdict] | None) -> Ailment | None:
        instance = self._instance(work)
        if instance is not None and instance.state in {*LOST, InstanceState.DELETING}:
            reason = instance.reason or LOST.get(instance.state, "it is being deleted")
            self._ill(work, reason, fatal=True)
            return Ailment(reason, True)
        if instance is not None and instance.state is not InstanceState.READY:
            return self._ailing(work, f"the provider reports it as {instance.state.value}")
        verdict = examined.value if examined is not None else None
        if verdict is not None and not verdict.healthy:
            return self._ailing(work, verdict.reason) if work.node_id in self._seen else self._vanished(work)
        if examined is not None and examined.error is not None:
            return self._unknown(work, str(examined.error))
        if verdict is None and (instance is None or work.node_id in self._unfit):
            return self._unknown(work, self._unfit.get(work.node_id) or self._unasked(work))
        self._well(work)
        return None

    def _unasked(self, work: Work) -> str:
        """Why its provider says nothing, where that is known."""
        outcome = self._seen.get(work.node_id)
        return "" if outcome is None or outcome.error is None else str(outcome.error)

    def _instance(self, work: Work) -> Instance | None:
        """What its provider says, None where it says nothing."""
        outcome = self._seen.get(work.node_id)
        return outcome.value if outcome is not None else None

    def _is_down(self, work: Work) -> bool:
        instance = self._instance(work)
        return instance is not None and instance.state is not InstanceState.READY

    def _take_addresses(self, work: Work) -> None:
        """An instance that was restarted may have others."""
        instance = self._instance(work)
        if instance is not None and instance.addresses:
            self._note(work, addresses=instance.addresses)

    def _vanished(self, work: Work) -> Ailment:
        """Neither its provider nor a health check finds it. It is so young that its provider may not show it yet."""
        reason = LOST[InstanceState.ABSENT]
        self._ill(work, reason, fatal=True)
        return Ailment(reason, fatal=False)

    def _ailing(self, work: Work, reason: str) -> Ailment:
        since = work.record.unhealthy_since
        lasts = 0.0 if since is None else self._runtime.clock.now() - since
        timeout = work.implementation.health_check.timeout
        self._ill(work, reason, fatal=lasts > timeout)
        return Ailment(f"for {lasts:.0f} s (limit {timeout:g} s): {reason}", lasts > timeout)

    def _ill(self, work: Work, reason: str, *, fatal: bool) -> None:
        first = work.record.unhealthy_since is None
        since = self._runtime.clock.now() if first else work.record.unhealthy_since
        condition = Condition.FAILED if fatal else Condition.AILING
        self._note(work, condition=condition, unhealthy_since=since, reason=reason)
        if first:
            self._runtime.emit(EventKind.NODE_UNHEALTHY, work, reason)

    def _well(self, work: Work) -> None:
        ill = work.record.unhealthy_since is not None
        self._note(work, condition=Condition.WELL, unhealthy_since=None, reason="")
        if ill:
            self._runtime.emit(EventKind.NODE_RECOVERED, work)

    def _unknown(self, work: Work, reason: str) -> Ailment | None:
        """Nobody can say. What was wrong before counts as wrong still, and no longer than it was seen to last."""
        since = work.record.unhealthy_since
        if since is not None:
            self._note(work, unhealthy_since=min(since + self._pause, self._runtime.clock.now()))
            return Ailment(work.record.reason, fatal=False)
        if reason:
            self._note(work, condition=Condition.UNKNOWN, reason=reason)
        return None

    def _note(self, work: Work, **changes: Any) -> None:
        if any(getattr(work.record, name) != value for name, value in changes.items()):
            work.record = dataclasses.replace(work.record, **changes)
            self._runtime.journal.put(work.record)
