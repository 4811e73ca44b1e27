"""A pass over an infrastructure in which all is well takes no lease and writes nothing; any other decides under one."""

from __future__ import annotations

import itertools

import pytest

from occopus_core.engine.passes import maintaining
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BusyError, Passed
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.engine.passes.maintenance_loop import WAKE_SECONDS, MaintenanceLoop
from occopus_core.engine.passes.waiting_for_lease import acquire_soon
from occopus_core.store.database import Database
from occopus_core.store.records import ScaleKind, Stage

from ..conftest import infrastructure, node


@pytest.fixture
def built(world):
    world.define("web")
    world.build(infrastructure(node("web", min=3, max=9)))
    world.clock.time += 60
    world.events.clear()
    return world


@pytest.fixture
def writes(monkeypatch):
    """Counts transactions that may write."""
    writes = []
    writing = Database.writing

    def counted(self, **how):
        writes.append(how)
        return writing(self, **how)

    monkeypatch.setattr(Database, "writing", counted)
    return writes


def test_nothing_is_written_where_all_is_well(built, writes):
    before = built.calls("describe")
    assert built.convergence().maintain() == Passed()
    assert writes == []
    assert built.events == []
    assert built.calls("describe") == before + 1


def test_what_has_failed_is_replaced_after_one_look(built, writes):
    lost = built.store.instances("infra")[0]
    built.cloud.change(lost.instance_id, "lose")
    before = built.calls("describe")
    built.convergence().maintain()
    assert writes
    built.assert_runs({"web": 3})
    assert lost.node_id not in {record.node_id for record in built.store.instances("infra")}
    assert built.calls("describe") == before + 1 + 1, "one look, and one at the deletion of the lost one"


def test_it_is_decided_again_where_another_process_was_quicker(built, monkeypatch):
    """Between the look and the lease somebody else has replaced what was lost."""
    lost = built.store.instances("infra")[0]
    built.cloud.change(lost.instance_id, "lose")
    context = PassContext(built.resources(holder="late"), "infra")

    def late(context):
        monkeypatch.undo()
        built.convergence(holder="quick").maintain()
        return (yield from acquire_soon(context))

    monkeypatch.setattr(maintaining, "acquire_soon", late)
    made = built.calls("create")
    context.resources.loop.run(context.attended(maintain(context)))
    assert built.calls("create") == made + 1
    built.assert_runs({"web": 3})


def test_while_another_process_works_on_it_nothing_is_said(built):
    built.store.acquire("infra", "other", built.clock.now())
    with pytest.raises(BusyError):
        built.convergence().maintain()


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in (Stage.READY, Stage.DROPPING)])
def test_what_is_not_finished_is_never_quiet(built, writes, stage):
    record = built.store.instances("infra")[0]
    built.rewrite(record, stage=stage)
    writes.clear()
    built.convergence().maintain()
    assert writes
    built.assert_runs({"web": 3})


def test_a_problem_that_comes_again_is_reported_again(built):
    context = PassContext(built.resources(), "infra")

    def once():
        context.begin_anew()
        context.resources.loop.run(context.attended(maintain(context)))

    for _ in range(2):
        built.cloud.set_faults([{"kind": "auth", "operation": "describe", "count": 1}])
        once()
        once()
        built.clock.time += 100
        context.resources.connections.renew()
        once()
    assert len([event for event in built.events if event.text.startswith("for a provider")]) == 2


def test_a_request_of_another_process_is_applied_within_a_second(built):
    resources = built.resources()
    rounds = MaintenanceLoop(resources, 600.0, lambda *_: None)
    rounds.attach("infra")
    at, applied = [], []

    def ask():
        at.append(built.clock.time)
        built.store.request_scaling("infra", "web", ScaleKind.SET, 5, "", built.clock.now())

    def look():
        if len(built.store.instances("infra")) == 5:
            applied.append(built.clock.time)
            rounds.stop()
        else:
            resources.loop.after(0.1, look)

    resources.loop.after(100.0, ask)
    resources.loop.after(100.0, look)
    resources.loop.after(1000.0, rounds.stop)
    rounds.run()
    assert applied[0] - at[0] <= WAKE_SECONDS + 1.0


def test_a_wake_brings_one_pass_forward_and_does_not_add_another(built):
    resources = built.resources()
    rounds = MaintenanceLoop(resources, 10.0, lambda *_: None)
    passes = []
    resources.loop.meter.passed = lambda *_: passes.append(built.clock.time)
    rounds.attach("infra")
    resources.loop.after(5.0, lambda: [rounds.wake("infra") for _ in range(3)])
    began = built.clock.time
    resources.loop.after(100.0, rounds.stop)
    rounds.run()
    moments = [round(at - began) for at in passes]
    assert 5 in moments
    assert len(moments) <= 100 / 9 + 3
    later = [at for at in moments if at > 20]
    assert min(after - before for before, after in itertools.pairwise(later)) >= 8


def test_a_wake_of_what_is_not_maintained_here_does_nothing(built):
    resources = built.resources()
    rounds = MaintenanceLoop(resources, 10.0, lambda *_: None)
    rounds.wake("infra")
    resources.loop.after(1.0, rounds.stop)
    rounds.run()
    assert rounds.attached == frozenset()
