"""Proves ready instances that a build keeps by their new health checks. Their rows stay as they are."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.instance.lifecycle import Lifecycle, phase_of
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.proving import Proving
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Proof, Work
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.dependees import closure
from occopus_core.events import EventKind


def independent(kept: Iterable[Work], made: Iterable[Work], graph: Graph) -> list[Work]:
    """Those of the instances `kept` that can be proved before others are `made`: they depend on no nodes of these."""
    needed, names = closure(graph), {work.node_name for work in made}
    return [work for work in kept if names.isdisjoint(needed.get(work.node_name, ()))]


class Recheck:
    """The kept instances that a build has to prove. `done` gets each one that passes, `unproven` a message."""

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        neighbours: Neighbours,
        done: Callable[[Work], None],
        unproven: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._neighbours = neighbours
        self._done = done
        self._unproven = unproven
        self._proving = Proving(runtime, lifecycle, self._passed, self.failed)
        self._works: set[Work] = set()

    def expect(self, works: Iterable[Work]) -> None:
        """These have to be proved, each with the implementation that it has from now on."""
        self._works.update(works)

    def __contains__(self, work: Work) -> bool:
        """True for an instance that has to be proved."""
        return work in self._works

    def stop(self) -> None:
        """Prove no more: the build is undone."""
        for work in [*self._works]:
            self._end(work)

    def begin(self, work: Work) -> None:
        """Run the new health checks of an instance."""
        subject, scope = self._neighbours.subject(work), self._runtime.scope
        render = functools.partial(scope.health_values, subject, work.record.address)
        self._runtime.rendering.submit(render, functools.partial(self._rendered, work))

    def failed(self, work: Work, why: str) -> None:
        """An instance does not pass its new health checks, or its time limit has passed."""
        if work not in self._works:
            return
        checks = ", ".join(sorted(work.proof.failing or work.proof.awaited))
        place = f" {work.record.address}" if work.record.address else ""
        text = f"the running instance{place} is {why}" + (f" (health_check: {checks})" if checks else "")
        if not work.record.provisional:
            text = f"{text}; it is kept, and the former description with its health checks stays in force"
        self._end(work)
        self._unproven(f"node '{work.node_name}' ({work.implementation.label}): {text}")

    def _rendered(self, work: Work, outcome: Outcome[Mapping[str, Any]]) -> None:
        if work not in self._works or work.dropping:
            return
        if outcome.error is not None:
            self.failed(work, f"without a usable health check: {reason(outcome.error)}")
            return
        self._lifecycle.enter(work, Phase.RECHECKING)
        self._runtime.emit(EventKind.NODE_RECHECKING, work, ", ".join(sorted(outcome.get())))
        work.restart_watch(self._runtime.clock.monotonic())
        work.waiting_for = ""
        work.proof = Proof(outcome.get(), reported_at=math.inf)  # the build has just asked its provider
        self._proving.begin(work)

    def _passed(self, work: Work) -> None:
        self._end(work)
        self._runtime.emit(EventKind.NODE_RECHECKED, work)
        self._done(work)

    def _end(self, work: Work) -> None:
        self._works.discard(work)
        if phase_of(work) is Phase.RECHECKING:
            self._lifecycle.enter(work, Phase.READY)
