"""Deletes an instance: finds it if its id is unknown, deletes it, and removes its row once it is absent."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import Instance, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.away import Away
from occopus_core.engine.instance.id_owners import IdOwners
from occopus_core.engine.instance.lifecycle import LONGEST_DELETION, Lifecycle, phase_of
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup
from occopus_core.engine.instance.observe import describe, each_outcome, owned
from occopus_core.engine.instance.progress import DeletionProgress
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.shutdown import Shutdown
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.guard import BreachError
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.events import EventKind
from occopus_core.registry import PluginError
from occopus_core.store.records import Stage

PATIENCE = 60.0
"""Seconds for which every call to a provider may fail before a deletion is left unconfirmed."""

OVERDUE = f"the provider still reports it {LONGEST_DELETION:g} s after its deletion was asked for"

GOES_ON = "the next pass goes on with its deletion"
"""Added to what is known of a deletion that a pass leaves to the next one."""

UNRETURNED = "a call that may still create it has not returned"


@dataclass(frozen=True, slots=True)
class Deleted:
    """The result of one deletion call: the instances that still exist, and the errors."""

    states: Mapping[InstanceId, Instance]
    errors: Mapping[InstanceId, Exception | None]


@dataclass(frozen=True, slots=True)
class Located:
    """The result of one search, by token, and when (seconds since 1970) it started."""

    asked_at: float
    by_token: Mapping[str, Instance]
    fault: BreachError | None = None
    """What is wrong with the answer: an instance that is not in `by_token` may exist."""


class Deletion:
    """Deletes instances. Each deletion ends: the instance is gone, or left unconfirmed with its row."""

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        shutdown: Shutdown,
        cleanup: ManagerCleanup,
        id_owners: IdOwners,
        away: Away,
        progress: DeletionProgress,
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._left: set[Work] = set()
        """Instances that are gone or left unconfirmed; late answers about them are ignored."""
        self._shutdown = shutdown
        self._cleanup = cleanup
        self._id_owners = id_owners
        self._away = away
        self._progress = progress
        self._locating: dict[object, Batch[Work, Located]] = {}
        self._deleting: dict[object, Batch[Work, Deleted]] = {}
        self._halted = False

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._halted = True
        self._shutdown.halt()

    def has_left(self, work: Work) -> bool:
        """True for an instance that is gone, or whose deletion was left unconfirmed: a later pass continues that."""
        return work in self._left

    def begin(self, work: Work) -> None:
        """Delete an instance for which no call is under way."""
        if work.stage is Stage.RESERVED:  # `create` was never called
            self._remove_row(work, lambda: self._progress.gone(work))
            return
        try:
            self._connect(work)
        except (PluginError, DescriptionError) as error:
            self._left.add(work)
            self._progress.unconfirmed_deletion(work, error)
            return
        if not work.drop_reported:
            self._runtime.emit(EventKind.NODE_DROPPING, work)
        going = work.stage is Stage.DROPPING
        record = self._lifecycle.enter(work, Phase.LEAVING)
        if going:
            self._enter(work)
        else:
            self._runtime.journal.put(record, lambda: self._enter(work))

    def _connect(self, work: Work) -> None:
        if work.link is None:
            connections = self._runtime.scope.connections
            work.link = connections.resource(work.implementation, work.record.connection)

    def _enter(self, work: Work) -> None:
        work.restart_watch(self._runtime.clock.monotonic())
        if not work.may_exist:
            self._forget(work)
        elif work.record.instance_id is None:
            self._lifecycle.enter(work, Phase.DELETING)
            self._locate(work, 0.0)
        elif taken := self._id_owners.breach(work, "create", work.record.instance_id):
            self._give_up(work, taken)
        else:
            self._shutdown.begin(work, self._start_deleting)

    def _start_deleting(self, work: Work, unreached: Exception | None) -> None:
        """Delete it after its shutdown, or leave it where that could not reach its provider."""
        if unreached is not None:
            self._give_up(work, unreached)
            return
        self._lifecycle.enter(work, Phase.DELETING)
        work.restart_watch(self._runtime.clock.monotonic())
        self._delete(work, 0.0)

    # An instance whose creation was announced, but whose id is not known

    def _locate(self, work: Work, delay: float) -> None:
        assert work.link is not None, "an instance has a connection before it is looked for"
        link, owner = work.link, self._runtime.scope.owner()
        if link not in self._locating:
            self._locating[link] = Batch(
                self._runtime.loop,
                link.plugin.poll_seconds[0],
                lambda work: work not in self._left and not self._halted,
                functools.partial(link.limits.submit, what="list_owned"),
                lambda _works: _located(link.plugin, owner, self._runtime.clock.now()),
                self._located,
            )
        self._locating[link].add(work, delay)

    def _located(self, works: Sequence[Work], outcome: Outcome[Located]) -> None:
        for work in self._concerned(works):
            if work.record.instance_id is not None:  # a late answer of `create` has set it
                self._delete(work, 0.0)
                continue
            if outcome.error is not None:
                self._failed(work, outcome.error, self._locate)
                continue
            fault = outcome.get().fault
            work.failures = 0
            found = outcome.get().by_token.get(work.record.token)
            hidden_for = self._hidden_for(work, outcome.get().asked_at)
            taken = self._id_owners.breach(work, "list_owned", found.id) if found is not None else None
            if taken is not None:
                self._give_up(work, taken)
            elif found is not None:
                record = work.update(instance_id=found.id)
                self._runtime.journal.put(record, lambda work=work: self._delete(work, 0.0))  # type: ignore[misc]
            elif fault is not None:
                self._failed(work, fault, self._locate)
            elif self._is_stuck(work):
                self._give_up(work, UNRETURNED)
            elif hidden_for > 0:
                # The last call may have created it, and the provider may not show it yet.
                self._locate(work, min(hidden_for + 0.001, work.handler.poll_seconds[1]))
            else:
                self._forget(work)

    def _hidden_for(self, work: Work, asked_at: float) -> float:
        """Seconds for which the provider may still hide the result of the last `create`, counted from `asked_at`."""
        if self._runtime.may_be_making(work):
            return math.inf
        return work.last_called + work.handler.consistency_window - asked_at

    # An instance whose id is known

    def _delete(self, work: Work, delay: float) -> None:
        assert work.link is not None, "an instance has a connection before it is deleted"
        link = work.link
        if link not in self._deleting:
            self._deleting[link] = Batch(
                self._runtime.loop,
                link.plugin.poll_seconds[0],
                lambda _work: not self._halted,
                functools.partial(link.limits.submit, what="delete"),
                lambda works: self._delete_what_is_there(link.plugin, works),
                self._deleted,
            )
        self._deleting[link].add(work, delay)

    def _delete_what_is_there(self, handler: ResourceHandler, works: Sequence[Work]) -> Deleted:
        """Runs in the pool. Deletes at once the first time; later it looks first, and deletes what still exists."""
        ids = {work: work.record.instance_id for work in works if work.record.instance_id is not None}
        taken = self._id_owners.breaches(ids)
        asked = [work.record.instance_id for work in works if work.asked_to_go and work.record.instance_id is not None]
        found = describe(handler, asked) if asked else {}
        states = {id: one.value for id, one in found.items() if one.value is not None}
        gone = {id for id, state in states.items() if state.state is InstanceState.ABSENT}
        left = [id for id in ids.values() if id not in gone and id not in taken]
        self._runtime.journal.refuse_if_lost()
        errors = each_outcome(handler, "delete", left) if left else {}
        for work in works:
            work.asked_to_go = True
        unseen = {id: one.error for id, one in found.items() if one.error is not None}
        return Deleted(states, {**errors, **unseen, **taken})

    def _deleted(self, works: Sequence[Work], outcome: Outcome[Deleted]) -> None:
        for work in self._concerned(works):
            if outcome.error is not None:
                self._failed(work, outcome.error, self._delete)
                continue
            assert work.record.instance_id is not None, "only instances with an id are deleted by it"
            instance = outcome.get().states.get(work.record.instance_id)
            error = outcome.get().errors.get(work.record.instance_id)
            if instance is not None and instance.state is InstanceState.ABSENT:
                self._absent(work, instance)
            elif error is not None:
                self._failed(work, error, self._delete)
            else:
                work.failures = 0
                self._wait(work, instance)

    def _absent(self, work: Work, instance: Instance) -> None:
        """Remove its row, unless the provider may still hide it, or a second instance with its token.

        Until then the row stays, so that no instance is hidden when all rows of an infrastructure are removed.
        """
        self._runtime.experience.deletions.done(work.record.fingerprint, self._runtime.waited(work))
        work.failures = 0
        hidden_for = self._hidden_for(work, self._runtime.clock.now())
        if self._is_stuck(work):
            self._give_up(work, UNRETURNED)
        elif hidden_for < 0 or (work.record.answered and not instance.may_be_hidden):
            self._forget(work)
        else:
            self._delete(work, min(hidden_for + 0.001, work.handler.poll_seconds[1]))

    def _wait(self, work: Work, instance: Instance | None) -> None:
        """Look at it again later. `instance` is as its provider has described it; None before that."""
        waited, kind = self._runtime.waited(work), work.record.fingerprint
        if self._lifecycle.over(work):
            self._give_up(work, OVERDUE)
            return
        if instance is not None:
            self._runtime.waiting(work, _progress_of(instance))
        deletions = self._runtime.experience.deletions
        deletions.pending(kind, waited)
        self._delete(work, deletions.next_look(kind, waited, work.handler.poll_seconds))

    def _failed(self, work: Work, error: Exception, again: Callable[[Work, float], None]) -> None:
        delay = self._runtime.failed_call(work)
        lasting = self._runtime.failing(work) > PATIENCE or self._away.is_known(work, error)
        if lasting or not isinstance(error, TransientError):
            self._give_up(work, error)
            return
        self._runtime.waiting(work, str(error))
        again(work, delay)

    def _give_up(self, work: Work, why: Exception | str) -> None:
        self._left.add(work)
        self._away.add(work, why)
        record = work.update(reason=reason(why))
        self._runtime.emit(EventKind.NODE_UNCONFIRMED, work, record.reason)
        self._runtime.journal.put(record, lambda: self._progress.unconfirmed_deletion(work, why))

    def expire(self, work: Work) -> None:
        """The time limit of its present phase has passed, possibly during a call."""
        if phase_of(work) is not Phase.DELETING:
            self._shutdown.expire(work)
        elif self._concerned([work]):
            hanging = work.link.hanging() if work.link is not None else None
            self._give_up(work, hanging or OVERDUE)

    def _concerned(self, works: Sequence[Work]) -> list[Work]:
        """The instances for which this answer still matters."""
        return [] if self._halted else [work for work in works if work not in self._left]

    def _is_stuck(self, work: Work) -> bool:
        """True if a call that may create it does not return: its row stays for a later pass."""
        return self._runtime.waited(work) > PATIENCE and self._runtime.may_be_making(work)

    # After an instance is gone

    def _forget(self, work: Work) -> None:
        """Remove its row and record the intent that its manager deletes its data; the manager cannot delay this."""
        record = work.configuration
        self._left.add(work)
        if record is None:
            self._remove(work)
            return
        record = dataclasses.replace(record, forget_since=self._runtime.clock.now())
        self._runtime.journal.configure(record)
        self._runtime.emit(EventKind.NODE_DROPPED, work)

        def forgotten(well: bool) -> None:
            if well:
                self._runtime.journal.forgotten(record)
            self._progress.gone(work)

        self._remove_row(work, lambda: self._cleanup.node(record, forgotten))

    def _remove(self, work: Work) -> None:
        self._runtime.emit(EventKind.NODE_DROPPED, work)
        self._remove_row(work, lambda: self._progress.gone(work))

    def _remove_row(self, work: Work, then: Callable[[], None]) -> None:
        self._runtime.journal.remove(work.record, then, was_made=work.may_exist)


def _progress_of(instance: Instance) -> str:
    """What is known of an instance whose deletion the provider has accepted, for messages."""
    if instance.state is InstanceState.DELETING:
        return "the provider is deleting it"
    state = instance.raw_state or instance.state.value
    if instance.state is InstanceState.UNKNOWN:
        return f"its deletion was asked for; its plugin does not know the provider's state '{state}'"
    return f"its deletion was asked for; the provider still reports it as '{state}'"


def _located(handler: ResourceHandler, owner: Owner, asked_at: float) -> Located:
    """All instances of an owner at the provider, by token. Raises `ProviderError`.

    An instance without its token tag is identified by its node id tag: the token is derived from the node id.
    """
    instances, fault = owned(handler, owner)
    return Located(asked_at, {instance.token or _token(instance): instance for instance in instances}, fault)


def _token(instance: Instance) -> str:
    return f"occopus-{instance.owner.node_id}" if instance.owner is not None else ""
