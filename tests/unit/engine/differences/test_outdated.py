"""Instances that a plan keeps although they were made with addresses that it changes: the plan says so."""

import contextlib
import dataclasses
import itertools

import pytest

from occopus_core.descriptions.model import AttributeMapping, Dependency, NodeDescription, Scaling
from occopus_core.engine.differences import outdated
from occopus_core.engine.instance import creation
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.render import Allowance
from occopus_core.store.records import UNKNOWN_REQUEST, ScaleKind, Stage
from occopus_core.testing.simcloud import inventory
from occopus_core.testing.simcloud.inventory import digest

from ..configured import Managers
from ..conftest import infrastructure, node, userdata
from ..fakes import KilledError, Life

WARNING = (
    "its configuration was made with addresses of {}, which change: it is not updated; "
    "occopus-build with --replace proxy replaces it, too (see docs/maintenance.md)"
)

LATER = (
    "its configuration was made before other instances of {}, without their addresses; "
    "occopus-scale -i infra -n proxy --replace replaces it"
)


def described(port=1, web=1, proxy=None):
    return infrastructure(
        "db", node("web", min=web, max=9, port=port), proxy or "proxy", edges=[("web", "db"), ("proxy", "web")]
    )


@pytest.fixture
def proxied(world):
    """Builds a proxy whose user data is this."""
    world.define("db")
    world.define("web", implementations=[{"contextualisation": userdata("port {{ variables.port }}")}])

    def built(user_data, description=None, **options):
        world.define("proxy", implementations=[{"contextualisation": userdata(user_data)}])
        world.build(description or described(), **options)
        return world

    return built


def reasons(plan, name="proxy"):
    return {(step.verb, step.reason) for step in plan.steps if step.node_name == name}


@pytest.mark.parametrize(
    "user_data",
    [
        "to {{ getip('web') }}",
        "to {{ getprivip('web') }}",
        "{% for one in getipall('web') %}to {{ one }}{% endfor %}",
        "to {{ ibget('node.resource.address', find_node_id('web')) }}",
        "{% set name = 'we' ~ 'b' %}to {{ getip(name) }}",
    ],
)
def test_a_node_made_with_addresses_of_what_is_replaced_is_kept_with_that_reason(proxied, user_data):
    plan = proxied(user_data).convergence().plan(described(port=2))
    assert reasons(plan, "web") == {(Verb.REPLACE, "its definition or its variables have changed")}
    assert reasons(plan) == {(Verb.KEEP, WARNING.format("web"))}
    assert reasons(plan, "db") == {(Verb.KEEP, "")}


@pytest.mark.parametrize(
    "user_data",
    ["nothing", "to {{ getip('db') }}", "{{ 'any' if getip('web') else 'none' }}", "{{ getipall('web')|length }}"],
)
def test_a_node_that_is_made_the_same_is_not_marked(proxied, user_data):
    assert reasons(proxied(user_data).convergence().plan(described(port=2))) == {(Verb.KEEP, "")}


def test_a_host_key_or_a_command_in_the_user_data_marks_nothing(proxied):
    world = proxied("{{ cmd('date +%N') }} {{ node_id }} {{ getip('db') }}")
    assert reasons(world.convergence().plan(described(port=2))) == {(Verb.KEEP, "")}


def test_nothing_is_marked_where_nothing_changes(proxied):
    assert reasons(proxied("to {{ getip('web') }}").convergence().plan(described())) == {(Verb.KEEP, "")}


def test_the_first_address_stays_where_another_instance_comes(proxied):
    world = proxied("to {{ getip('web') }}")
    assert reasons(world.convergence().plan(described(web=2))) == {(Verb.KEEP, "")}


def test_all_addresses_change_where_another_instance_comes(proxied):
    world = proxied("to {{ getipall('web')|join(' ') }}")
    assert reasons(world.convergence().plan(described(web=2))) == {(Verb.KEEP, WARNING.format("web"))}


def test_all_nodes_that_matter_are_named(proxied):
    world = proxied("{{ getip('web') }} {{ getip('db') }}")
    world.define("db", image="another")
    assert reasons(world.convergence().plan(described(port=2))) == {(Verb.KEEP, WARNING.format("db and web"))}


def test_an_address_under_a_name_of_a_mapping_counts(proxied):
    before = described()
    edges = (before.dependencies[0], Dependency("proxy", "web", (AttributeMapping("ip", "upstream"),)))
    before = dataclasses.replace(before, dependencies=edges)
    after = dataclasses.replace(described(port=2), dependencies=edges)
    plan = proxied("to {{ upstream }}", before).convergence().plan(after)
    assert reasons(plan) == {(Verb.KEEP, WARNING.format("web"))}


def test_a_failed_instance_in_the_plan_of_maintenance_counts(proxied):
    world = proxied("to {{ getip('web') }}")
    (row,) = [row for row in world.store.instances("infra") if row.node_name == "web"]
    world.cloud.change(row.instance_id, "fail")
    plan = world.convergence().preview()
    assert {step.verb for step in plan.steps if step.node_name == "web"} == {Verb.REPLACE}
    assert reasons(plan) == {(Verb.KEEP, WARNING.format("web"))}


def test_an_instance_less_in_the_plan_of_maintenance_counts(proxied):
    world = proxied("to {{ getipall('web')|join(' ') }}", described(web=2))
    target = described(web=1)
    world.build(target)
    world.store.request_scaling("infra", "web", ScaleKind.CHANGE, -1, "", world.clock.now())
    plan = world.convergence().preview()
    assert reasons(plan) == {(Verb.KEEP, WARNING.format("web"))}


def test_a_node_that_its_manager_reconfigures_is_not_marked(world):
    managers = Managers(world)
    world.define("db")
    world.define("web", implementations=[{"contextualisation": userdata("port {{ variables.port }}")}])
    managers.define("proxy", to="{{ getip('web') }}")
    world.build(described())
    plan = world.convergence().plan(described(port=2))
    assert reasons(plan) == {(Verb.RECONFIGURE, "config_management.to changed")}


def test_user_data_that_the_manager_does_not_see_is_marked(world):
    managers = Managers(world)
    world.define("db")
    world.define("web", implementations=[{"contextualisation": userdata("port {{ variables.port }}")}])
    managers.define("proxy", context="to {{ getip('web') }}", role="proxy")
    world.build(described())
    assert reasons(world.convergence().plan(described(port=2))) == {(Verb.KEEP, WARNING.format("web"))}


def test_replacing_the_node_in_the_same_build_makes_it_with_the_new_addresses(proxied):
    world = proxied("to {{ getip('web') }}")
    plan = world.convergence().plan(described(port=2), replaced=["proxy"])
    assert reasons(plan) == {(Verb.REPLACE, "its replacement is asked for")}
    before = {row.node_id for row in world.store.instances("infra")}
    world.convergence().build(described(port=2), replaced=["proxy"])
    rows = {row.node_name: row for row in world.store.instances("infra")}
    assert rows["proxy"].node_id not in before
    assert rows["db"].node_id in before
    (made,) = [one for one in world.live("infra") if one["owner"]["node_name"] == "proxy"]
    assert made["order"]["user_data"] == digest(f"to {rows['web'].address}")
    assert reasons(world.convergence().plan(described(port=2))) == {(Verb.KEEP, "")}


def test_a_node_with_many_instances_is_marked_in_each_step(proxied):
    proxy = NodeDescription("proxy", "proxy", scaling=Scaling(3, 3))
    world = proxied("to {{ getip('web') }}", described(proxy=proxy))
    steps = [s for s in world.convergence().plan(described(port=2, proxy=proxy)).steps if s.node_name == "proxy"]
    assert [step.reason for step in steps] == [WARNING.format("web")] * 3


def test_nothing_is_marked_where_rendering_is_cut_off(proxied, monkeypatch):
    world = proxied("to {{ getip('web') }}")
    monkeypatch.setattr(outdated, "rehearsal_allowance", lambda: Allowance(1, 0.0))
    assert reasons(world.convergence().plan(described(port=2))) == {(Verb.KEEP, "")}


# Addresses that have changed before


def heal(world, name="web"):
    (row,) = [row for row in world.store.instances("infra") if row.node_name == name]
    world.cloud.change(row.instance_id, "lose")
    world.clock.time += 600
    world.convergence().maintain()
    assert row.node_id not in {one.node_id for one in world.store.instances("infra")}


def test_a_node_made_with_the_address_of_what_was_healed_is_marked_until_it_is_replaced(proxied):
    world = proxied("to {{ getip('web') }}")
    heal(world)
    for plan in (world.convergence().preview(), world.convergence().plan(described())):
        assert plan.empty
        assert reasons(plan) == {(Verb.KEEP, LATER.format("web"))}
        assert reasons(plan, "db") == reasons(plan, "web") == {(Verb.KEEP, "")}
    world.convergence().build(described(), replaced=["proxy"])
    assert reasons(world.convergence().plan(described())) == {(Verb.KEEP, "")}


@pytest.mark.parametrize(("user_data", "marked"), [("{{ getipall('web')|join }}", True), ("{{ getip('web') }}", False)])
def test_a_node_made_before_others_were_added_is_marked_where_it_would_have_their_addresses(proxied, user_data, marked):
    world = proxied(user_data)
    world.clock.time += 600
    world.store.request_scaling("infra", "web", ScaleKind.CHANGE, 1, "", world.clock.now())
    world.convergence().maintain()
    assert reasons(world.convergence().preview()) == {(Verb.KEEP, LATER.format("web") if marked else "")}


def test_instances_of_one_node_are_marked_each_by_its_own_age(proxied):
    world = proxied("to {{ getip('web') }}", described(proxy=NodeDescription("proxy", "proxy", scaling=Scaling(1, 3))))
    heal(world)
    world.store.request_scaling("infra", "proxy", ScaleKind.CHANGE, 1, "", world.clock.now())
    world.clock.time += 600
    world.convergence().maintain()
    assert [step.reason for step in world.convergence().preview().steps if step.node_name == "proxy"] == [
        LATER.format("web"),
        "",
    ]


# What passes record


def recorded(world, name="proxy"):
    return [row.outdated for row in world.store.instances("infra") if row.node_name == name]


def said(world):
    kind = EventKind.NODE_OUTDATED.value
    return [(one.node_name, one.node_id, one.text) for one in world.store.events("infra") if one.kind == kind]


def test_a_node_that_lacks_the_address_of_what_was_healed_is_recorded_until_it_is_replaced(proxied):
    world = proxied("to {{ getip('web') }}")
    heal(world)
    assert recorded(world) == [("web",)]
    assert recorded(world, "db") == recorded(world, "web") == [()]
    world.convergence().maintain()
    assert said(world) == [("proxy", "", LATER.format("web"))], "once, in the words of the plan"
    world.convergence().build(described(), replaced=["proxy"])
    assert recorded(world) == [()]


@pytest.fixture
def same_addresses(monkeypatch):
    """Once called, every new instance of the cloud has the addresses of the instance with this number."""
    made = inventory._addresses

    def switch(number):
        monkeypatch.setattr(inventory, "_addresses", lambda _serial: made(number))

    return switch


WEB = 2
"""The number of the first web instance in the cloud: it is made after that of db."""


@pytest.mark.parametrize(
    "user_data", ["to {{ getip('web') }}", "{{ cmd('date +%N') }} {{ node_id }} {{ getip('web') }}"]
)
def test_a_node_whose_dependee_came_back_with_the_same_address_is_not_marked(proxied, same_addresses, user_data):
    world = proxied(user_data)
    same_addresses(WEB)
    heal(world)
    assert recorded(world) == [()]
    assert said(world) == []
    assert reasons(world.convergence().preview()) == {(Verb.KEEP, "")}


def test_the_mark_goes_where_the_first_address_comes_back(proxied, same_addresses):
    world = proxied("to {{ getip('web') }}")
    heal(world)
    assert recorded(world) == [("web",)]
    same_addresses(WEB)
    heal(world)
    assert recorded(world) == [()]


def test_instances_made_with_different_addresses_are_marked_each_by_its_own(proxied, same_addresses):
    world = proxied("to {{ getip('web') }}", described(proxy=NodeDescription("proxy", "proxy", scaling=Scaling(1, 3))))
    heal(world)
    world.store.request_scaling("infra", "proxy", ScaleKind.CHANGE, 1, "", world.clock.now())
    world.clock.time += 600
    world.convergence().maintain()
    same_addresses(WEB)
    heal(world)
    assert recorded(world) == [(), ("web",)]


def test_a_row_of_an_older_version_is_marked_whatever_the_address(proxied, same_addresses):
    world = proxied("to {{ getip('web') }}")
    (row,) = [row for row in world.store.instances("infra") if row.node_name == "proxy"]
    lease = world.store.acquire("infra", "me", world.clock.now())
    with world.store.changing(lease) as change:
        change.put_instances([dataclasses.replace(row, rendered="")])
    world.store.release(lease)
    same_addresses(WEB)
    heal(world)
    assert recorded(world) == [("web",)]


def test_the_row_holds_no_secret_of_what_was_rendered(proxied):
    world = proxied("password hunter2 for {{ getip('web') }}")
    (row,) = [row for row in world.store.instances("infra") if row.node_name == "proxy"]
    assert len(row.rendered) == 32
    assert "hunter2" not in str(row)
    assert [row.rendered for row in world.store.instances("infra") if row.node_name == "db"] == [""]


def test_a_node_that_discovers_others_is_not_marked(proxied):
    description = described(proxy=NodeDescription("proxy", "proxy", discovers=True))
    world = proxied("to {{ getip('web') }}", description)
    heal(world)
    assert recorded(world) == [()]
    assert reasons(world.convergence().preview()) == {(Verb.KEEP, "")}


def test_a_node_has_one_event_whatever_the_number_of_its_instances(proxied):
    proxy = NodeDescription("proxy", "proxy", scaling=Scaling(3, 3))
    world = proxied("to {{ getip('web') }} {{ getip('db') }}", described(proxy=proxy))
    heal(world)
    heal(world, "db")
    assert recorded(world) == [("db", "web")] * 3
    assert [text for _, _, text in said(world)] == [LATER.format("web"), LATER.format("db and web")]


def test_what_was_scaled_and_goes_again_leaves_no_mark(proxied):
    world = proxied("to {{ getipall('web')|join }}")
    for amount, marked in ((1, ("web",)), (-1, ())):
        world.clock.time += 600
        world.store.request_scaling("infra", "web", ScaleKind.CHANGE, amount, "", world.clock.now())
        world.convergence().maintain()
        assert recorded(world) == [marked]
    assert len(said(world)) == 1


def test_an_update_records_the_nodes_that_it_keeps_with_former_addresses(proxied):
    world = proxied("to {{ getip('web') }}")
    world.clock.time += 600
    world.build(described(port=2))
    assert recorded(world) == [("web",)]
    assert said(world) == [("proxy", "", LATER.format("web"))]


@pytest.mark.parametrize(("before", "after"), [("now", "now"), ("then", UNKNOWN_REQUEST), ("", UNKNOWN_REQUEST)])
def test_it_is_unknown_with_which_addresses_a_killed_process_has_made_one(proxied, world, monkeypatch, before, after):
    """Unless they are those of now: of two requests with one token the provider takes the first that arrives."""
    monkeypatch.setattr(creation, "rendered_fingerprint", lambda _scope, _subject: "now")
    rows = {}
    for at in itertools.count(1):
        life = Life("after commit", at)
        with contextlib.suppress(KilledError):
            proxied("to {{ getip('web') }}", infra_id=f"infra{at}", life=life)
        assert life.over, "no process was killed while it made a proxy"
        rows = {row.node_name: row for row in world.store.instances(f"infra{at}")}
        world.clock.time += 60
        if "proxy" in rows and rows["proxy"].stage is Stage.CREATING:
            break
    world.rewrite(rows["proxy"], rendered=before)
    world.build(described(), infra_id=rows["proxy"].infra_id)
    (row,) = [row for row in world.store.instances(rows["proxy"].infra_id) if row.node_name == "proxy"]
    assert (row.node_id, row.rendered) == (rows["proxy"].node_id, after)


def test_a_killed_pass_leaves_the_mark_to_the_next_one(proxied):
    """At whatever commit the process that heals is killed, the next pass marks the node, and nothing twice."""
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        world = proxied("to {{ getip('web') }}", infra_id=infra_id)
        (row,) = [row for row in world.store.instances(infra_id) if row.node_name == "web"]
        world.cloud.change(row.instance_id, "lose")
        world.clock.time += 600
        life = Life("after commit", at)
        try:
            world.convergence(infra_id, life=life).maintain()
        except KilledError:
            world.clock.time += 60
            world.convergence(infra_id).maintain()
        assert [one.outdated for one in world.store.instances(infra_id) if one.node_name == "proxy"] == [("web",)]
        kind = EventKind.NODE_OUTDATED.value
        assert len([one for one in world.store.events(infra_id) if one.kind == kind]) == 1
        if not life.over:
            assert at > 3, "it was never killed"
            return


def test_a_node_that_its_manager_reconfigures_is_not_recorded(world):
    managers = Managers(world)
    world.define("db")
    world.define("web", implementations=[{"contextualisation": userdata("port {{ variables.port }}")}])
    managers.define("proxy", to="{{ getip('web') }}")
    world.build(described())
    heal(world)
    assert recorded(world) == [()]
    assert said(world) == []


@pytest.mark.parametrize(
    "user_data", ["nothing", "{{ 'any' if getip('web') else 'none' }}", "{{ getipall('web')|length }}"]
)
def test_a_node_that_would_be_made_the_same_is_not_recorded(proxied, user_data):
    world = proxied(user_data)
    heal(world)
    assert recorded(world) == [()]
    assert reasons(world.convergence().preview()) == {(Verb.KEEP, "")}


def test_no_secret_is_recorded(proxied):
    world = proxied("password hunter2 for {{ getip('web') }}")
    heal(world)
    assert recorded(world) == [("web",)]
    assert "hunter2" not in str(said(world))


def test_nothing_is_rendered_where_nothing_was_made_or_has_no_dependents(proxied, monkeypatch):
    world = proxied("to {{ getip('web') }}")
    asked = []
    monkeypatch.setattr(outdated, "rehearsal_allowance", lambda: asked.append(1) or Allowance())
    convergence = world.convergence()
    for _ in range(3):
        world.clock.time += 600
        convergence.maintain()
    heal(world, "proxy")
    assert asked == []
    heal(world)
    assert asked == [1]
    assert recorded(world) == [("web",)]


def test_the_mark_stays_where_rendering_is_cut_off(proxied, monkeypatch):
    world = proxied("to {{ getip('web') }}")
    heal(world)
    monkeypatch.setattr(outdated, "rehearsal_allowance", lambda: Allowance(1, 0.0))
    heal(world)
    assert recorded(world) == [("web",)]
    assert world.store.infrastructure("infra").parked == ""
