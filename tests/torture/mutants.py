"""The protocol with one clause taken out at a time: the harness must see each.

A mutant is a change made to the program in the memory of a process under torture, and nowhere else. `run` shows it; the
same run without the mutant is without a fault.
"""

from __future__ import annotations

import dataclasses
import types
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from occopus_core.api.errors import TransientError
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.deletion import Deletion
from occopus_core.engine.instance.dropping import Dropping
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.former_first import FormerFirst
from occopus_core.engine.instance.leaving import Leaving
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup
from occopus_core.engine.instance.recheck import Recheck
from occopus_core.engine.instance.shutdown import Shutdown
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.journal import Journal
from occopus_core.engine.passes import (
    belated,
    building,
    destroying,
    requested_builds,
    sweeping,
    undoing,
    waiting_for_lease,
)
from occopus_core.engine.passes.used_connections import UsedConnections
from occopus_core.store import change, repository, tables
from occopus_core.store.configurations import ConfigurationRows
from occopus_core.store.places import PlaceRows
from occopus_core.store.records import Stage
from occopus_core.store.repository import Store
from occopus_resource_sim import SimHandler, handler

from .acts import Run
from .lanes import Lanes, Outcome


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is taken out, how, and where it shows."""

    clause: str
    what: str
    install: Callable[[], None]
    run: Run


MUTANTS: dict[str, Mutant] = {}


_SHOWS_NOTHING = ("does not end", "ends with an error of its own")
"""The ends of failures of which a slow harness or a mutant that cannot be installed may be the cause."""

TRIES = 6
"""How often a mutant is run at the most: some show only where a process is quick enough."""


def install(name: str) -> None:
    """Change the program in this process; nothing for no name."""
    if name:
        MUTANTS[name].install()


def _mutant(clause: str, what: str, acts: str, weather: str = "calm", seed: int = 0, *, managed: bool = False):
    def add(install: Callable[[], None]) -> Callable[[], None]:
        name = install.__name__.strip("_").replace("_", "-")
        MUTANTS[name] = Mutant(
            clause, what, install, Run.parse(acts, weather=weather, seed=seed, managed=managed, mutant=name)
        )
        return install

    return add


def _nothing(*_args, **_options):
    yield from ()


@_mutant("P1", "a row is 'creating' only once create has answered", "old @ kill answered create 1; destroy")
def _create_first() -> None:
    put, returned = Journal.put, Creation._returned

    def early(self, record, then=None):
        if then is not None and record.stage is Stage.CREATING:
            self._loop.post(then)
        else:
            put(self, record, then)

    def late(self, work, outcome):
        put(self._runtime.journal, work.record)
        returned(self, work, outcome)

    Journal.put, Creation._returned = early, late


@_mutant("P1", "a row is never 'dropping' before delete is called", "old; destroy @ kill after delete 1; destroy")
def _delete_first() -> None:
    put = Journal.put

    def early(self, record, then=None):
        if then is not None and record.stage is Stage.DROPPING and not record.reason:
            self._loop.post(then)
        else:
            put(self, record, then)

    Journal.put = early


@_mutant("P2", "a repeated create has another token", "storm; old", "lost", seed=1)
def _token_anew() -> None:
    again = Creation._again

    def changed(self, work, error, step):
        request = dataclasses.replace(work.prepared.request, token=f"occopus-{uuid.uuid4()}")
        work.prepared = dataclasses.replace(work.prepared, request=request)
        again(self, work, error, step)

    Creation._again = changed


@_mutant("P3", "what is made carries no tags of its owner", "old @ kill answered create 1; destroy")
def _no_tags() -> None:
    order = handler._order
    nobody = {"installation": "", "infra_id": "", "node_name": "", "node_id": ""}
    handler._order = lambda request: {**order(request), "owner": nobody}


@_mutant("P3", "the owner's tag of the node is that of another one", "old")
def _wrong_tags() -> None:
    order = handler._order
    handler._order = lambda request: {
        **order(request), "owner": {**order(request)["owner"], "node_id": str(uuid.uuid4())}
    }  # fmt: skip


@_mutant("P4", "what only follows from answers is never committed", "old")
def _never_told() -> None:
    put = Journal.put
    Journal.put = lambda self, record, then=None: put(self, record, then) if then else None


@_mutant("P5", "a create whose outcome is not known has failed, and made nothing", "storm; old", "lost", seed=1)
def _transient_is_final() -> None:
    go_on = Creation._go_on

    def final(self, work, outcome):
        if isinstance(outcome.error, TransientError):
            work.calling = work.may_exist = False
            self._progress.failed(work, str(outcome.error))
        else:
            go_on(self, work, outcome)

    Creation._go_on = final


@_mutant("P5", "what a refused creation has left is not looked for", "storm; old", "half", seed=1)
def _refused_is_nothing() -> None:
    failed, declined = Execution.failed, Dropping.add_declined

    def careless(act):
        def around(self, work, *reason):
            work.may_exist = False
            act(self, work, *reason)

        return around

    Execution.failed, Dropping.add_declined = careless(failed), careless(declined)


@_mutant("P6", "'absent' is believed at once", "storm; old", "hidden")
def _no_window() -> None:
    SimHandler.consistency_window = 0.0


@_mutant("P6", "a token that a list does not have is believed to be absent at once",
         "old @ interrupt before create 1", "fog")  # fmt: skip
def _no_window_for_tokens() -> None:
    located = Deletion._located

    def hasty(self, works, outcome):
        for work in works:
            work.last_called = 0.0
        located(self, works, outcome)

    Deletion._located = hasty


@_mutant("P6", "what create answers last is all that its calls have made",
         "storm; old @ interrupt after create 4", "twins", seed=0)  # fmt: skip
def _last_answer_is_all() -> None:
    returned = Creation._returned

    def sure(self, work, outcome):
        work.creations = 1
        returned(self, work, outcome)

    Creation._returned = sure


@_mutant("P6", "a second call of create is not recorded before it is made",
         "calm; old @ kill before describe 2; storm; maintain @ interrupt before create 1; destroy",
         "twins", seed=1)  # fmt: skip
def _second_call_unrecorded() -> None:
    update = Work.update

    def unchanged(self, **changes):
        if changes.get("answered") is False and self.record.answered:
            del changes["answered"]
        return update(self, **changes)

    Work.update = unchanged


@_mutant("P7", "a row goes as soon as delete was called", "old; destroy @ kill after commit 5; destroy")
def _row_first() -> None:
    deleted = Deletion._deleted

    def hasty(self, works, outcome):
        for work in works:
            if outcome.error is None and not outcome.get().errors.get(work.record.instance_id):
                self._forget(work)
            else:
                deleted(self, [work], outcome)

    Deletion._deleted = hasty


@_mutant("P7", "a row goes because of an error", "old; more; maintain; less; storm; maintain", "stubborn")
def _error_is_gone() -> None:
    Deletion._give_up = lambda self, work, _reason: self._remove(work)


@_mutant("P8", "transactions do not check the epoch", "old @ pause after commit 4; maintain; wake")
def _no_epochs() -> None:
    changing = Store.changing

    def unchecked(self, lease, **how):
        row = self._database._engine  # a lease of the present epoch, whoever has it
        with row.connect() as connection:
            table = tables.infrastructures
            epoch = connection.scalar(repository.sa.select(table.c.epoch).where(table.c.id == lease.infra_id))
        return changing(self, dataclasses.replace(lease, epoch=epoch or lease.epoch), **how)

    Store.changing = unchecked


@_mutant("P8", "calls do not check the lease", "old @ pause before check 2; maintain; wake")
def _no_check() -> None:
    Journal.refuse_if_lost = lambda _self: None


@_mutant("P8", "taking over does not raise the epoch", "old @ pause after commit 4; maintain; wake")
def _same_epoch() -> None:
    acquire = Store.acquire

    def lower(self, infra_id, holder, now):
        lease = acquire(self, infra_id, holder, now)
        if lease is None:
            return None
        table = tables.infrastructures
        with self._database.writing() as connection:
            connection.execute(table.update().where(table.c.id == infra_id).values(epoch=lease.epoch - 1))
        return dataclasses.replace(lease, epoch=lease.epoch - 1)

    Store.acquire = lower


@_mutant("P8", "an id that is used again begins with the same epoch", "old @ pause after commit 2; destroy; old; wake")
def _first_epoch() -> None:
    fixed = types.SimpleNamespace(randrange=lambda *_: 1)
    repository.random = types.SimpleNamespace(SystemRandom=lambda: fixed)


@_mutant("P9", "a lease never runs out", "old @ kill after create 2; maintain")
def _endless_lease() -> None:
    change.LEASE_SECONDS = repository.LEASE_SECONDS = waiting_for_lease.LEASE_SECONDS = 1e9


@_mutant("P10", "a failed update undoes everything", "old; bad")
def _undo_all() -> None:
    undo = undoing.undo

    def everything(_site, execution, *rest):
        for work in execution.works:
            work.record = dataclasses.replace(work.record, provisional=True)
        return undo(_site, execution, *rest)

    undoing.undo = building.undo = everything


@_mutant("P10", "what a build makes is not provisional", "old; bad")
def _settled_at_once() -> None:
    new_works = building.new_works
    building.new_works = lambda *args: new_works(*args, provisional=False)


@_mutant("P10", "a rollback that was killed is carried on as a build", "old; bad @ kill after delete 1; maintain")
def _rolled_forward() -> None:
    change.Change.roll_back = _nothing


@_mutant("P10", "a build that was killed is not carried on", "old @ kill after create 2; maintain")
def _forget_builds() -> None:
    requested_builds.build_leased = _nothing


@_mutant("P11", "that nothing is wanted any more is not recorded", "old; destroy @ kill after delete 1; maintain")
def _still_wanted() -> None:
    Store.request_destroy = Store.infrastructure


@_mutant("P12", "there is no last search", "storm; old", "forgetful")
def _no_last_search() -> None:
    destroying.sweep = undoing.sweep = _nothing


@_mutant(
    "P12", "only where there are rows is searched", "old; storm; new; destroy @ kill before list 1", "forgetful", 4
)
def _only_where_rows_are() -> None:
    places = PlaceRows.all

    def few(self, infra_id=None):
        used = {row.implementation for row in Store(self._database).instances(infra_id)} if infra_id else None
        return [each for each in places(self, infra_id) if used is None or each.implementation.digest in used]

    PlaceRows.all = few


@_mutant("P12", "what cannot be searched does not matter", "storm; old; destroy", "mute")
def _silence_is_consent() -> None:
    heard = UsedConnections.heard
    UsedConnections.heard = lambda self, answers: dataclasses.replace(heard(self, answers), silent=())


@_mutant("P13", "the sweep reads the store first", "old; destroy; sweep @ pause before list 1; old; wake")
def _store_first() -> None:
    used, known = UsedConnections.of, Store.instances_by_token

    def early(connections, store, *args):
        store.known_early = known(store)
        return used(connections, store, *args)

    UsedConnections.of, Store.instances_by_token = early, lambda self: self.known_early


@_mutant("P13", "the sweep takes what is under way for a stray", "old @ pause after create 1; sweep; wake")
def _under_way_is_stray() -> None:
    sweeping._is_stray = lambda instance, record: record is None or record.instance_id != instance.id


@_mutant("P13", "where infrastructures were is forgotten with them", "old @ pause before create 2; destroy; wake")
def _forgotten_places() -> None:
    def forget(connection, infra_id):
        connection.execute(tables.places.delete().where(tables.places.c.infra_id == infra_id))

    change.leave_places = forget
    belated.clean_up = _found_nothing  # as if the woken process was killed next


@_mutant("P14", "a node is registered before its row is written",
         "old @ kill answered register 1; destroy", managed=True)  # fmt: skip
def _register_first() -> None:
    configure, registered = Journal.configure, Creation._registered

    def early(self, record, then=None):
        if then is not None:
            self._loop.post(then)
        else:
            configure(self, record)

    def late(self, work, outcome):
        configure(self._runtime.journal, work.configuration)
        registered(self, work, outcome)

    Journal.configure, Creation._registered = early, late


@_mutant("P14", "an instance is created before it is registered", "old @ kill answered create 1; destroy", managed=True)
def _created_unregistered() -> None:
    Creation._register = lambda self, work: self.call(work)


@_mutant("P15", "a job that is taken over has another generation", "old @ kill after configure 1; maintain",
         managed=True)  # fmt: skip
def _generation_anew() -> None:
    begin = Configuring.begin

    def another(self, work, link, node, done, **how):
        begin(self, work, link, dataclasses.replace(node, generation=str(uuid.uuid4())), done, **how)

    Configuring.begin = another


@_mutant("P15", "a job is not cancelled when its build is undone", "old @ interrupt after configure 1", managed=True)
def _not_cancelled() -> None:
    def only_here(self, works, then=lambda: None):
        self.end(works)
        then()

    Configuring.cancel = only_here


@_mutant("P16", "an instance is deleted before its manager has let it go", "old; destroy", managed=True)
def _no_leave() -> None:
    Leaving._start = lambda self, leave: self._end(leave)


@_mutant("P16", "a manager forgets before the deletion is confirmed", "old; destroy @ kill after forget 1; destroy",
         managed=True)  # fmt: skip
def _forget_before_deletion() -> None:
    begin = Shutdown.begin

    def early(self, work, then):
        cleanup = ManagerCleanup(self._runtime.loop, self._runtime.scope.connections, self._runtime.scope.installation)
        if work.configuration is None:
            begin(self, work, then)
        else:
            cleanup.node(work.configuration, lambda _well: begin(self, work, then))

    Shutdown.begin = early


@_mutant("P17", "no manager is asked to forget", "old; destroy", managed=True)
def _not_forgotten() -> None:
    ManagerCleanup.node = lambda _self, _record, done: done(True)


@_mutant("P17", "the intent to forget goes with the row of the instance",
         "old; destroy @ kill before forget 1; destroy", managed=True)  # fmt: skip
def _forget_unrecorded() -> None:
    remove = Journal.remove

    def careless(self, record, then, **options):
        for held in [each for each in self._configurations.values() if each.node_id == record.node_id]:
            self.forgotten(held)
        remove(self, record, then, **options)

    Journal.remove = careless


@_mutant("P17", "no manager is asked to forget an infrastructure", "old; destroy", managed=True)
def _infrastructure_not_forgotten() -> None:
    ManagerCleanup.infrastructure = lambda _self, _record, done: done(True)


@_mutant("P17", "that a manager is to forget an infrastructure is not written down until it has",
         "old; destroy @ kill before forget_infrastructure 1; destroy", managed=True)  # fmt: skip
def _infrastructure_unrecorded() -> None:
    managers = ConfigurationRows.managers

    def last(self, infra_id):
        found = managers(self, infra_id)
        for record in found:
            self.infrastructure_forgotten(record)
        return found

    ConfigurationRows.managers = last


@_mutant("P17", "what is left of an infrastructure that is gone is not asked for again",
         "old; storm; destroy", "deaf", managed=True)  # fmt: skip
def _abandoned_for_ever() -> None:
    ConfigurationRows.abandoned = ConfigurationRows.abandoned_managers = lambda _self: []


@_mutant("P17", "the sweep reads the store before it asks the managers",
         "old; destroy; sweep @ pause before list_registered 1; old; wake", managed=True)  # fmt: skip
def _known_first() -> None:
    all_managers, node_ids = ConfigurationRows.all_managers, ConfigurationRows.node_ids

    def early(self):
        self.known_early = node_ids(self)
        return all_managers(self)

    ConfigurationRows.all_managers = early
    ConfigurationRows.node_ids = lambda self: self.known_early


@_mutant("P18", "what changes under a lease has no revision of its own", "old; new")
def _unrevised() -> None:
    repository.raise_revision = lambda _connection, _infra_ids: 0


@_mutant("P20", "a new instance does not wait for the one that holds what it needs", "old; new", seed=2)
def _no_former_first() -> None:
    FormerFirst.before = lambda _self, _work, _subject, _ensure, begin: begin()


@_mutant("P22", "a former instance is deleted although its successor cannot be had", "old; lacking", seed=2)
def _not_sure() -> None:
    Creation._ensure = lambda _self, _work, _request, sure: sure()


@_mutant("P21", "a build does not prove what it keeps by its new health checks", "old; sick")
def _unproved() -> None:
    Recheck.begin = lambda self, work: self._passed(work)


@_mutant(
    "P19", "a woken process leaves what it makes when it was taken over", "old @ pause before create 2; destroy; wake"
)
def _woken_leaves() -> None:
    belated.clean_up = _found_nothing


def _found_nothing(_site):
    yield from ()
    return ""


def unseen(lanes: Lanes, told: Callable[[Mutant, Outcome], None] = lambda *_: None) -> list[Run]:
    """The runs of mutants that no try has shown; `told` gets each outcome."""
    left = {mutant.run: mutant for mutant in MUTANTS.values()}
    for _ in range(TRIES):
        for outcome in list(lanes.map(left)):
            told(left[outcome.run], outcome)
            if outcome.failure and not outcome.failure.endswith(_SHOWS_NOTHING):
                del left[outcome.run]
    return list(left)
