"""What is shown is what is done: a preview names exactly the steps of the pass that follows."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from occopus_core.api import HealthChecker, Verdict
from occopus_core.engine.passes.previewing import preview
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.store.records import ScaleKind, Stage

from ..conftest import World, infrastructure, node, userdata

EXAMPLES = int(os.environ.get("OCCOPUS_TEST_EXAMPLES", "40"))
PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="OCCOPUS_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
DESCRIPTIONS = (
    infrastructure(node("db"), node("web", min=5, max=9, port=80)),
    infrastructure(node("db", min=2), node("web", min=4, max=9, port=81)),
    infrastructure(node("web", min=3, max=6, port=80)),
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["lose", "stop", "fail"]), st.integers(0, 20)),
        st.tuples(st.just("sicken"), st.integers(1, 8)),
        st.tuples(st.just("recover"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 100, 700])),
        st.tuples(st.just("maintain"), st.just(0)),
        st.tuples(st.just("scale"), st.integers(0, 9)),
        st.tuples(st.just("drop one"), st.integers(0, 20)),
        st.tuples(st.just("break definition"), st.just(0)),
        st.tuples(st.just("mend definition"), st.just(0)),
    ),
    max_size=8,
)


class Scene:
    """A built infrastructure, and what is done to it."""

    def __init__(self, folder, empty_store):
        shutil.copy(empty_store, folder / "store.db")
        self.world = World(folder / "store.db")
        self.sick = {}
        sick = self.sick

        class Doctor(HealthChecker):
            @classmethod
            def schema(cls):
                return {}

            def check(self, probes):
                return [Verdict(probe.address not in sick, "refused") for probe in probes]

        self.world.install("health", "fake", Doctor)
        self.define()
        self.world.build(DESCRIPTIONS[0])
        self.world.clock.time += 60

    def define(self, **resource):
        ways = [{"checks": {"fake": True}, "timeout": 60.0}]
        self.world.define("db", implementations=ways)
        web = [{**ways[0], "contextualisation": userdata("{{ variables.port }}")}]
        self.world.define("web", implementations=web, **resource)

    def act(self, what, number):  # a line for each act
        world = self.world
        records = world.store.instances("infra")
        chosen = records[number % len(records)] if records else None
        if what in ("lose", "stop", "fail") and chosen is not None:
            with contextlib.suppress(Exception):  # it is lost already
                world.cloud.change(chosen.instance_id, what)
        elif what == "sicken":
            self.sick.update(dict.fromkeys([record.address for record in records[:number]], True))
        elif what == "recover":
            self.sick.clear()
        elif what == "wait":
            world.clock.time += number
        elif what == "maintain":
            world.convergence().maintain()
        elif what == "scale":
            world.store.request_scaling("infra", "web", ScaleKind.SET, number, "", world.clock.now())
        elif what == "drop one" and chosen is not None:
            kind, now = ScaleKind.CHANGE, world.clock.now()
            world.store.request_scaling("infra", chosen.node_name, kind, -1, chosen.node_id, now)
        elif what == "break definition":
            self.define(image="{{ nobody }}")
        elif what == "mend definition":
            self.define()

    def rows(self):
        return {record.node_id: record for record in self.world.store.instances("infra")}


@pytest.fixture
def make_scene(empty_store):
    with contextlib.ExitStack() as scenes:

        def made():
            scene = Scene(Path(scenes.enter_context(tempfile.TemporaryDirectory())), empty_store)
            scenes.callback(scene.world.store.close)
            return scene

        yield made


def check_done(plan, before, after):
    """The pass between these rows has taken the steps of the plan, and no other."""
    going = {node_id for node_id in before if node_id not in after or after[node_id].stage is Stage.DROPPING}
    assert going == {step.node_id for step in plan.of(Verb.DESTROY, Verb.REPLACE)}
    made = Counter(after[node_id].node_name for node_id in after.keys() - before.keys())
    assert made == Counter(step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE))
    assert plan.staying == before.keys() - going


@given(acts=ACTS)
@PROFILE
def test_a_pass_does_what_its_preview_shows(make_scene, acts):
    scene = make_scene()
    for act in acts:
        scene.act(*act)
    before, told, calls = scene.rows(), len(scene.world.events), scene.world.cloud.calls()["total"]
    convergence = scene.world.convergence()
    plan = convergence._run(preview(convergence.context))
    assert (scene.rows(), len(scene.world.events)) == (before, told), "a preview changes nothing"
    now = scene.world.cloud.calls()["total"]
    assert all(now[call] == calls[call] for call in ("create", "delete"))
    scene.world.convergence().maintain()
    check_done(plan, before, scene.rows())
    assert bool(plan.frozen) == bool(scene.world.store.infrastructure("infra").frozen)


@given(acts=ACTS, number=st.integers(0, len(DESCRIPTIONS) - 1))
@PROFILE
def test_a_build_does_what_its_plan_shows(make_scene, acts, number):
    scene = make_scene()
    for act in acts:
        scene.act(*act)
    scene.define()
    before = scene.rows()
    plan = scene.world.convergence().plan(DESCRIPTIONS[number])
    assert scene.rows() == before
    scene.sick.clear()  # or what is made would never be ready
    scene.world.build(DESCRIPTIONS[number])
    check_done(plan, before, scene.rows())
    assert {step.hold for step in plan.of(Verb.WAIT)} <= {Hold.ILLNESS}


def test_the_preview_of_an_interrupted_build_is_its_plan(make_scene):
    scene = make_scene()
    lease = scene.world.store.acquire("infra", "test", scene.world.clock.now())
    with scene.world.store.changing(lease) as change:
        change.put_candidate(DESCRIPTIONS[2])
    scene.world.store.release(lease)
    before = scene.rows()
    convergence = scene.world.convergence()
    plan = convergence._run(preview(convergence.context))
    assert {step.node_name for step in plan.of(Verb.DESTROY)} == {"db"}
    scene.world.convergence().maintain()
    check_done(plan, before, scene.rows())


def test_the_preview_of_a_destruction_is_that_everything_goes(make_scene):
    scene = make_scene()
    scene.world.store.request_destroy("infra")
    convergence = scene.world.convergence()
    plan = convergence._run(preview(convergence.context))
    assert {step.verb for step in plan.steps} == {Verb.DESTROY}
    assert {step.reason for step in plan.steps} == {"the infrastructure is being destroyed"}
    scene.world.convergence().maintain()
    scene.world.assert_nothing()
