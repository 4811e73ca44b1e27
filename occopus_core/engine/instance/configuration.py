"""Configures instances through their configuration managers: registers them, queues, watches and cancels jobs.

A wrong answer or a call that hangs affects only its own instance.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.config import ConfigManager, ConfigNode, ConfigState, ConfigStatus, Peer
from occopus_core.api.errors import TransientError
from occopus_core.engine.instance.configuration_record import note, note_status, unexplained
from occopus_core.engine.instance.lifecycle import Lifecycle, overdue
from occopus_core.engine.instance.neighbours import recorded_node
from occopus_core.engine.instance.output import job_output, with_output, without_output
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.config_managers import Call, ManagerConnection, Statuses
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import backoff, poll_interval
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.events import IN_TURN
from occopus_core.store.records import Stage

REPEAT_SECONDS = 30.0
"""How often `configure` is called again for a node that the manager reports as idle."""

CANCEL_SECONDS = 5.0
"""How long the next step waits for the cancellation of jobs when their manager cannot be reached."""

CANCEL_TRIES = 4

_MAY_WAIT = frozenset({ConfigState.READY, ConfigState.RUNNING, ConfigState.QUEUED})
"""The states that `QUEUED` may replace. The reason of a failed configuration stays recorded."""

Done = Callable[[Work, str], None]
"""Gets the instance and the reason why it could not be configured; the reason is empty after success."""


@dataclass(slots=True, eq=False)
class _Job:
    """One instance being configured."""

    work: Work
    link: ManagerConnection
    node: ConfigNode
    done: Done
    register: bool = False
    queued: bool = False
    """True while the job waits in a queue, of this process or of its manager."""
    queued_at: float = 0.0
    """When (monotonic) its manager last answered that the job is queued."""
    begun: Callable[[], None] = lambda: None
    """Called when the job starts."""
    begun_at: float = 0.0
    """When (monotonic) the job started."""
    asked_at: float = 0.0
    """When `configure` was last called."""
    failures: int = 0
    over: bool = False


class Configuring:
    """The jobs of one pass. `peers` returns all running instances."""

    def __init__(self, runtime: Runtime, lifecycle: Lifecycle, peers: Callable[[], tuple[Peer, ...]]) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._peers = peers
        self._jobs: dict[Work, _Job] = {}
        self._refreshing: set[ManagerConnection] = set()
        self._asking: dict[ManagerConnection, Batch[_Job, Statuses]] = {}
        self._halted = False

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._halted = True
        self.end(list(self._jobs))

    @property
    def halted(self) -> bool:
        """True after `halt`."""
        return self._halted

    def begin(
        self, work: Work, link: ManagerConnection, node: ConfigNode, done: Done, *, register: bool = False
    ) -> None:
        """Configure a running instance as soon as its manager has a free slot. Its time limit starts with the job.

        With `register`, the job registers the instance first.
        """
        if self._halted:
            return
        job = _Job(work, link, node, done, register)
        self._jobs[work] = job
        if work.stage is Stage.READY:
            self._lifecycle.enter(work, Phase.RECONFIGURING)
        # Each job ahead in the queue has a time limit of its own.
        self._pause(job, self._runtime.clock.monotonic)
        link.jobs.begin(job, lambda: self._start(job))
        if link.jobs.queued(job):
            self.wait(work, f"{link.label} is configuring {link.plugin.max_jobs} others")

    def wait(self, work: Work, why: str) -> None:
        """Record that the configuration of an instance waits for its turn, with the reason."""
        self._runtime.waiting(work, f"{IN_TURN}{why}")
        if work.configuration is not None and work.configuration.state in _MAY_WAIT:
            self._note(work, state=ConfigState.QUEUED, reason=f"{IN_TURN}{why}")

    def wait_no_more(self, work: Work) -> None:
        """Record that the instance no longer waits: its configuration is the one its manager last reported."""
        if work.configuration is not None and work.configuration.state is ConfigState.QUEUED:
            self._note(work, state=ConfigState.READY, reason="")

    def end(self, works: Iterable[Work]) -> list[Work]:
        """Abandon the jobs of these instances. Returns the instances whose job may still run at the manager."""
        jobs = [self._jobs[work] for work in works if work in self._jobs]
        for job in jobs:  # all of them before a free slot starts another one
            job.over = True
        for job in jobs:
            self._close(job)
        return [job.work for job in jobs if job.asked_at]

    def cancel_all(self) -> None:
        """Cancel all jobs, at their managers too; queued jobs never start."""
        self.cancel(self.end(list(self._jobs)))

    def end_job(self, work: Work, then: Callable[[], None]) -> None:
        """End the job of an instance, at its manager too if that may have one, then call `then`."""
        if work.configuration is not None and work.configuration.may_have_job:
            self.cancel([work], then)
        else:
            self.end([work])
            then()

    def cancel(self, works: Iterable[Work], then: Callable[[], None] = lambda: None) -> None:
        """Cancel jobs, at their managers too; call `then` when they have ended or the time for it is over."""
        cancelling = [work for work in dict.fromkeys(works) if work.configuration is not None]
        self.end(cancelling)
        by_link: dict[ManagerConnection, list[Work]] = {}
        for work in cancelling:
            link = self._link(work)
            if link is not None:
                by_link.setdefault(link, []).append(work)
        left = set(by_link)

        def ended(link: ManagerConnection) -> None:
            if link in left:
                left.discard(link)
                if not left:
                    then()

        for link, ours in by_link.items():
            self._cancel(link, ours, lambda link=link: ended(link), 1)  # type: ignore[misc]
            self._runtime.loop.after(CANCEL_SECONDS, lambda link=link: ended(link))  # type: ignore[misc]
        if not by_link:
            then()

    def refresh(self, works: Iterable[Work]) -> None:
        """Ask for the status of these instances and the attributes they publish; one call at a time per manager."""
        by_link: dict[ManagerConnection, list[Work]] = {}
        for work in works:
            link = self._link(work) if work.configuration is not None else None
            if link is not None and link not in self._refreshing:
                by_link.setdefault(link, []).append(work)
        for link, ours in by_link.items():
            self._refreshing.add(link)
            self._refresh(link, ours)

    def _refresh(self, link: ManagerConnection, works: Sequence[Work]) -> None:
        nodes = [recorded_node(work, self._runtime.scope.installation) for work in works]

        def answered(outcome: Outcome[Statuses]) -> None:
            self._refreshing.discard(link)
            for work in works if outcome.error is None else ():
                status = outcome.get()[work.node_id].value
                if status is not None and status.state is ConfigState.READY and not work.dropping:
                    note_status(self._runtime, work, status)

        link.limits.submit(lambda: link.statuses(nodes), answered, "status")

    def _cancel(self, link: ManagerConnection, works: Sequence[Work], ended: Callable[[], None], tries: int) -> None:
        nodes = [recorded_node(work, self._runtime.scope.installation) for work in works]

        def cancel(manager: ConfigManager, nodes: Sequence[ConfigNode]) -> None:
            return None if self._halted else manager.cancel(nodes)  # a later pass may have started another job

        def answered(outcome: Outcome[None]) -> None:
            if self._halted:
                return
            if isinstance(outcome.error, TransientError) and tries < CANCEL_TRIES:
                delay = backoff(tries, self._runtime.rng)
                self._runtime.loop.after(delay, lambda: self._cancel(link, works, ended, tries + 1))
                return
            for work in works if outcome.error is None else ():
                self._note(work, state=ConfigState.PENDING, reason="its job was cancelled")
            ended()

        if not self._halted:
            link.ask("cancel", cancel, answered, self._runtime.journal.refuse_if_lost, nodes=nodes)

    def _link(self, work: Work) -> ManagerConnection | None:
        """The connection of its manager; None without a manager."""
        assert work.configuration is not None, "only an instance with a configuration manager has a connection to one"
        try:
            return self._runtime.scope.connections.config(work.configuration.section)
        except Exception:  # noqa: BLE001  # the plugin, or its credentials, are gone: what is left is forgotten later
            return None

    # One job

    def _start(self, job: _Job) -> None:
        if not job.over:
            job.begun_at = self._runtime.clock.monotonic()
            job.queued = False
            job.begun()
            job.work.waiting_for = ""
            (self._register if job.register else self._configure)(job)

    def _configure(self, job: _Job) -> None:
        if job.over:
            return
        job.asked_at = self._runtime.clock.monotonic()
        work = job.work
        node = dataclasses.replace(
            job.node, instance_id=work.record.instance_id, addresses=work.record.addresses, peers=self._peers()
        )
        job.node = node

        def ask() -> None:
            if not job.over:
                self._ask(job, "configure", lambda manager, nodes: manager.configure(*nodes), self._configure)

        # Before the call: if this process dies then, the next one cancels the job if it is not wanted.
        note(self._runtime, work, ask, state=ConfigState.RUNNING, reason="")

    def _register(self, job: _Job) -> None:
        if not job.over:
            job.asked_at = self._runtime.clock.monotonic()
            self._ask(job, "register", lambda manager, nodes: manager.register(*nodes), self._register)

    def _ask(self, job: _Job, what: str, call: Call[None], again: Callable[[_Job], None]) -> None:
        refuse_if_lost = self._runtime.journal.refuse_if_lost
        begun = self._lifecycle.queue([job.work], job.link.limits.moved)
        job.link.ask(what, call, lambda outcome: self._asked(job, outcome, again), refuse_if_lost, begun, [job.node])

    def _asked(self, job: _Job, outcome: Outcome[None], again: Callable[[_Job], None]) -> None:
        """The outcome of `register` or `configure`."""
        if job.over:
            return
        if outcome.error is None:
            job.failures = 0
            following = self._look if again == self._configure else self._configure
            following(job)
        else:
            self._failed(job, outcome.error, again)

    def _failed(self, job: _Job, error: Exception, again: Callable[[_Job], None]) -> None:
        if not isinstance(error, TransientError):
            self._finish(job, reason(error))
        elif not self._late(job, str(error)):
            job.failures += 1
            self._runtime.loop.after(backoff(job.failures, self._runtime.rng), lambda: again(job))

    def _look(self, job: _Job) -> None:
        link = job.link
        if link not in self._asking:
            self._asking[link] = Batch(
                self._runtime.loop,
                link.plugin.poll_seconds[0],
                lambda job: not job.over,
                functools.partial(link.limits.submit, what="status"),
                lambda jobs: link.statuses([job.node for job in jobs]),
                self._answered,
                lambda jobs: self._lifecycle.queue((job.work for job in jobs), link.limits.moved),
            )
        waited = self._runtime.clock.monotonic() - job.begun_at
        pause = poll_interval(waited, link.plugin.poll_seconds)
        self._asking[link].add(job, self._lifecycle.in_time(job.work, pause))

    def _answered(self, jobs: Sequence[_Job], outcome: Outcome[Statuses]) -> None:
        for job in jobs:
            if job.over:
                continue
            one: Outcome[ConfigStatus] = (
                Outcome(error=outcome.error) if outcome.error is not None else outcome.get()[job.node.node_id]
            )
            if one.error is not None:
                self._failed(job, one.error, self._look)
            else:
                job.failures = 0
                self._judge(job, one.get())

    def _judge(self, job: _Job, status: ConfigStatus) -> None:
        current = status.generation in ("", job.node.generation)
        if status.state is ConfigState.READY and current:
            self._published(job, status)
        elif status.state is ConfigState.FAILED and current:
            why = status.reason or f"{job.link.label} could not configure it"
            self._finish(job, with_output(why, job_output(status.output)))
        elif status.state is ConfigState.QUEUED:
            job.queued_at = self._runtime.clock.monotonic()
            if not job.queued:
                self._pause(job, lambda: job.queued_at)
            self.wait(job.work, status.reason or f"{job.link.label} is configuring others")
            self._look(job)
        elif not self._late(job, status.progress or status.reason, unexplained(job.link, job.node, status)):
            self._resume(job)
            if status.state is ConfigState.UNKNOWN:
                self._register(job)
            elif self._forgotten(job, status):
                self._configure(job)
            else:
                self._look(job)

    def _pause(self, job: _Job, moved: Callable[[], float]) -> None:
        """Stop the clock of a job that is queued. `moved` returns when (monotonic) the queue was last seen to work."""
        job.queued = True
        job.begun = self._lifecycle.queue([job.work], moved)

    def _resume(self, job: _Job) -> None:
        """Start the clock of a job that was queued. Idempotent."""
        if job.queued:
            job.queued = False
            job.begun()
            self._note(job.work, state=ConfigState.RUNNING, reason="")

    def _forgotten(self, job: _Job, status: ConfigStatus) -> bool:
        """True if the job may have been lost in a restart of the manager."""
        idle = status.state is not ConfigState.RUNNING
        return idle and self._runtime.clock.monotonic() - job.asked_at > REPEAT_SECONDS

    def _published(self, job: _Job, status: ConfigStatus) -> None:
        note_status(self._runtime, job.work, status)
        self._note(job.work, applied=job.node.generation, served=True)
        self._finish(job, "")

    def _late(self, job: _Job, why: str, unexplained: str = "") -> bool:
        """True if the time limit has passed; the job is then cancelled, at its manager too.

        `unexplained` stands in the error for a reason that is empty.
        """
        if not self._lifecycle.over(job.work):
            if why:
                self._runtime.waiting(job.work, why)
            return False
        self._give_up(job, why or unexplained)
        return True

    def _give_up(self, job: _Job, why: str) -> None:
        text = overdue(job.work, why)
        self.cancel([job.work], lambda: None if self._halted else self._finish(job, text))

    def expire(self, work: Work) -> None:
        """The time limit has passed while the manager does not answer a call for the job's status."""
        job = self._jobs.get(work)
        if job is not None and not job.over:
            self._give_up(job, job.link.silence(job.link.label))

    def _finish(self, job: _Job, why: str) -> None:
        self._close(job)
        if why:
            self._note(job.work, state=ConfigState.FAILED, reason=without_output(why))
        job.done(job.work, why)

    def _close(self, job: _Job) -> None:
        job.over = True
        job.begun()
        if job.work.stage is Stage.READY and not job.work.dropping:
            self._lifecycle.enter(job.work, Phase.READY)
        if self._jobs.get(job.work) is job:
            del self._jobs[job.work]
        job.link.jobs.end(job)

    def _note(self, work: Work, **changes: Any) -> None:
        note(self._runtime, work, **changes)
