"""Requests that a plan compares."""

from __future__ import annotations

from occopus_core.engine.passes import rendered_requests
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
