"""Observes many quiet infrastructures together: no lease, no rows, one call for each connection.

An infrastructure stays quiet while its revision is unchanged, every instance is ready at its provider with the same
addresses, and every health check passes. Any other result needs a pass, which reads the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from occopus_core.api.health import Probe, Verdict
from occopus_core.api.resource import Address, Instance, InstanceId, InstanceState, ResourceHandler
from occopus_core.engine.instance.checks import HealthChecks
from occopus_core.engine.instance.observe import TICK_PATIENCE, Described, Observatory
from occopus_core.engine.kernel.clock import Clock
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection

Expected = tuple[InstanceId, tuple[Address, ...]]
"""An instance and its known addresses."""


@dataclass(frozen=True, slots=True)
class Known:
    """A quiet infrastructure, as a look has found it."""

    revision: int
    credentials: int
    """The credentials in use, as a number of `Connections.renewals`."""
    instances: Mapping[OpenConnection[ResourceHandler], Sequence[Expected]]
    probes: Mapping[str, Sequence[Probe]] = field(repr=False)
    """The probes for each health checker."""
    due_at: float | None = None
    """When something has to be done about its life time (seconds since 1970); None where it has no end."""


def is_as(expected: Expected, instance: Instance | None) -> bool:
    """True if the provider reports the instance as ready, with the same addresses."""
    if instance is None or instance.state is not InstanceState.READY:
        return False
    return not instance.addresses or instance.addresses == expected[1]


Found = Callable[[str, bool], None]
"""Called with the id of an infrastructure, and true if it is still quiet."""


class Tick:
    """One observation of many infrastructures. Calls `found` once for each, when its answers are complete.

    A call that hangs delays no other infrastructure: `expire` gives up calls after `TICK_PATIENCE` seconds.
    """

    def __init__(self, clock: Clock, observatory: Observatory, checks: HealthChecks, found: Found) -> None:
        self._clock = clock
        self._given_up_at = clock.monotonic() + TICK_PATIENCE
        self._observatory = observatory
        self._checks = checks
        self._found = found
        self._known: dict[str, Known] = {}
        self._unanswered: dict[str, int] = {}
        """By id: the number of unanswered calls."""

    def begin(self, known: Mapping[str, Known]) -> None:
        """Start the calls for these infrastructures."""
        self._known.update(known)
        asked: dict[OpenConnection[ResourceHandler], list[tuple[str, Sequence[Expected]]]] = {}
        for infra_id, each in known.items():
            self._unanswered[infra_id] = len(each.instances)
            for link, instances in each.instances.items():
                asked.setdefault(link, []).append((infra_id, instances))
        for infra_id in [infra_id for infra_id, questions in self._unanswered.items() if not questions]:
            self._check([infra_id])  # it has no instances
        for link, of_link in asked.items():
            self._ask(link, of_link)

    def _ask(self, link: OpenConnection[ResourceHandler], asked: Sequence[tuple[str, Sequence[Expected]]]) -> None:
        ids = [id for _, instances in asked for id, _ in instances]
        self._observatory.ask(link, ids, lambda outcome: self._described(asked, outcome))

    def _described(self, asked: Sequence[tuple[str, Sequence[Expected]]], outcome: Described) -> None:
        answer = {id: one.value for id, one in (outcome.value or {}).items()}
        seen: list[str] = []
        for infra_id, instances in asked:
            if not all(is_as(expected, answer.get(expected[0])) for expected in instances):
                self._end(infra_id, quiet=False)
            elif infra_id in self._unanswered:
                self._unanswered[infra_id] -= 1
                if not self._unanswered[infra_id]:
                    seen.append(infra_id)
        self._check(seen)

    def _check(self, infra_ids: Iterable[str]) -> None:
        """Providers have answered for these: check their health."""
        by_key: dict[str, list[tuple[str, Probe]]] = {}
        for infra_id in infra_ids:
            probes = self._known[infra_id].probes
            if not probes:
                self._end(infra_id, quiet=True)
                continue
            self._unanswered[infra_id] = len(probes)
            for key, ones in probes.items():
                by_key.setdefault(key, []).extend((infra_id, probe) for probe in ones)
        for key, asked in by_key.items():
            owners = [infra_id for infra_id, _ in asked]
            self._checks.ask(key, [probe for _, probe in asked], lambda found, of=owners: self._checked(of, found))  # type: ignore[misc]

    def _checked(self, owners: Sequence[str], verdicts: Sequence[Outcome[Verdict]]) -> None:
        pairs = zip(owners, verdicts, strict=True)
        ill = {infra_id for infra_id, outcome in pairs if outcome.value is None or not outcome.value.healthy}
        for infra_id in dict.fromkeys(owners):
            if infra_id in ill:
                self._end(infra_id, quiet=False)
            elif infra_id in self._unanswered:
                self._unanswered[infra_id] -= 1
                if not self._unanswered[infra_id]:
                    self._end(infra_id, quiet=True)

    def expire(self) -> bool:
        """True when the observation is over. Infrastructures without an answer in time are not quiet."""
        if self._clock.monotonic() < self._given_up_at:
            return not self._unanswered
        for infra_id in list(self._unanswered):
            self._end(infra_id, quiet=False)
        return True

    def _end(self, infra_id: str, *, quiet: bool) -> None:
        if self._unanswered.pop(infra_id, None) is not None:
            del self._known[infra_id]
            self._found(infra_id, quiet)
