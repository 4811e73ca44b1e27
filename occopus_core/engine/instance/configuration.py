"""Has configuration managers configure instances: registered, a job in its turn, watched until it ends, cancelled.

Nothing that a manager answers, and no call that it holds, touches another instance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.config import ConfigManager, ConfigNode, ConfigState, ConfigStatus, Peer
from occopus_core.api.errors import TransientError
from occopus_core.engine.instance.lifecycle import Lifecycle, overdue
from occopus_core.engine.instance.neighbours import recorded_node
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.config_managers import ManagerConnection, Statuses
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import backoff, poll_interval
from occopus_core.engine.kernel.journal import redacted
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.preparation import Configuration
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import Stage

REPEAT_SECONDS = 30.0
"""How often `configure` is called again for a node of which the manager says that nothing is under way."""

CANCEL_SECONDS = 5.0
"""How long jobs that are not wanted any more hold up what follows, where their manager cannot be reached."""

CANCEL_TRIES = 4

Done = Callable[[Work, str], None]
"""Gets the instance and why it could not be configured; the reason is empty where it is."""


@dataclass(slots=True, eq=False)
class _Job:
    """One instance being configured."""

    work: Work
    link: ManagerConnection
    node: ConfigNode
    done: Done
    register: bool = False
    begun: Callable[[], None] = lambda: None
    """To be called when its turn has come."""
    begun_at: float = 0.0
    """When (monotonic) its turn came."""
    asked_at: float = 0.0
    """When `configure` was last called."""
    failures: int = 0
    over: bool = False


class Configuring:
    """The jobs of one pass. `peers` names all instances that run."""

    def __init__(self, runtime: Runtime, lifecycle: Lifecycle, peers: Callable[[], tuple[Peer, ...]]) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._peers = peers
        self._jobs: dict[Work, _Job] = {}
        self._refreshing: set[ManagerConnection] = set()
        self._asking: dict[ManagerConnection, Batch[_Job, Statuses]] = {}
        self._halted = False

    def halt(self) -> None:
        """Do nothing more: a later pass goes on with what has been begun."""
        self._halted = True
        self.end(list(self._jobs))

    def adopt(self, work: Work, configuration: Configuration, then: Callable[[], None]) -> None:
        """Record what is about to be registered, and what another manager is to forget for it; then go on."""
        former, now = work.configuration, self._runtime.clock.now()
        record = _record(configuration)
        if former is not None and former.key == record.key:
            record = dataclasses.replace(
                record,
                applied=former.applied,
                published=former.published,
                state=former.state,
                reason=former.reason,
                served=former.served,
            )
        elif former is not None:
            self._runtime.journal.configure(dataclasses.replace(former, forget_since=now))
        work.configuration = record
        self._runtime.journal.configure(record, then)

    def renounce(self, work: Work) -> None:
        """The instance has no configuration manager any more: the former one is to forget it."""
        if work.configuration is not None:
            record = dataclasses.replace(work.configuration, forget_since=self._runtime.clock.now())
            work.configuration = None
            self._runtime.journal.configure(record)

    def begin(
        self, work: Work, link: ManagerConnection, node: ConfigNode, done: Done, *, register: bool = False
    ) -> None:
        """Configure a running instance as soon as its manager takes another job. Its clock begins with the job.

        With `register` it is registered first, as part of the job.
        """
        if self._halted:
            return
        job = _Job(work, link, node, done, register)
        self._jobs[work] = job
        if work.stage is Stage.READY:
            self._lifecycle.enter(work, Phase.RECONFIGURING)
        # The queue moves: each job ahead has a time of its own.
        job.begun = self._lifecycle.queue([work], self._runtime.clock.monotonic)
        link.jobs.begin(job, lambda: self._start(job))
        if link.jobs.queued(job):
            self._runtime.waiting(work, f"for its turn: {link.label} is configuring {link.plugin.max_jobs} others")

    def end(self, works: Iterable[Work]) -> list[Work]:
        """Give up the jobs of these instances; those of which something may be under way."""
        jobs = [self._jobs[work] for work in works if work in self._jobs]
        for job in jobs:  # before the first of them makes room for the next one in the queue
            job.over = True
        for job in jobs:
            self._close(job)
        return [job.work for job in jobs if job.asked_at]

    def cancel_all(self) -> None:
        """Give up all jobs, at their managers too; those that are queued are never begun."""
        self.cancel(self.end(list(self._jobs)))

    def cancel(self, works: Iterable[Work], then: Callable[[], None] = lambda: None) -> None:
        """End their jobs at their managers too; `then` follows when they have ended or cannot be reached in time."""
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
        """Ask how these instances are now, for what they publish. One question at a time for each manager."""
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

        link.limits.submit(lambda: link.statuses(nodes), answered)

    def _cancel(self, link: ManagerConnection, works: Sequence[Work], ended: Callable[[], None], tries: int) -> None:
        nodes = [recorded_node(work, self._runtime.scope.installation) for work in works]

        def cancel(manager: ConfigManager) -> None:
            if not self._halted:  # a later pass may have begun another job
                manager.cancel(nodes)

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
            link.ask("cancel", cancel, answered, self._runtime.journal.refuse_if_lost)

    def _link(self, work: Work) -> ManagerConnection | None:
        """The connection of its manager, None where there is none any more."""
        assert work.configuration is not None, "only an instance with a configuration manager has a connection to one"
        try:
            return self._runtime.scope.connections.config(work.configuration.section)
        except Exception:  # noqa: BLE001  # the plugin, or its credentials, are gone: what is left is forgotten later
            return None

    # One job

    def _start(self, job: _Job) -> None:
        if not job.over:
            job.begun_at = self._runtime.clock.monotonic()
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
        # Before the call: should this process die now, the next one cancels the job where it is not wanted.
        self._note(work, state=ConfigState.RUNNING)
        self._ask(job, "configure", lambda manager: manager.configure(node), self._configure)

    def _register(self, job: _Job) -> None:
        if not job.over:
            job.asked_at = self._runtime.clock.monotonic()
            self._ask(job, "register", lambda manager: manager.register(job.node), self._register)

    def _ask(self, job: _Job, what: str, call: Callable[[ConfigManager], None], again: Callable[[_Job], None]) -> None:
        refuse_if_lost = self._runtime.journal.refuse_if_lost
        begun = self._lifecycle.queue([job.work], job.link.limits.moved)
        job.link.ask(what, call, lambda outcome: self._asked(job, outcome, again), refuse_if_lost, begun)

    def _asked(self, job: _Job, outcome: Outcome[None], again: Callable[[_Job], None]) -> None:
        """`register` or `configure` has been answered."""
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
                link.limits.submit,
                lambda jobs: link.statuses([job.node for job in jobs]),
                self._answered,
                lambda jobs: self._lifecycle.queue((job.work for job in jobs), link.limits.moved),
            )
        waited = self._runtime.clock.monotonic() - job.begun_at
        self._asking[link].add(job, poll_interval(waited, link.plugin.poll_seconds))

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
            self._finish(job, status.reason or f"{job.link.label} could not configure it")
        elif not self._late(job, status.progress or status.reason):
            if status.state is ConfigState.UNKNOWN:
                self._register(job)
            elif self._forgotten(job, status):
                self._configure(job)
            else:
                self._look(job)

    def _forgotten(self, job: _Job, status: ConfigStatus) -> bool:
        """Whether the job may have been lost with the process of the manager."""
        idle = status.state is not ConfigState.RUNNING
        return idle and self._runtime.clock.monotonic() - job.asked_at > REPEAT_SECONDS

    def _published(self, job: _Job, status: ConfigStatus) -> None:
        note_status(self._runtime, job.work, status)
        self._note(job.work, applied=job.node.generation, served=True)
        self._finish(job, "")

    def _late(self, job: _Job, why: str) -> bool:
        """Whether its time is up: then it is given up, at its manager too."""
        if not self._lifecycle.over(job.work):
            if why:
                self._runtime.waiting(job.work, why)
            return False
        self._give_up(job, why)
        return True

    def _give_up(self, job: _Job, why: str) -> None:
        text = overdue(job.work, why)
        self.cancel([job.work], lambda: None if self._halted else self._finish(job, text))

    def expire(self, work: Work) -> None:
        """Its time is over, and its manager holds the call that would say how it fares."""
        job = self._jobs.get(work)
        if job is not None and not job.over:
            self._give_up(job, f"{job.link.label} does not answer")

    def _finish(self, job: _Job, why: str) -> None:
        self._close(job)
        if why:
            self._note(job.work, state=ConfigState.FAILED, reason=why)
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


def note(runtime: Runtime, work: Work, **changes: Any) -> None:
    """Write what has changed of an instance's configuration; nothing where nothing has."""
    record = work.configuration
    if record is not None and any(getattr(record, name) != value for name, value in changes.items()):
        work.configuration = dataclasses.replace(record, **changes)
        runtime.journal.configure(work.configuration)


def note_status(runtime: Runtime, work: Work, status: ConfigStatus) -> None:
    """Write what a manager says of an instance. The credentials file's values never pass on to others."""
    published = redacted(dict(status.attributes), runtime.scope.connections.redact)
    note(runtime, work, state=status.state, reason=status.reason, published=published)


def _record(configuration: Configuration) -> ConfigurationRecord:
    kept = configuration.kept
    return ConfigurationRecord(
        node_id=kept.node_id,
        type=kept.section["type"],
        settings=configuration.settings,
        infra_id=kept.infra_id,
        infra_name=kept.infra_name,
        node_name=kept.node_name,
        token=kept.token,
        section=dict(kept.section),
        attributes=dict(kept.attributes),
        mapped=dict(kept.mapped),
        variables=dict(kept.variables),
        wanted=kept.generation,
    )
