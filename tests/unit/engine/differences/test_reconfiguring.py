"""Configurations of instances that are ready: changed, moved, lost, and what dependees hand to dependents."""

import contextlib
import itertools

import pytest

from occopus_core.api import ConfigState
from occopus_core.descriptions.model import AttributeMapping, Dependency, Infrastructure, Scaling
from occopus_core.descriptions.model import NodeDescription as Node
from occopus_core.engine.passes.errors import UnconfiguredError
from occopus_core.engine.passes.previewing import preview
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.report import Snapshot
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import ScaleKind

from ..configured import Managers
from ..conftest import infrastructure, node
from ..fakes import KilledError, Life
from ..instance.test_creation import failure
from ..passes.test_maintenance_loop import Keeper


@pytest.fixture
def managers(world):
    return Managers(world)


def mapped(*mappings, nodes=None, web=1):
    """`web` needs `db`, which hands it these."""
    nodes = nodes or (Node("db", "db"), Node("web", "web", scaling=Scaling(web, 5)))
    return Infrastructure("infra", nodes, (Dependency("web", "db", tuple(mappings)),), user_id="me")


def ids(world, name=None):
    return {row.instance_id for row in world.store.instances("infra") if name in (None, row.node_name)}


def steps(plan, *verbs):
    return [(step.verb, step.node_name, step.reason) for step in plan.steps if step.verb in verbs]


def held(managers, name, endpoint="chef"):
    (found,) = managers.held(endpoint)[name]
    return found


# Mappings


def test_a_published_attribute_reaches_templates_attributes_and_the_manager_under_its_new_name(world, managers):
    managers.define(
        "db", attributes={"port": "{{ variables.port }}"}, publish={"fqdn": "db.example.org", "a": {"b": 7}}
    )
    managers.define(
        "web", context="serve {{ db_port }} {{ fqdn }}", attributes={"to": "{{ db_port }}"}, role="{{ deep }}"
    )
    description = mapped(
        AttributeMapping("port", "db_port"),
        AttributeMapping("fqdn", "fqdn", True),
        AttributeMapping("a.b", "deep"),
        AttributeMapping("ip", "db.address"),
        nodes=(Node("db", "db", variables={"port": 5432}), Node("web", "web")),
    )
    world.build(description)
    web = held(managers, "web")
    (db,) = [row for row in world.store.instances("infra") if row.node_name == "db"]
    assert web.mapped == {"db_port": "5432", "fqdn": "db.example.org", "deep": 7, "db.address": db.address}
    assert web.attributes == {"to": "5432"}
    assert web.section["role"] == "7"


def test_synch_waits_for_the_attribute_and_says_so(world, managers):
    managers.define("db")
    managers.define("web")
    store, start = managers.at(), world.clock.now()

    def publish(operation):
        if operation == "status" and world.clock.now() - start > 50:
            for each in store.service.nodes.values():
                each.section = {**each.section, "publish": {"fqdn": "late"}}

    store.during = publish
    world.build(mapped(AttributeMapping("fqdn", "db_fqdn", True)))
    assert held(managers, "web").mapped == {"db_fqdn": "late"}
    waits = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING and event.node_name == "web"]
    assert "for the attribute 'fqdn' of node 'db' ('db_fqdn')" in waits


def test_synch_has_a_limit_and_names_what_it_waited_for(world, managers):
    managers.define("db")
    managers.define("web", timeout=40.0)
    start = world.clock.now()
    assert failure(world, mapped(AttributeMapping("fqdn", "db_fqdn", True))) == [
        "node 'web' (memory memory): the attribute 'fqdn' of node 'db' ('db_fqdn') was not published within 40 s"
    ]
    assert 40 <= world.clock.now() - start < 80
    managers.assert_nothing()


def test_the_limit_of_synch_ends_when_the_attribute_is_there(world, managers):
    """Then the new instance waits for the former one, which holds its port and takes longer."""
    wanted = mapped(AttributeMapping("fqdn", "db_fqdn", True))
    slow = {"timeout": 60.0, "resource": {"port": "8000", "delete_seconds": 200}}
    managers.define("db", publish={"fqdn": "early"})
    managers.define("web", **slow)
    world.build(wanted)
    managers.define("db", resource={"image": "other"})
    managers.define("web", context="#cloud-config\n", **slow)
    store, start = managers.at(), world.clock.now()

    def publish(operation):
        if operation == "status" and world.clock.now() - start > 30:
            for each in store.service.nodes.values():
                each.section = {**each.section, "publish": {"fqdn": "late"}}

    store.during = publish
    world.build(wanted)
    assert held(managers, "web").mapped == {"db_fqdn": "late"}
    world.assert_runs({"db": 1, "web": 1})


def test_without_synch_a_missing_attribute_is_an_undefined_name(world, managers):
    managers.define("db")
    managers.define("web", context="{{ db_fqdn }}")
    (problem,) = failure(world, mapped(AttributeMapping("fqdn", "db_fqdn")))
    assert "'db_fqdn' is undefined" in problem


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            AttributeMapping("port", "p"),
            "nothing can publish 'port': implementation 'memory memory' of node 'db'",
        ),
        (AttributeMapping("ip", "name"), "'name' is reserved in templates"),
        (AttributeMapping("ip", "getip"), "'getip' is reserved in templates"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_by_the_plan(world, managers, mapping, message):
    world.define("db")
    managers.define("web")
    with pytest.raises(InvalidDesignError, match=message):
        world.convergence().plan(mapped(mapping))


def test_two_mappings_to_one_name_are_refused(world, managers):
    managers.define("db")
    managers.define("web")
    with pytest.raises(InvalidDesignError, match=r"node 'web' gets 'x' from db\.a already"):
        world.build(mapped(AttributeMapping("a", "x"), AttributeMapping("b", "x")))


# Reconfiguring


def test_a_changed_section_reconfigures_without_replacement_and_the_plan_says_so(world, managers):
    managers.define("db", role=["db"])
    description = infrastructure(node("db", min=2))
    world.build(description)
    before = ids(world)
    managers.define("db", role=["db", "backup"])
    plan = world.convergence().plan(description)
    assert steps(plan, *Verb) == [(Verb.RECONFIGURE, "db", "config_management.role changed")] * 2
    world.build(description)
    assert ids(world) == before
    assert [each.section["role"] for each in managers.held()["db"]] == [["db", "backup"]] * 2
    assert world.told(EventKind.NODE_RECONFIGURING) == ["db", "db"]
    assert world.told(EventKind.NODE_RECONFIGURED) == ["db", "db"]
    assert world.convergence().plan(description).empty


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_a_reconfiguration_that_was_killed_is_taken_back_with_its_description(world, managers, moment):
    """At whatever commit it is killed: the former configuration is wanted again, and applied."""
    former, later = infrastructure(node("db", port=1)), infrastructure(node("db", port=2))
    managers.define("db", attributes={"port": "{{ variables.port }}"}, seconds=5)
    world.build(former)
    before, killed_in_configuration = ids(world), 0
    for commits in itertools.count(1):
        try:
            world.build(later, life=Life(moment, commits))
        except KilledError:
            (left,) = world.store.configurations.of("infra")
            killed_in_configuration += left.applied != left.wanted
            world.clock.time += 16
            world.build(former)
        else:
            break
        (kept,) = world.store.configurations.of("infra")
        assert (kept.applied, kept.attributes) == (kept.wanted, {"port": "1"})
        assert (ids(world), held(managers, "db").attributes) == (before, {"port": "1"})
        assert world.convergence().plan(former).empty
    assert killed_in_configuration >= 2


@pytest.mark.parametrize("kind", ["permanent", "error_500", "hang"])
def test_a_configuration_that_cannot_be_taken_back_at_once_is_taken_back_later(world, managers, kind):
    """The job of the interrupted reconfiguration ends meanwhile, and nothing is taken for what is wanted."""
    former, later = infrastructure(node("db", port=1)), infrastructure(node("db", port=2))
    managers.define("db", attributes={"port": "{{ variables.port }}"}, seconds=500)
    world.build(former)
    with pytest.raises(KilledError):
        world.build(later, life=Life("after commit", 6))
    assert held(managers, "db").attributes == {"port": "2"}
    world.clock.time += 16
    managers.at().set_faults([{"kind": kind, "operation": "configure"}, {"kind": kind, "operation": "cancel"}])
    with pytest.raises(UnconfiguredError):
        world.build(former)
    assert world.store.configurations.of("infra")[0].applied == ""
    managers.at().set_faults([])
    for _ in range(3):
        world.clock.time += 1000
        world.convergence().maintain()
    assert held(managers, "db").attributes == {"port": "1"}
    assert world.convergence().plan(former).empty


def test_changed_attributes_and_variables_reconfigure(world, managers):
    managers.define("db", attributes={"port": "{{ variables.port }}"})
    world.build(infrastructure(node("db", port=1)))
    before = ids(world)
    changed = infrastructure(node("db", port=2))
    plan = world.convergence().plan(changed)
    assert steps(plan, *Verb) == [(Verb.RECONFIGURE, "db", "contextualisation.attributes.port changed")]
    world.build(changed)
    assert (ids(world), held(managers, "db").attributes) == (before, {"port": "2"})


def test_nodes_are_reconfigured_one_by_one(world, managers):
    managers.define("db", role=1, seconds=10)
    world.build(infrastructure(node("db", min=3)))
    managers.define("db", role=2, seconds=10)
    store, most = managers.at(), []
    store.during = lambda _operation: most.append(
        sum(each.ends_at > world.clock.now() for each in store.service.nodes.values())
    )
    world.build(infrastructure(node("db", min=3)))
    assert max(most) == 1
    assert [each.section["role"] for each in managers.held()["db"]] == [2, 2, 2]


def test_those_that_wait_for_their_turn_are_shown_with_the_reason(world, managers):
    managers.define("db", role=1, seconds=10)
    world.build(infrastructure(node("db", min=3)))
    managers.define("db", role=2, seconds=10)
    seen = []

    def look(_operation):
        snapshot = Snapshot.of(
            world.store.infrastructure("infra"),
            world.store.instances("infra"),
            configurations=world.store.configurations.of("infra"),
        )
        seen.append(sorted(snapshot.note(one) for one in snapshot.nodes["db"]))

    managers.at().during = look
    world.build(infrastructure(node("db", min=3)))
    waits = "it waits for its turn: instances of 'db' are reconfigured 1 at a time"
    assert ["it is being reconfigured", waits, waits] in seen
    assert ["", "it is being reconfigured", waits] in seen
    assert ["", "", "it is being reconfigured"] in seen
    managers.at().during = lambda _operation: None
    look("")
    assert seen[-1] == ["", "", ""]
    waiting = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]
    assert waiting.count("for its turn: instances of 'db' are reconfigured 1 at a time") == 2


def test_only_those_that_are_reconfigured_wait_for_their_turn(world, managers):
    """A dependee that is reconfigured may hand its dependents another value, and does not."""
    managers.define("db", role=1, seconds=5, publish={"fqdn": "one"})
    managers.define("web", seconds=5, attributes={"to": "{{ fqdn }}"})
    description = mapped(AttributeMapping("fqdn", "fqdn"), web=3)
    world.build(description)
    managers.define("db", role=2, seconds=5, publish={"fqdn": "one"})
    plan = world.convergence().plan(description)
    assert len(plan.of(Verb.RECONFIGURE)) == 4, "the plan cannot know"
    world.events.clear()
    world.build(description)
    assert world.told(EventKind.NODE_RECONFIGURED) == ["db"]
    waiting = [event for event in world.events if event.kind is EventKind.NODE_WAITING]
    assert not [event for event in waiting if event.node_name == "web"]


def test_those_that_were_left_as_they_are_wait_no_more(world, managers):
    managers.define("db", role=1)
    description = infrastructure(node("db", min=3))
    world.build(description)
    managers.define("db", role=2, fail="no such role")
    with pytest.raises(UnconfiguredError):
        world.build(description)
    states = sorted(one.state.value for one in world.store.configurations.of("infra"))
    assert states == ["failed", "ready", "ready"]
    assert len(world.told(EventKind.NODE_RECONFIGURED)) == 0


def test_more_are_reconfigured_at_once_where_that_is_wanted(world, managers):
    managers.define("db", role=1, seconds=10)
    world.build(infrastructure(node("db", min=5)))
    managers.define("db", role=2, seconds=10, max_parallel=2)
    store, most = managers.at(), []
    store.during = lambda _operation: most.append(
        sum(each.ends_at > world.clock.now() for each in store.service.nodes.values())
    )
    world.build(infrastructure(node("db", min=5)))
    assert max(most) == 2
    assert [each.section for each in managers.held()["db"]] == [managers.held()["db"][0].section] * 5
    assert "max_parallel" not in managers.held()["db"][0].section


def test_another_limit_alone_reconfigures_nothing(world, managers):
    managers.define("db", role=1)
    world.build(infrastructure("db"))
    managers.define("db", role=1, max_parallel=4)
    assert world.convergence().plan(infrastructure("db")).empty


def roles(managers):
    return sorted(each.section["role"] for each in managers.held()["db"])


def test_the_first_that_fails_is_the_last_that_is_reconfigured(world, managers):
    managers.define("db", role=1)
    description = infrastructure(node("db", min=3))
    world.build(description)
    managers.define("db", role=2, fail="no such role")
    with pytest.raises(UnconfiguredError, match="another instance of the node could not be"):
        world.build(description)
    assert roles(managers) == [1, 1, 2]
    managers.define("db", role=3)
    world.build(description)
    assert roles(managers) == [3, 3, 3]


def test_maintenance_goes_no_further_than_the_one_that_fails(world, managers):
    managers.define("lb", role="{% for ip in getipall('web') %}{{ ip }} {% endfor %}")
    world.define("web", boot_seconds=1)
    world.build(infrastructure(node("lb", min=3), node("web", max=5), edges=[("lb", "web")]))
    before = {each.section["role"] for each in managers.held()["lb"]}
    for each in managers.at().service.nodes.values():
        each.fail = "disk full"
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    convergence = world.convergence()
    for _ in range(20):
        convergence.maintain()
        world.clock.time += 10
    assert len([each for each in managers.held()["lb"] if each.section["role"] not in before]) == 1
    for each in managers.at().service.nodes.values():
        each.fail = ""
    for _ in range(3):
        world.clock.time += 600
        convergence.maintain()
    assert {each.section["role"] for each in managers.held()["lb"]} == {addresses(world)}


def test_what_cannot_be_reconfigured_live_is_replaced(world, managers):
    managers.plugin.live = False
    managers.define("db", role=1)
    description = infrastructure("db")
    world.build(description)
    before = ids(world)
    managers.define("db", role=2)
    assert steps(world.convergence().plan(description), *Verb) == [
        (Verb.REPLACE, "db", "config_management.role changed")
    ]
    world.build(description)
    assert not ids(world) & before
    assert held(managers, "db").section["role"] == 2


def requested(world, name):
    world.store.request_scaling("infra", name, ScaleKind.REPLACE, 0, "", world.clock.now())
    plan = world.convergence().preview()
    world.convergence().maintain()
    return plan


@pytest.mark.parametrize("live", [True, False])
def test_a_requested_replacement_changes_the_configuration_of_its_dependents_alone(world, managers, live):
    managers.plugin.live = live
    managers.define("db")
    managers.define("web", role="{{ getip('db') }}")
    managers.define("other", role="{{ variables.version }}")
    nodes = (Node("db", "db"), Node("web", "web"), Node("other", "other", variables={"version": 1}))
    world.build(mapped(nodes=nodes))
    other, before = held(managers, "other"), ids(world)
    lost = next(each for each in managers.at().service.nodes.values() if each.node_name == "other")
    del managers.at().service.nodes[lost.node_id]
    plan = requested(world, "db")
    way = Verb.RECONFIGURE if live else Verb.REPLACE
    (web,) = [step for step in plan.steps if step.node_name == "web"]
    assert web.verb is way
    (waits,) = [step for step in plan.steps if step.node_name == "other"]
    assert (waits.verb, waits.hold) == (Verb.WAIT, Hold.REPLACEMENT)
    assert held(managers, "web").section["role"] == next(
        row.address for row in world.store.instances("infra") if row.node_name == "db"
    )
    assert held(managers, "other").section == other.section, "the maintenance that follows has seen to it"
    assert len(before - ids(world)) == (1 if live else 2)


def test_a_reconfiguration_that_fails_leaves_the_node_and_says_so(world, managers):
    managers.define("db", role=1)
    description = infrastructure("db")
    world.build(description)
    before = ids(world)
    managers.define("db", role=2, fail="no such role")
    with pytest.raises(UnconfiguredError, match=r"node 'db' .*: not reconfigured: no such role"):
        world.build(description)
    world.assert_runs({"db": 1})
    assert ids(world) == before
    assert notes(world) == ["not reconfigured: no such role"]
    managers.define("db", role=2)
    world.build(description)
    assert world.convergence().plan(description).empty
    assert notes(world) == [""]


def notes(world):
    """What a report says of each instance."""
    rows, configurations = world.store.instances("infra"), world.store.configurations.of("infra")
    snapshot = Snapshot.of(world.store.infrastructure("infra"), rows, configurations=configurations)
    return [snapshot.note(row) for row in rows]


def test_what_cmd_prints_reconfigures_nothing(world, managers):
    managers.define("db", role="{{ cmd('date +%N') }}")
    world.build(infrastructure("db"))
    assert world.convergence().plan(infrastructure("db")).empty
    world.convergence().maintain()
    assert world.told(EventKind.NODE_RECONFIGURING) == []


# A section that is removed, or moved to another manager


def test_a_section_that_is_removed_is_forgotten_and_the_node_stays(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    before = ids(world)
    world.define(
        "db", implementations=[{"contextualisation": {"type": "cloudinit", "context_template": "#cloud-config"}}]
    )
    plan = world.convergence().plan(infrastructure("db"))
    assert steps(plan, *Verb) == [(Verb.RECONFIGURE, "db", "memory chef does not configure it any more")]
    world.build(infrastructure("db"))
    assert ids(world) == before
    assert managers.held() == {}
    world.destroy()
    world.assert_nothing()
    managers.assert_nothing()


def killed_with_a_job(managers):
    """The process dies once the second job of a node has begun."""
    if any(node.jobs > 1 for node in managers.held()["db"]):
        raise KilledError


def without_section(world):
    world.define(
        "db", implementations=[{"contextualisation": {"type": "cloudinit", "context_template": "#cloud-config"}}]
    )


def test_the_manager_of_a_removed_section_takes_the_node_out_of_service_before_it_forgets_it(world, managers):
    managers.define("db", leave_seconds=2)
    world.build(infrastructure("db"))
    before = ids(world)
    without_section(world)
    world.build(infrastructure("db"))
    assert ids(world) == before
    assert managers.at().service.forgotten == [{"node_name": "db", "state": "ready", "left": True}]
    assert managers.held() == {}
    assert world.store.configurations.of("infra") == []


@pytest.mark.parametrize(
    ("section", "faults", "longest"),
    [
        ({"leave_seconds": 100_000}, [], 65),
        ({}, [{"kind": "hang", "operation": "leave"}], 65),
        ({}, [{"kind": "error_500", "operation": "leave"}], 65),
        ({}, [{"kind": "permanent", "operation": "leave"}], 5),
    ],
)
def test_one_that_does_not_let_a_node_go_is_waited_for_as_long_as_it_may_take(
    world, managers, section, faults, longest
):
    managers.define("db", **section)
    world.build(infrastructure("db"))
    without_section(world)
    managers.at().set_faults(faults)
    began = world.clock.now()
    world.build(infrastructure("db"))
    assert longest - 6 < world.clock.now() - began < longest
    assert managers.at().service.forgotten == [{"node_name": "db", "state": "ready", "left": False}]
    world.assert_runs({"db": 1})


def test_the_new_manager_begins_when_the_old_one_has_let_the_node_go(world, managers):
    managers.define("db", leave_seconds=3)
    world.build(infrastructure("db"))
    managers.define("db", endpoint="salt")
    left = []

    def answered(operation):
        if operation == "configure":
            left.append(
                held(managers, "db").leaves_at is not None and world.clock.now() >= held(managers, "db").leaves_at
            )

    managers.at("salt").answered = answered
    world.build(infrastructure("db"))
    assert left == [True]


def test_a_departure_has_its_whole_time_also_soon_after_another_one(world, managers):
    """The address of the manager changes twice in one pass; the second manager does not let the node go."""
    world.define("server")
    world.define("slow", delete_seconds=600)
    managers.define("db", endpoint="{{ getip('server') }}")
    edges = [("db", "server")]
    world.build(infrastructure("server", "db", node("slow", min=1, max=2), edges=edges))
    world.store.request_scaling("infra", "slow", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    world.store.request_scaling("infra", "slow", ScaleKind.SET, 1, "", world.clock.now())
    keeper, asked = Keeper(world), []

    def lose():
        (server,) = ids(world, "server")
        world.cloud.change(server, "lose")

    def hold():
        (server,) = [row for row in world.store.instances("infra") if row.node_name == "server"]
        store = managers.at(server.address)
        store.set_faults([{"kind": "error_500", "operation": "leave"}])
        store.during = lambda operation: asked.append(world.clock.now()) if operation == "leave" else None
        lose()

    keeper.rounds.attach("infra")
    keeper.after(35, lose)
    keeper.after(75, hold)
    keeper.run(200)
    assert keeper.taken.count("infra") <= 2, "one pass"
    assert 55 < max(asked) - min(asked) < 61


@pytest.mark.parametrize("moment", ["before commit", "after commit", "in a call", "after a call"])
@pytest.mark.parametrize("way", ["removed", "moved"])
def test_a_running_job_is_cancelled_before_its_section_goes_whenever_that_is_killed(world, managers, moment, way):
    """The process was killed while a new configuration was applied; the next description has no manager, or another."""
    for number in itertools.count(1):
        managers.define("db")
        infra_id = f"infra{number}"
        world.build(infrastructure("db"), infra_id=infra_id)
        managers.define("db", role="other", seconds=1000)
        managers.at().answered = lambda _operation: killed_with_a_job(managers)
        with pytest.raises(KilledError):
            world.build(infrastructure("db"), infra_id=infra_id)
        without_section(world) if way == "removed" else managers.define("db", endpoint="salt")
        life = Life(moment, number)
        managers.at().during = lambda operation, life=life: life.moment("in a call")
        managers.at().answered = lambda operation, life=life: life.moment("after a call")
        with contextlib.suppress(KilledError):
            world.build(infrastructure("db"), infra_id=infra_id, life=life)
        managers.at().during = managers.at().answered = lambda operation: None
        world.clock.time += LEASE_SECONDS + 1
        world.convergence(infra_id).build(infrastructure("db"))
        [gone] = managers.at().service.forgotten[number - 1 :]
        assert gone == {"node_name": "db", "state": "pending", "left": True}
        assert managers.held() == {}
        assert len(world.store.configurations.of(infra_id)) == (0 if way == "removed" else 1)
        if not life.over:
            assert number > 2, "it was never killed"
            return


def test_a_section_that_moves_is_forgotten_by_the_old_manager(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    before = ids(world)
    managers.define("db", endpoint="salt")
    plan = world.convergence().plan(infrastructure("db"))
    assert steps(plan, *Verb) == [
        (Verb.RECONFIGURE, "db", "its configuration manager was memory chef and is memory salt")
    ]
    world.build(infrastructure("db"))
    assert (ids(world), managers.held("chef")) == (before, {})
    assert list(managers.held("salt")) == ["db"]
    world.destroy()
    managers.assert_nothing()


def test_an_old_manager_that_is_away_is_asked_again_by_maintenance(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    managers.define("db", endpoint="salt")
    managers.at("chef").set_faults([{"kind": "error_500"}])
    convergence = world.convergence()
    convergence.build(infrastructure("db"))
    assert list(managers.held("chef")) == ["db"]
    told = [event.text for event in world.events if event.kind is EventKind.NOT_FORGOTTEN]
    assert told == ["configuration manager 'memory chef' has not forgotten a node: memory manager: internal error"]
    managers.at("chef").set_faults([])
    world.convergence().maintain()
    assert managers.held("chef") == {}


# Maintenance


def test_a_ready_node_that_its_manager_lost_is_registered_again(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    managers.at().service.nodes.clear()
    world.convergence().maintain()
    assert held(managers, "db").jobs == 1
    assert [step for step, _ in managers.at().operations("status")][-2:] == ["register", "configure"]
    world.assert_runs({"db": 1})


def test_a_ready_node_whose_job_was_lost_is_configured_again(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    (node_id,) = managers.at().service.nodes
    managers.at().service.change(node_id, "lose_job")
    world.convergence().maintain()
    assert managers.at().service.nodes[node_id].status(world.clock.now())["state"] == "ready"
    world.assert_runs({"db": 1})


def test_a_quiet_pass_asks_each_manager_once_and_writes_nothing(world, managers):
    managers.define("db", attributes={"port": 1})
    world.build(infrastructure(node("db", min=3)))
    before = len(managers.at().service.log())
    events = len(world.store.events("infra"))
    world.convergence().maintain()
    assert [call["operation"] for call in managers.at().service.log()[before:]] == ["status"]
    assert len(world.store.events("infra")) == events


def test_a_manager_that_is_away_changes_nothing_and_is_told(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    managers.at().set_faults([{"kind": "error_500"}])
    convergence = world.convergence()
    convergence.maintain()
    convergence.maintain()
    told = [event.text for event in world.events if event.kind is EventKind.WAITING]
    assert told == ["for a configuration manager: memory manager: internal error"]
    world.assert_runs({"db": 1})


def test_each_of_several_managers_that_are_away_is_told_when_that_is_new(world, managers):
    managers.define("db")
    managers.define("web", endpoint="salt")
    world.build(infrastructure("db", "web"))
    convergence = world.convergence()
    for name, kind in (("chef", "error_500"), ("salt", "hang")):
        managers.at(name).set_faults([{"kind": kind, "operation": "status"}])
        convergence.maintain()
    told = [event.text for event in world.events if event.kind is EventKind.WAITING]
    assert told == [
        "for a configuration manager: memory manager: internal error",
        "for a configuration manager: memory manager: status was not answered in time",
    ]


def test_a_ready_node_whose_configuration_fails_is_configured_again_ever_more_seldom(world, managers):
    managers.define("db")
    world.build(infrastructure("db"))
    (managed,) = managers.at().service.nodes.values()
    managed.fail = "disk full"
    convergence = world.convergence()
    for _ in range(20):
        convergence.maintain()
        world.clock.time += 10
    assert 2 <= managed.jobs <= 6
    world.assert_runs({"db": 1})
    managed.fail = ""
    world.clock.time += 600
    passed = convergence.maintain()
    assert passed.undone == ()
    (record,) = world.store.configurations.of("infra")
    assert record.state is ConfigState.READY


def test_a_published_attribute_that_changes_reconfigures_the_dependent(world, managers):
    managers.define("db", publish={"fqdn": "one"})
    managers.define("web", attributes={"db": "{{ fqdn }}"})
    world.build(mapped(AttributeMapping("fqdn", "fqdn")))
    before = ids(world)
    db = held(managers, "db")
    db.section = {**db.section, "publish": {"fqdn": "two"}}
    world.convergence().maintain()
    assert (held(managers, "web").attributes, ids(world)) == ({"db": "two"}, before)


def balanced(world, managers, web=2, most=5):
    managers.define("lb", role="{% for ip in getipall('web') %}{{ ip }} {% endfor %}", seconds=3)
    world.define("web", boot_seconds=1)
    world.build(infrastructure("lb", node("web", min=web, max=most), edges=[("lb", "web")]))


def addresses(world):
    rows = [row for row in world.store.instances("infra") if row.node_name == "web"]
    return "".join(f"{row.address} " for row in sorted(rows, key=lambda row: row.position))


@pytest.mark.parametrize("count", [1, 4])
def test_a_scaled_dependee_reconfigures_its_dependents_and_the_plan_said_so(world, managers, count):
    balanced(world, managers)
    (lb,) = ids(world, "lb")
    if count == 1:
        description = infrastructure("lb", node("web", min=1, max=5), edges=[("lb", "web")])
        world.build(description)
    world.store.request_scaling("infra", "web", ScaleKind.SET, count, "", world.clock.now())
    convergence = world.convergence()
    plan = convergence._run(preview(convergence.context))
    assert steps(plan, Verb.RECONFIGURE) == [(Verb.RECONFIGURE, "lb", "config_management.role changed")]
    world.convergence().maintain()
    assert ids(world, "lb") == {lb}
    assert held(managers, "lb").section["role"] == addresses(world)
    assert len(ids(world, "web")) == count


def test_a_healed_dependee_reconfigures_its_dependents(world, managers):
    balanced(world, managers)
    (lb,) = ids(world, "lb")
    lost = min(ids(world, "web"))
    world.clock.time += 60
    world.cloud.change(lost, "lose")
    world.convergence().maintain()
    assert ids(world, "lb") == {lb}
    assert held(managers, "lb").section["role"] == addresses(world)
    assert lost not in ids(world)


def test_a_getip_of_the_first_instance_is_not_changed_by_scaling(world, managers):
    managers.define("app", role="{{ getip('web') }}")
    world.define("web")
    world.build(infrastructure("app", node("web", min=1, max=3), edges=[("app", "web")]))
    world.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", world.clock.now())
    world.convergence().maintain()
    assert world.told(EventKind.NODE_RECONFIGURING) == []
    assert len(ids(world, "web")) == 3


def test_an_update_that_replaces_the_dependee_reconfigures_the_dependent(world, managers):
    balanced(world, managers)
    (lb,) = ids(world, "lb")
    before = ids(world, "web")
    world.define("web", boot_seconds=2)
    description = infrastructure("lb", node("web", min=2, max=5), edges=[("lb", "web")])
    plan = world.convergence().plan(description)
    assert steps(plan, Verb.RECONFIGURE) == [(Verb.RECONFIGURE, "lb", "config_management.role changed")]
    world.build(description)
    assert ids(world, "lb") == {lb}
    assert not before & ids(world, "web")
    assert held(managers, "lb").section["role"] == addresses(world)
