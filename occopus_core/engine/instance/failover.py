"""Chooses the implementation of an instance, and another one where a provider has declined to make it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.reservation import alternatives, reserve
from occopus_core.engine.instance.runtime import PassedOver, Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.events import EventKind

PASS_OVER_SECONDS = 300.0
"""How long an implementation is passed over after its provider had no room or could not be reached."""


class Failover:
    """The implementations of the instances of one infrastructure. `blueprint` returns that of a node."""

    def __init__(self, runtime: Runtime, blueprint: Callable[[str], Blueprint]) -> None:
        self._runtime = runtime
        self._blueprint = blueprint

    def find_alternatives(self, work: Work) -> None:
        """Find the implementations to be tried after its own."""
        work.alternatives = alternatives(self._runtime, self._blueprint(work.node_name), work.implementation)

    def choose(self, work: Work) -> None:
        """Prefer implementations that have not declined recently."""
        while work.alternatives and (reason := self._declined_lately(work.implementation)):
            declined = work.implementation.label
            self._take_next(work)
            text = f"{declined} is passed over ({reason}): trying {work.implementation.label}"
            self._runtime.emit(EventKind.NODE_MOVED, work, text)

    def pass_over(self, implementation: Implementation, error: Exception) -> None:
        """Its provider has declined: prefer others for `PASS_OVER_SECONDS`, in all infrastructures of this process."""
        until = self._runtime.clock.monotonic() + PASS_OVER_SECONDS
        self._runtime.experience.passed_over[implementation.digest] = PassedOver(until, str(error))

    def move(self, work: Work, *, in_build: bool) -> None:
        """Reserve the instance again, with the next implementation. What the first may have made is not its concern.

        A build that fails undoes what it has reserved: the implementation may be one of its own description.
        """
        before = work.record
        provisional = before.provisional or in_build
        blueprint = self._blueprint(work.node_name)
        fresh = reserve(self._runtime, blueprint, work.implementation, before.position, provisional=provisional)
        work.record, work.link, work.prepared, work.last_called, work.configuration = fresh, None, None, 0.0, None
        work.clock = None
        self._take_next(work)
        self.choose(work)
        self._runtime.journal.add(work.record, work.implementation)

    def _declined_lately(self, implementation: Implementation) -> str:
        """Why the implementation was declined recently; empty if it was not."""
        known = self._runtime.experience.passed_over.get(implementation.digest)
        return known.reason if known is not None and known.until > self._runtime.clock.monotonic() else ""

    def _take_next(self, work: Work) -> None:
        work.implementation = work.alternatives.popleft()
        work.record = dataclasses.replace(
            work.record,
            implementation=work.implementation.digest,
            fingerprint=self._blueprint(work.node_name).fingerprints[work.implementation.digest],
        )
