"""The order of destruction counts what templates refer to, as the order of a build does."""

import pytest

from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind

from ..conftest import infrastructure, node, userdata

TEMPLATES = [
    "{{ getip('base') }}",
    "{% if getip('ba' ~ 'se') %}x{% endif %}",
    "{% if false %}{{ getip('base') }}{% endif %}",
]


@pytest.fixture(params=TEMPLATES, ids=["plain", "composed", "not rendered"])
def defined(world, request):
    world.define("base", "other", delete_seconds=2)
    world.define("top", implementations=[{"contextualisation": userdata(request.param)}], delete_seconds=2)
    return world


def dropped(world):
    return world.told(EventKind.NODE_DROPPED)


def test_a_dependent_goes_before_what_its_template_names(defined):
    defined.build(infrastructure("base", "top"))
    defined.events.clear()
    defined.destroy()
    events = [(event.kind, event.node_name) for event in defined.events]
    assert events.index((EventKind.NODE_DROPPED, "top")) < events.index((EventKind.NODE_DROPPING, "base"))
    defined.assert_nothing()


def test_it_is_the_implementation_that_was_used_that_counts(defined):
    defined.build(infrastructure("base", "top"))
    defined.define("top")
    defined.events.clear()
    defined.destroy()
    assert dropped(defined) == ["top", "base"]


def test_a_definition_that_cannot_be_rendered_any_more_keeps_nothing_alive(defined):
    defined.build(infrastructure("base", "top"))
    defined.install("context", "other", defined._plugins.pop(("context", "cloudinit")))
    defined.destroy()
    defined.assert_nothing()


def test_nodes_that_are_no_longer_described_go_in_that_order(defined):
    defined.build(infrastructure("base", "top", "other"))
    defined.events.clear()
    defined.build(infrastructure("other"))
    assert dropped(defined) == ["top", "base"]


def test_references_that_contradict_the_description_do_not_count(defined):
    defined.build(infrastructure("base", "top"))
    lease = defined.store.acquire("infra", "test", defined.clock.now())
    with defined.store.changing(lease) as change:
        change.finish_build(infrastructure("base", "top", edges=[("base", "top")]), {"base": 1, "top": 1})
    defined.store.release(lease)
    defined.events.clear()
    defined.destroy()
    assert dropped(defined) == ["base", "top"]


def test_maintenance_drops_in_that_order_too(world):
    world.define("base", delete_seconds=2)
    world.define("top", implementations=[{"contextualisation": userdata("{{ getip('base') }}")}], delete_seconds=2)
    world.build(infrastructure(node("base", min=1, max=2), node("top", min=1, max=2)))
    for count in (2, 1):
        world.events.clear()
        for name in ("base", "top"):
            world.store.request_scaling("infra", name, ScaleKind.SET, count, "", world.clock.now())
        world.convergence().maintain()
    assert dropped(world) == ["top", "base"]
