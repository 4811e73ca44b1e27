"""Requests that a plan compares."""

from __future__ import annotations

from occopus_core.engine.differences import rendered_requests
from occopus_core.engine.instance.work import Work
from occopus_core.engine.planning.plan import Verb

from ..conftest import infrastructure, node, userdata


def _define(world, image):
    world.define("db", image=image)
    world.define("web", implementations=[{"contextualisation": userdata("peer {{ getip('one') }}")}])


def _rendered(monkeypatch):
    """The number of requests that are rendered from now on, for each node."""
    counts = {}
    render = rendered_requests.rendered_fingerprint

    def counted(scope, subject):
        counts[subject.node.name] = counts.get(subject.node.name, 0) + 1
        return render(scope, subject)

    monkeypatch.setattr(rendered_requests, "rendered_fingerprint", counted)
    return counts


def test_a_plan_renders_a_request_once_before_and_once_after_the_change(world, monkeypatch):
    described = infrastructure(node("one", "db"), node("two", "db"), node("three", "db"), "web", edges=[("web", "two")])
    _define(world, "a")
    world.build(described)
    _define(world, "b")
    counts = _rendered(monkeypatch)
    plan = world.convergence().plan(described)
    (kept,) = plan.of(Verb.KEEP)
    assert "addresses of one, which change" in kept.reason
    assert counts == {"web": 2}


def test_a_plan_that_changes_nothing_renders_no_request_for_it(world, monkeypatch):
    described = infrastructure(node("one", "db"), "web", edges=[("web", "one")])
    _define(world, "a")
    world.build(described)
    counts = _rendered(monkeypatch)
    assert world.convergence().plan(described).empty
    assert counts == {}


def _looks_at_instances(world, monkeypatch, count):
    """How often a plan that changes all dependees of `count` nodes asks an instance for the name of its node."""
    names = [f"web{number}" for number in range(count)]
    described = infrastructure(
        *(node(name, "db") for name in ("one", "two")),
        *(node(name, "web") for name in names),
        edges=[(name, "one") for name in names],
        name=f"of-{count}",
    )
    _define(world, "a")
    world.convergence(described.name).build(described)
    _define(world, "b")
    looks = []
    of_record = Work.node_name.fget
    monkeypatch.setattr(Work, "node_name", property(lambda work: looks.append(work) or of_record(work)))
    plan = world.convergence(described.name).plan(described)
    monkeypatch.undo()
    assert [step.node_name for step in plan.of(Verb.KEEP) if "addresses of one" in step.reason] == names
    return len(looks)


def test_the_steps_of_a_plan_grow_with_the_number_of_nodes_and_not_with_its_square(world, monkeypatch):
    few, many = (_looks_at_instances(world, monkeypatch, count) for count in (10, 40))
    assert many < 5 * few
