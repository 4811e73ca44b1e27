"""Deletes instances that hold what a new one needs for itself alone, before the new one is created."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from occopus_core.api.errors import PermanentError
from occopus_core.api.resource import CreateRequest
from occopus_core.engine.instance.progress import Progress
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.exclusive import Claims, claims_of, named
from occopus_core.engine.planning.preparation import Subject
from occopus_core.store.records import Stage

Ensure: TypeAlias = Callable[[CreateRequest, Callable[[], None]], None]
"""Calls its second argument once the provider has all that the request asks for."""


@dataclass(slots=True, eq=False)
class _New:
    """A new instance for which others may have to be deleted."""

    work: Work
    subject: Subject
    ensure: Ensure
    begin: Callable[[], None]
    needed: Claims = frozenset()
    request: CreateRequest | None = None
    """Rendered where an instance is in the way."""
    is_sure: bool = False
    """The provider has all that it asks for."""
    former: set[Work] = field(default_factory=set)
    """The instances that it waits for."""


class FormerFirst:
    """Lets a new instance begin when those are gone that hold what it needs; one instance of a node after the other.

    Of its own node, an instance waits only for the one whose position it takes: others share what they hold.
    """

    def __init__(
        self, runtime: Runtime, progress: Progress, works: Callable[[], Iterable[Work]], delete: Callable[[Work], None]
    ) -> None:
        """`works` returns all instances. `delete` deletes an instance that is to go; it is idempotent."""
        self._runtime = runtime
        self._progress = progress
        self._works = works
        self._delete = delete
        self._waiting: dict[Work, _New] = {}
        self._turns: dict[str, Work] = {}
        """By node name: the new instance that takes the place of another one, until it has ended."""
        self._queues: dict[str, list[Callable[[], None]]] = {}
        self._held: dict[Work, Work] = {}
        """By instance that is to go and is not asked to yet: the new one that takes its place."""
        self._left: dict[Work, str] = {}
        """Instances whose deletion this pass has given up, each with the reason: waiting for them is in vain."""
        self._stopped = False

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
        for work in {*self._held.values()}:
            self._keep(work)

    def hold(self, going: Iterable[Work], created: Iterable[Work]) -> list[Work]:
        """Delete those ready instances that are to go when their successors, among `created`, may begin.

        One stays whose successor fails before that. Returns the others.
        """
        successors = {(one.node_name, one.record.position): one for one in created if one.stage is Stage.RESERVED}
        rest = []
        for one in going:
            successor = successors.get((one.node_name, one.record.position))
            if successor is not None and one.stage is Stage.READY and _may_hold(one):
                self._held[one] = successor
            else:
                rest.append(one)
        return rest

    def may_delete(self) -> bool:
        """True if an instance that is to go may hold what a new one needs."""
        return any(map(_may_hold, self._works()))

    def before(self, work: Work, subject: Subject, ensure: Ensure, begin: Callable[[], None]) -> None:
        """Call `begin` at once where no instance that is to go may be in its way, otherwise when all those are gone.

        None is asked to go for a new one that cannot be prepared (its commands are run beforehand, too), or of which
        the provider is not sure.
        """
        self._prepare(_New(work, subject, ensure, begin))

    def _prepare(self, new: _New) -> None:
        former = self._possibly_in_the_way(new.work)
        if not former:
            self._begin(new)
            return
        scope = self._runtime.scope

        def find() -> None:
            new.needed = claims_of(scope, new.subject)
            if any(_common(one, new.work, new.needed) for one in former):
                new.request = scope.prepare(new.subject).request

        self._runtime.rendering.submit(find, lambda outcome: self._prepared(new, outcome))

    def _possibly_in_the_way(self, work: Work) -> list[Work]:
        # Of many instances few are to go: the others are passed over without a call.
        return [one for one in self._works() if one.dropping and _may_be_in_the_way(one, work)]

    def _prepared(self, new: _New, outcome: Outcome[None]) -> None:
        if new.work.dropping or self._stopped:
            return
        if outcome.error is not None:
            self._progress.failed(new.work, reason(outcome.error))
        else:
            self._take_turn(new)

    def _take_turn(self, new: _New) -> None:
        work = new.work
        if work.dropping or self._stopped:
            return
        common = {one: _common(one, work, new.needed) for one in self._possibly_in_the_way(work)}
        former = {one for one, claims in common.items() if claims}
        left = [self._left[one] for one in former if one in self._left]
        if not former:
            self._begin(new)
        elif left:
            self._decline(work, left[0])
        elif new.request is None:  # no instance was in its way before
            self._prepare(new)
        elif self._turns.setdefault(work.node_name, work) is not work:
            self._queues.setdefault(work.node_name, []).append(lambda: self._take_turn(new))
        elif not new.is_sure:
            new.ensure(new.request, lambda: self._ensured(new))
        else:
            held = named({claim for one in former for claim in common[one]})
            new.former = former
            self._waiting[work] = new
            self._runtime.waiting(work, f"until the former instance is gone, which holds {held}")
            for one in former:
                self._held.pop(one, None)
                self._delete(one)

    def _begin(self, new: _New) -> None:
        for one in self._held_for(new.work):
            del self._held[one]
            self._delete(one)
        new.begin()

    def _ensured(self, new: _New) -> None:
        new.is_sure = True
        self._take_turn(new)

    def gone(self, former: Work) -> None:
        """An instance is gone, and its row is removed."""
        self._waiting.pop(former, None)
        for waiting in [each for each in self._waiting.values() if former in each.former]:
            waiting.former.discard(former)
            if not waiting.former:
                del self._waiting[waiting.work]
                if not (waiting.work.dropping or self._stopped):
                    self._runtime.not_waiting(waiting.work)
                    self._begin(waiting)
        self.ended(former)

    def unconfirmed(self, former: Work, why: Exception | str) -> None:
        """The provider does not confirm the deletion of an instance: those that wait for it are made elsewhere."""
        self._left[former] = reason(why)
        for waiting in [each for each in self._waiting.values() if former in each.former]:
            del self._waiting[waiting.work]
            if not (waiting.work.dropping or self._stopped):
                self._decline(waiting.work, self._left[former])
        self.ended(former)

    def _decline(self, work: Work, why: str) -> None:
        """Try the next implementation; without another one, the instance fails."""
        text = f"the former instance, which is in its way, is not deleted: {why}"
        self._progress.declined(work, PermanentError(text))

    def ended(self, work: Work) -> None:
        """A new instance is ready, or has failed: the next one of its node may take its place. Idempotent."""
        self._keep(work)
        if self._turns.get(work.node_name) is work:
            del self._turns[work.node_name]
            for take_turn in self._queues.pop(work.node_name, []):
                take_turn()

    def _keep(self, work: Work) -> None:
        """A new instance has not begun: the one in whose place it was to be stays."""
        for one in self._held_for(work):
            del self._held[one]
            one.dropping = False

    def _held_for(self, work: Work) -> list[Work]:
        return [one for one, successor in self._held.items() if successor is work]


def _may_be_in_the_way(former: Work, work: Work) -> bool:
    if former is work or not _may_hold(former):
        return False
    return former.node_name != work.node_name or former.record.position == work.record.position


def _may_hold(former: Work) -> bool:
    return former.dropping and former.stage is not Stage.RESERVED and former.claims != frozenset()


def _common(former: Work, work: Work, needed: Claims) -> Claims:
    """What both need for themselves alone. Where that of the former is not known, all that its successor needs."""
    if former.claims is not None:
        return former.claims & needed
    same = former.node_name == work.node_name
    return frozenset(claim for claim in needed if same and claim.connection == former.record.connection)
