"""Proves that an instance is ready: its checks and its provider agree, for as long as its definition asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from occopus_core.api.health import Probe, Verdict
from occopus_core.engine.instance.checks import answered_verdicts, verdicts_of
from occopus_core.engine.instance.lifecycle import Lifecycle, overdue, phase_of
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Proof, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.registry import PluginError

CHECK_SECONDS = (0.1, 5.0)
"""Bounds of the seconds between two health checks of a node that is not ready yet."""

FRESH_SECONDS = 5.0
"""Seconds for which a check that has passed counts; then it has to pass again."""


_PHASES = frozenset({Phase.CHECKING, Phase.RECHECKING})
"""The phases in which health checks run here."""


class Proving:
    """Runs the health checks of instances until everything holds at once, for `min_ready_seconds`.

    A check that fails, or a provider that reports another state than READY, begins these seconds again. The time limit
    of the phase goes on meanwhile, so an instance that is ready again and again, but never long enough, fails.
    """

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        proven: Callable[[Work], None],
        failed: Callable[[Work, str], None],
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._proven = proven
        self._failed = failed
        self._checking: dict[str, Batch[Work, Sequence[Verdict]]] = {}

    def running(self, work: Work, checks: Mapping[str, Any]) -> bool:
        """The provider reports the instance as READY for the first time. Returns true if there is nothing to prove.

        `checks` has the value for each health checker.
        """
        work.proof = Proof(checks, reported_at=self._now())
        return not checks and not work.implementation.health_check.min_ready_seconds

    def begin(self, work: Work) -> None:
        """Run the health checks."""
        for key in work.proof.checks:
            self._ask(work, key, self._runtime.next_look(work, CHECK_SECONDS))
        self._judge(work)

    def reported(self, work: Work) -> None:
        """The provider reports the instance as READY."""
        work.proof.is_down, work.proof.reported_at = False, self._now()
        self._judge(work)

    def relapsed(self, work: Work, reason: str) -> bool:
        """The provider reports another state. Returns true if the instance has failed because its time is over."""
        work.proof.is_down, work.proof.held_since = True, None
        if phase_of(work) is Phase.CHECKING:
            return self.given_up(work, reason)
        self._runtime.waiting(work, reason)
        return False

    def seconds_left(self, work: Work) -> float:
        """Seconds until it is proven, if everything holds until then; infinite if something does not hold."""
        since = work.proof.held_since
        if since is None:
            return float("inf")
        return max(0.0, since + work.implementation.health_check.min_ready_seconds - self._now())

    def given_up(self, work: Work, reason: str) -> bool:
        """Let the instance fail if its time is over; otherwise emit what it waits for. Returns true if it failed."""
        if self._lifecycle.over(work):
            self._failed(work, overdue(work, reason))
            return True
        self._runtime.waiting(work, reason)
        return False

    def _now(self) -> float:
        return self._runtime.clock.monotonic()

    def _judge(self, work: Work) -> None:
        """Decide whether the instance is proven, and what has to be asked again for that."""
        proof, now = work.proof, self._now()
        if proof.awaited or proof.is_down or not _is_proved(work):
            return
        stale = [key for key, moment in proof.passed_at.items() if now - moment >= FRESH_SECONDS]
        for key in stale:
            self._ask(work, key, 0.0)
        if not stale and self._is_held(work):
            self._proven(work)

    def _is_held(self, work: Work) -> bool:
        """Whether everything that holds now has held for long enough; otherwise look again later."""
        wanted = work.implementation.health_check.min_ready_seconds
        proof, now = work.proof, self._now()
        if not wanted:
            return True
        if proof.held_since is None:
            must = f"it must stay ready for {wanted:g} s (min_ready_seconds)"
            if self._lifecycle.left(work) < wanted:
                self._failed(work, overdue(work, must))
                return False
            proof.held_since = now
            self._runtime.waiting(work, must)
        end = proof.held_since + wanted
        if now >= end and proof.reported_at >= end:
            return True
        self._judge_later(work, min(FRESH_SECONDS, end - now) if now < end else FRESH_SECONDS)
        return False

    def _judge_later(self, work: Work, seconds: float) -> None:
        proof = work.proof
        if proof.is_timed:
            return
        proof.is_timed = True

        def due() -> None:
            proof.is_timed = False
            if work.proof is proof:
                self._judge(work)

        self._runtime.loop.after(seconds, due)

    # Health checks

    def _ask(self, work: Work, key: str, delay: float) -> None:
        work.proof.awaited.add(key)
        if key not in self._checking:
            try:
                checker = self._runtime.scope.connections.checker(key)
            except PluginError as error:
                self._failed(work, str(error))
                return
            self._checking[key] = Batch(
                self._runtime.loop,
                CHECK_SECONDS[0],
                _is_proved,
                self._runtime.loop.submit,
                lambda works: answered_verdicts(checker, [self._probe(work, key) for work in works]),
                lambda works, outcome: self._checked(key, works, outcome),
                self._lifecycle.queue,
            )
        self._checking[key].add(work, delay)

    def _probe(self, work: Work, key: str) -> Probe:
        value = work.proof.checks[key]
        connections = self._runtime.scope.connections
        auth = connections.check_auth(key, value)
        return Probe(work.node_id, work.record.address, value, auth=auth, host_keys=connections.host_keys)

    def _checked(self, key: str, works: Sequence[Work], outcome: Outcome[Sequence[Verdict]]) -> None:
        for work, verdict in zip(works, verdicts_of(key, len(works), outcome), strict=True):
            if not _is_proved(work):
                continue
            if verdict.healthy:
                work.proof.awaited.discard(key)
                work.proof.failing.pop(key, None)
                work.proof.passed_at[key] = self._now()
                self._judge(work)
            else:
                work.proof.held_since = None
                work.proof.failing[key] = verdict.reason
                if not self.given_up(work, _illness(work)):
                    self._ask(work, key, self._runtime.next_look(work, CHECK_SECONDS))


def _is_proved(work: Work) -> bool:
    return phase_of(work) in _PHASES and not work.dropping


def _illness(work: Work) -> str:
    """Why the instance is not ready: the reasons of all failing checks, in the order of the checks, and the remark."""
    proof = work.proof
    reasons = [proof.failing[key] for key in proof.checks if key in proof.failing]
    return "; ".join(dict.fromkeys(filter(None, [*reasons, work.remark])))
