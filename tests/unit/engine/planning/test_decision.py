import dataclasses

import pytest

from occopus_core.api import InstanceState
from occopus_core.descriptions.model import Implementation, NodeDescription
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.outage import Ailment, Source
from occopus_core.engine.planning.plan import LOST, Hold, Verb
from occopus_core.store.records import InstanceRecord, Setback, Stage

WAYS = (Implementation({"type": "memory", "name": "first"}), Implementation({"type": "memory", "name": "second"}))


def blueprint(name="web", **variables):
    fingerprints = {way.digest: f"{way.label} {variables}" for way in WAYS}
    return Blueprint(NodeDescription(name, "app", variables=variables), WAYS, fingerprints)


def row(node_id, name="web", position=1, stage=Stage.READY, way=0, made_from=None, created_at=0.0):
    made_from = made_from or blueprint(name)
    return InstanceRecord(
        node_id=node_id,
        infra_id="infra",
        node_name=name,
        position=position,
        token=f"occopus-{node_id}",
        implementation=WAYS[way].digest,
        connection="{}",
        fingerprint=made_from.fingerprints[WAYS[way].digest],
        stage=stage,
        since=0.0,
        created_at=created_at,
        instance_id=f"sim-{node_id}",
    )


def plan(target, *rows, lost=None, unfit=None, **more):
    """The plan that a user orders with a build."""
    ailments = {node_id: Ailment(LOST[state], fatal=True) for node_id, state in (lost or {}).items()}
    situation = Situation({"web": target}, rows, ailments=ailments, unfit=unfit or {}, **{"ordered": True, **more})
    found = decide(situation)
    return [(step.verb, step.node_id, step.reason) for step in found.steps], found


def test_nothing_there_everything_is_created():
    steps, found = plan(2)
    assert steps == [(Verb.CREATE, "", "2 wanted, 0 there")] * 2
    assert not found.empty


def test_what_fits_stays_whichever_implementation_it_was_made_by():
    steps, found = plan(2, row("a"), row("b", position=2, way=1))
    assert steps == [(Verb.KEEP, "a", ""), (Verb.KEEP, "b", "")]
    assert found.empty


def test_an_unfinished_one_is_carried_on():
    assert plan(1, row("a", stage=Stage.BOOTING))[0] == [(Verb.KEEP, "a", "its creation is under way (booting)")]


def test_of_too_many_the_oldest_stay():
    """Whatever their numbers: one that took over the number of another may be the youngest."""
    steps, _ = plan(1, row("new", position=1, created_at=2.0), row("old", position=3, created_at=1.0))
    assert steps == [(Verb.KEEP, "old", ""), (Verb.DESTROY, "new", "more than the 1 wanted")]


def test_of_the_same_age_the_lower_number_stays():
    steps, _ = plan(1, row("third", position=3), row("first", position=1))
    assert [step[:2] for step in steps] == [(Verb.KEEP, "first"), (Verb.DESTROY, "third")]


def test_changed_variables_ask_for_another_instance():
    steps, _ = plan(1, row("a"), unfit={"a": "its variables have changed"})
    assert steps == [(Verb.REPLACE, "a", "its variables have changed")]


def test_a_half_deleted_one_goes_and_another_one_is_made():
    steps, _ = plan(1, row("a", stage=Stage.DROPPING))
    assert steps == [(Verb.DESTROY, "a", "its deletion was begun"), (Verb.CREATE, "", "1 wanted, 0 there")]


@pytest.mark.parametrize("state", LOST)
def test_a_lost_one_is_replaced(state):
    steps, _ = plan(1, row("a"), lost={"a": state})
    assert steps == [(Verb.REPLACE, "a", LOST[state])]


def test_of_the_lost_as_many_are_replaced_as_are_wanted():
    lost = dict.fromkeys("abc", InstanceState.FAILED)
    steps, _ = plan(3, row("fit"), *map(row, "abc"), lost=lost)
    assert [step[:2] for step in steps] == [
        (Verb.REPLACE, "a"),
        (Verb.REPLACE, "b"),
        (Verb.DESTROY, "c"),
        (Verb.KEEP, "fit"),
    ]
    steps, _ = plan(5, row("fit"), *map(row, "ab"), lost=dict.fromkeys("ab", InstanceState.FAILED))
    verbs = [step[0] for step in steps]
    assert verbs == [Verb.REPLACE, Verb.REPLACE, Verb.KEEP, Verb.CREATE, Verb.CREATE]


def test_a_node_that_is_no_longer_described_goes():
    found = decide(Situation({"web": 1}, [row("a"), row("b", name="db")]))
    assert [(step.verb, step.node_name, step.reason) for step in found.steps] == [
        (Verb.KEEP, "web", ""),
        (Verb.DESTROY, "db", "it is no longer described"),
    ]


def test_without_targets_everything_goes():
    found = decide(Situation({}, [row("a"), row("b", name="db", stage=Stage.CREATING)]))
    why = "the infrastructure is being destroyed"
    assert [(step.verb, step.reason) for step in found.steps] == [(Verb.DESTROY, why)] * 2
    assert found.of(Verb.CREATE) == []


def test_a_changed_configuration_is_applied_without_another_instance():
    changed = {"a": "the address of 'db' has changed"}
    steps, found = plan(2, row("a"), row("b", position=2), changed=changed, ordered=False)
    assert steps == [(Verb.RECONFIGURE, "a", changed["a"]), (Verb.KEEP, "b", "")]
    assert not found.empty
    assert found.staying == {"a", "b"}


def test_what_is_replaced_or_not_ready_is_not_configured_once_more():
    changed = dict.fromkeys("ab", "other variables")
    rows = (row("a"), row("b", stage=Stage.BOOTING))
    steps, _ = plan(2, *rows, changed=changed, lost={"a": InstanceState.FAILED})
    assert [step[:2] for step in steps] == [(Verb.REPLACE, "a"), (Verb.KEEP, "b")]


# What holds a step back


def held(situation):
    return {step.node_id: (step.hold, step.until) for step in decide(situation).of(Verb.WAIT)}


def ill(*node_ids, **how):
    return {node_id: Ailment("port 80 refused", **{"fatal": True, **how}) for node_id in node_ids}


def test_an_instance_that_is_not_well_waits_until_its_timeout():
    ailments = ill("a", fatal=False, until=600.0)
    (step,) = decide(Situation({"web": 1}, [row("a")], ailments=ailments)).steps
    assert (step.verb, step.hold, step.until, step.reason) == (Verb.WAIT, Hold.ILLNESS, 600.0, "port 80 refused")


def test_a_node_that_keeps_failing_waits_for_its_back_off():
    situation = Situation({"web": 2}, [row("a")], now=103.0, ailments=ill("a"), setbacks={"web": Setback(2, 100.0)})
    assert [(step.verb, step.node_id, step.hold, step.until, step.reason) for step in decide(situation).steps] == [
        (Verb.WAIT, node_id, Hold.BACK_OFF, 110.0, "node 'web' keeps failing: tried again in 7 s at the earliest")
        for node_id in ("a", "")
    ]
    ordered = decide(dataclasses.replace(situation, ordered=True))
    assert [step.verb for step in ordered.steps] == [Verb.REPLACE, Verb.CREATE]


def test_as_many_as_the_budget_allows_are_replaced_at_the_same_time():
    rows = [row(str(number), position=number) for number in range(10)]
    ailments = ill(*"0123", source=Source.PROVIDER)
    situation = Situation({"web": 10}, rows, ailments=ailments)
    assert [step.node_id for step in decide(situation).of(Verb.REPLACE)] == ["0", "1"]
    assert held(situation) == dict.fromkeys("23", (Hold.BUDGET, None))
    assert len(decide(dataclasses.replace(situation, ordered=True)).of(Verb.REPLACE)) == len("0123")


def test_without_a_usable_definition_nothing_is_made_and_nothing_failed_goes():
    rows = [row("a"), row("b", stage=Stage.BOOTING), row("c")]
    situation = Situation({"web": 4}, rows, ailments=ill("a"), undefined={"web": "waiting for a usable definition: x"})
    assert held(situation) == dict.fromkeys(["a", "b", ""], (Hold.DEFINITION, None))


# Outages


def several(count, name="web", **how):
    return [row(f"{name}{number}", name=name, position=number, **how) for number in range(count)]


def situation_of(rows, ailments, **more):
    targets = {one.node_name: 0 for one in rows}
    for one in rows:
        targets[one.node_name] += 1
    return Situation(targets, rows, ailments=ailments, **more)


def test_when_most_fail_their_checks_at_once_all_of_them_wait():
    situation = situation_of(several(4), ill("web0", "web1", "web2"))
    assert held(situation) == dict.fromkeys(["web0", "web1", "web2"], (Hold.FROZEN, None))
    assert decide(situation).frozen.startswith("3 of 4 instances fail at once: this is treated as an outage")
    assert "occopus-build -i infra" in decide(situation).frozen


def test_an_explicit_order_is_obeyed_in_an_outage():
    found = decide(dataclasses.replace(situation_of(several(4), ill("web0", "web1", "web2")), ordered=True))
    assert not found.frozen
    assert [step.node_id for step in found.of(Verb.REPLACE)] == ["web0", "web1", "web2"]


def test_what_a_provider_reports_as_lost_is_no_outage():
    situation = situation_of(several(4), ill("web0", "web1", "web2", source=Source.PROVIDER))
    assert not decide(situation).frozen
    assert held(situation) == dict.fromkeys(["web1", "web2"], (Hold.BUDGET, None))


def test_what_a_provider_reports_as_lost_is_replaced_even_in_an_outage():
    ailments = {**ill("web0", source=Source.PROVIDER), **ill("web1", "web2", "web3")}
    found = decide(situation_of(several(5), ailments))
    assert found.frozen
    assert [step.node_id for step in found.of(Verb.REPLACE)] == ["web0"]


def test_what_is_missing_beside_others_of_its_provider_is_lost():
    found = decide(situation_of(several(5), ill("web0", "web1", "web2", "web3", source=Source.MISSING)))
    assert not found.frozen
    assert len(found.of(Verb.REPLACE)) == 1


def test_a_provider_whose_whole_list_is_missing_has_an_outage_and_others_are_healed():
    rows = [*several(9, "web"), *several(4, "db")]
    places = {one.node_id: "east" if one.node_name == "db" else "west" for one in rows}
    ailments = {**ill("db0", "db1", "db2", "db3", source=Source.MISSING), **ill("web0")}
    found = decide(situation_of(rows, ailments, places=places))
    assert found.frozen.startswith("all 4 instances on east are missing at once")
    assert {step.node_name for step in found.of(Verb.WAIT) if step.hold is Hold.FROZEN} == {"db"}
    assert [step.node_id for step in found.of(Verb.REPLACE)] == ["web0"]


def test_of_few_missing_ones_nothing_is_concluded():
    found = decide(situation_of(several(3), ill("web0", "web1", "web2", source=Source.MISSING)))
    assert not found.frozen


NEEDS_DB = {"web": {"db"}, "db": ()}


def test_dependents_of_what_is_down_do_not_count_and_wait_for_it():
    rows = [*several(1, "db"), *several(9, "web")]
    ailments = {**ill("db0"), **ill(*(f"web{number}" for number in range(9)), fatal=False, waits_for="db")}
    situation = situation_of(rows, ailments, dependees=NEEDS_DB)
    assert not decide(situation).frozen
    assert [step.node_id for step in decide(situation).of(Verb.REPLACE)] == ["db0"]
    assert {hold for hold, _ in held(situation).values()} == {Hold.DEPENDENCY}
    unfit = {"web0": "it cannot be reconfigured"}
    assert held(dataclasses.replace(situation, unfit=unfit)) == held(situation)
    ordered = decide(dataclasses.replace(situation, unfit=unfit, ordered=True))
    assert [step.node_id for step in ordered.of(Verb.REPLACE)] == ["db0", "web0"]


def test_dependents_that_fell_ill_as_their_dependee_was_replaced_are_replaced_within_the_budget():
    db = dataclasses.replace(row("db0", name="db", created_at=100.0), since=110.0)
    rows = [db, *(dataclasses.replace(one, unhealthy_since=90.0) for one in several(9, "web"))]
    found = decide(situation_of(rows, ill(*(f"web{number}" for number in range(9))), dependees=NEEDS_DB))
    assert not found.frozen
    assert len(found.of(Verb.REPLACE)) == 1
    later = [db, *(dataclasses.replace(one, unhealthy_since=1000.0) for one in several(9, "web"))]
    assert decide(situation_of(later, ill(*(f"web{n}" for n in range(9))), dependees=NEEDS_DB)).frozen


def test_dependents_that_fell_ill_before_their_dependee_recovered_are_no_outage():
    db = dataclasses.replace(row("db0", name="db"), well_since=100.0)
    web = ill(*(f"web{number}" for number in range(9)), fatal=False)
    for since, frozen in ((90.0, False), (160.0, False), (161.0, True)):
        rows = [db, *(dataclasses.replace(one, unhealthy_since=since) for one in several(9, "web"))]
        assert bool(decide(situation_of(rows, web, dependees=NEEDS_DB)).frozen) == frozen


# Outdated instances


OUTDATED = "its configuration was made before other instances of db, without their addresses"


def outdated(*node_ids, target=3, rows=(), **more):
    """The plan of maintenance, in which these instances are outdated."""
    rows = rows or [row(name, position=number) for number, name in enumerate("abc", 1)]
    return plan(target, *rows, outdated=dict.fromkeys(node_ids, OUTDATED), **{"ordered": False, **more})[1]


def test_outdated_instances_are_replaced_one_after_the_other_and_that_is_no_failure():
    found = outdated("a", "b")
    (replaced,), (waiting,) = found.of(Verb.REPLACE), found.of(Verb.WAIT)
    assert (replaced.node_id, replaced.reason, replaced.excused) == ("a", OUTDATED, True)
    assert (waiting.node_id, waiting.hold) == ("b", Hold.BUDGET)


def test_an_outdated_instance_that_has_failed_is_a_failure():
    (replaced,) = outdated("a", lost={"a": InstanceState.FAILED}).of(Verb.REPLACE)
    assert (replaced.reason, replaced.excused) == (LOST[InstanceState.FAILED], False)


def test_an_order_replaces_all_outdated_instances():
    assert [step.node_id for step in outdated("a", "b", ordered=True).of(Verb.REPLACE)] == ["a", "b"]


def test_an_outdated_instance_stays_while_its_node_keeps_failing():
    found = outdated("a", setbacks={"web": Setback(5, 100.0)}, now=110.0)
    assert [(step.node_id, step.hold) for step in found.of(Verb.WAIT)] == [("a", Hold.BACK_OFF)]
    assert not found.of(Verb.REPLACE)


def test_an_outdated_instance_stays_during_an_outage():
    rows = [row(name, position=number) for number, name in enumerate("abcde", 1)]
    slow = {name: Ailment("slow", fatal=True, source=Source.CHECK) for name in "bcde"}
    found = decide(Situation({"web": 5}, rows, ailments=slow, outdated={"a": OUTDATED}))
    assert found.frozen
    assert {(step.node_id, step.hold) for step in found.steps} == {(name, Hold.FROZEN) for name in "abcde"}


def test_what_was_made_in_the_place_of_an_outdated_instance_stays():
    """A process that was killed has begun to replace it."""
    found = outdated("a", target=1, rows=[row("a"), row("b", stage=Stage.BOOTING, created_at=10.0)])
    assert {(step.node_id, step.verb) for step in found.steps} == {("a", Verb.DESTROY), ("b", Verb.KEEP)}
