import pytest

from occopus_core.api import Instance, InstanceState
from occopus_core.descriptions.model import Implementation, NodeDescription
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.plan import LOST, Verb, make_plan
from occopus_core.store.records import InstanceRecord, Stage

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


def plan(target, *rows, observed=None, **variables):
    states = {node_id: Instance(f"sim-{node_id}", state) for node_id, state in (observed or {}).items()}
    found = make_plan({"web": blueprint(**variables)}, {"web": target}, rows, states)
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
    assert plan(1, row("a", stage=Stage.BOOTING))[0] == [(Verb.KEEP, "a", "its creation goes on (booting)")]


def test_of_too_many_the_oldest_stay():
    """Whatever their numbers: one that took over the number of another may be the youngest."""
    steps, _ = plan(1, row("new", position=1, created_at=2.0), row("old", position=3, created_at=1.0))
    assert steps == [(Verb.KEEP, "old", ""), (Verb.DESTROY, "new", "more than the 1 wanted")]


def test_of_the_same_age_the_lower_number_stays():
    steps, _ = plan(1, row("third", position=3), row("first", position=1))
    assert [step[:2] for step in steps] == [(Verb.KEEP, "first"), (Verb.DESTROY, "third")]


def test_changed_variables_ask_for_another_instance():
    steps, _ = plan(1, row("a"), port=80)
    assert steps == [(Verb.REPLACE, "a", "its definition or its variables have changed")]


def test_a_half_deleted_one_is_replaced():
    steps, _ = plan(1, row("a", stage=Stage.DROPPING))
    assert steps == [(Verb.REPLACE, "a", "its deletion was begun")]


@pytest.mark.parametrize("state", LOST)
def test_a_lost_one_is_replaced(state):
    steps, _ = plan(1, row("a"), observed={"a": state})
    assert steps == [(Verb.REPLACE, "a", LOST[state])]


def test_of_the_unfit_as_many_are_replaced_as_are_wanted():
    unfit = [row(node_id, stage=Stage.DROPPING) for node_id in "abc"]
    steps, _ = plan(3, row("fit"), *unfit)
    assert [step[:2] for step in steps] == [
        (Verb.KEEP, "fit"),
        (Verb.REPLACE, "a"),
        (Verb.REPLACE, "b"),
        (Verb.DESTROY, "c"),
    ]
    steps, _ = plan(5, row("fit"), *unfit[:2])
    assert [step[:2] for step in steps[1:]] == [(Verb.REPLACE, "a"), (Verb.REPLACE, "b")] + [(Verb.CREATE, "")] * 2


@pytest.mark.parametrize("state", sorted(set(InstanceState) - set(LOST), key=lambda state: state.value))
def test_any_other_state_is_no_reason_to_replace_it(state):
    assert plan(1, row("a"), observed={"a": state})[1].empty


def test_one_being_created_is_asked_for_again_whatever_the_provider_says():
    assert plan(1, row("a", stage=Stage.CREATING), observed={"a": InstanceState.ABSENT})[1].empty


def test_a_node_that_is_no_longer_described_goes():
    found = make_plan({"web": blueprint()}, {"web": 1}, [row("a"), row("b", name="db")], {})
    assert [(step.verb, step.node_name, step.reason) for step in found.steps] == [
        (Verb.KEEP, "web", ""),
        (Verb.DESTROY, "db", "it is no longer described"),
    ]


def test_without_blueprints_everything_goes():
    found = make_plan({}, {}, [row("a"), row("b", name="db", stage=Stage.CREATING)], {})
    assert [(step.verb, step.reason) for step in found.steps] == [(Verb.DESTROY, "the infrastructure is destroyed")] * 2
    assert found.of(Verb.CREATE) == []
