"""What maintenance and scaling decide, whatever they are given."""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from occopus_core.api.resource import Address, InstanceId
from occopus_core.descriptions.model import Infrastructure, NodeDescription, Scaling
from occopus_core.engine.planning.backoff import LONGEST_SETBACK_DELAY, SETBACK_MEMORY, next_setback
from occopus_core.engine.planning.decision import HEAL_SHARE, Situation, decide
from occopus_core.engine.planning.outage import FREEZE_LEAST, FREEZE_SHARE, Ailment, Source
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.engine.planning.scaling import scale
from occopus_core.events import EventKind
from occopus_core.store.records import InstanceRecord, ScaleKind, ScaleRequest, Setback, Stage

EXAMPLES = int(os.environ.get("OCCOPUS_TEST_EXAMPLES", "100"))
PROFILE = settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 100)

NOW = 10_000.0
NAMES = ("db", "web", "former")
STAGES = (Stage.READY, Stage.READY, Stage.READY, Stage.RESERVED, Stage.BOOTING, Stage.DROPPING)


@st.composite
def all_records(draw):
    drawn = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(STAGES), st.booleans()), max_size=40))
    return [
        InstanceRecord(
            node_id=f"id-{number}",
            infra_id="infra",
            node_name=name,
            position=number,
            token=f"token-{number}",
            implementation="",
            connection="",
            fingerprint="",
            stage=stage,
            since=0.0,
            created_at=draw(st.floats(0, 100)),
            instance_id=InstanceId(f"i-{number}"),
            addresses=(Address(f"10.0.0.{number}"),),
            condemned=condemned and draw(st.booleans()),
        )
        for number, (name, stage, condemned) in enumerate(drawn)
    ]


@st.composite
def situations(draw):
    """Targets, records, ailments of some of those that are ready, and setbacks."""
    records = draw(all_records())
    targets = {"db": draw(st.integers(1, 15)), "web": draw(st.integers(1, 15))}
    share = draw(st.sampled_from((0, 1, 2, 3)))
    ailments = {
        record.node_id: Ailment("sick", draw(st.booleans()), draw(st.sampled_from((Source.CHECK, Source.PROVIDER))))
        for record in records
        if record.stage is Stage.READY and share > draw(st.integers(0, 3))
    }
    setback = st.builds(Setback, st.integers(1, 9), st.floats(NOW - 2 * SETBACK_MEMORY, NOW))
    return targets, records, ailments, draw(st.dictionaries(st.sampled_from(("db", "web")), setback))


@given(situations())
@settings(PROFILE)
def test_a_plan_keeps_its_promises(situation):
    targets, records, ailments, setbacks = situation
    plan = decide(Situation(targets, records, NOW, ailments, setbacks=setbacks))
    steps = plan.steps
    assert Counter(step.node_id for step in steps if step.node_id) == {record.node_id: 1 for record in records}
    assert all(bool(step.node_id) != (step.verb is Verb.CREATE) for step in steps if step.verb is not Verb.WAIT)
    assert all((step.verb is Verb.WAIT) == (step.hold is not None) for step in steps)
    assert all(step.reason for step in steps if step.verb is not Verb.KEEP)
    verbs = {step.node_id: step.verb for step in steps if step.node_id}
    for record in records:
        if record.condemned or record.stage is Stage.DROPPING or record.node_name not in targets:
            assert verbs[record.node_id] is Verb.DESTROY
    for name, target in targets.items():
        check_node(name, target, [record for record in records if record.node_name == name], plan, ailments)


def check_node(name, target, records, plan, ailments):
    steps = [step for step in plan.steps if step.node_name == name]
    count = Counter(step.verb for step in steps)
    assert len([step for step in steps if step.verb is not Verb.DESTROY]) == target, "each that is wanted has a step"
    verbs = {step.node_id: step.verb for step in steps if step.node_id}
    staying = [record for record in records if record.stage is not Stage.DROPPING and not record.condemned]
    surplus = max(0, len(staying) - target)
    gone = [record for record in staying if verbs[record.node_id] in (Verb.REPLACE, Verb.DESTROY)]
    assert len(gone) <= surplus + max(1, target * HEAL_SHARE), "never more than the share is healed"
    fatal = [r for r in gone if r.node_id in ailments and ailments[r.node_id].fatal]
    holds = {step.hold for step in steps}
    if Hold.BACK_OFF in holds:
        assert count[Verb.REPLACE] == count[Verb.CREATE] == 0
        assert len(gone) == surplus
    if plan.frozen:
        assert all(ailments[r.node_id].source is Source.PROVIDER for r in gone if verbs[r.node_id] is Verb.REPLACE)
    assert len(gone) - len(fatal) <= surplus, "beyond what is too many, only what has failed for good goes"


@given(situations())
@settings(PROFILE)
def test_it_is_frozen_when_most_fail_their_checks_and_only_then(situation):
    targets, records, ailments, setbacks = situation
    ready = sum(record.stage is Stage.READY for record in records)
    failing = sum(ailment.source is Source.CHECK for ailment in ailments.values())
    outage = ready >= FREEZE_LEAST and failing > FREEZE_SHARE * ready
    assert bool(decide(Situation(targets, records, NOW, ailments, setbacks=setbacks)).frozen) == outage


@given(situations())
@settings(PROFILE)
def test_what_is_ordered_never_waits_but_for_illness(situation):
    targets, records, ailments, setbacks = situation
    plan = decide(Situation(targets, records, NOW, ailments, setbacks=setbacks, ordered=True))
    assert {step.hold for step in plan.of(Verb.WAIT)} <= {Hold.ILLNESS}
    assert not plan.frozen
    staying = plan.staying
    assert not [r for r in records if r.node_id in staying and r.node_id in ailments and ailments[r.node_id].fatal]


@given(situations())
@settings(PROFILE)
def test_it_comes_to_rest(situation):
    """When what was decided is done often enough, and nobody is ill any more, there is nothing left to decide."""
    targets, records, ailments, _ = situation
    for number in range(30):
        plan = decide(Situation(targets, records, NOW, ailments))
        kept = plan.staying
        made = [
            InstanceRecord(
                *(f"new-{number}-{place}", "infra", step.node_name, place, "", "", "", "", Stage.READY, NOW, NOW)
            )
            for place, step in enumerate(plan.of(Verb.CREATE, Verb.REPLACE))
        ]
        records = [record for record in records if record.node_id in kept] + made
        ailments = {} if number > 20 else {key: value for key, value in ailments.items() if key in kept}
        if plan.empty and not ailments:
            break
    assert plan.empty
    assert Counter(record.node_name for record in records) == targets


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30))
@settings(PROFILE)
def test_a_node_that_keeps_failing_is_never_given_up(pauses):
    setback, now = None, NOW
    for pause in pauses:
        now += pause
        setback = next_setback(setback, now, now)
    plan = decide(Situation({"web": 1}, [], now + LONGEST_SETBACK_DELAY, setbacks={"web": setback}))
    assert [step.verb for step in plan.steps] == [Verb.CREATE]


# Scaling

LIMITS = {"db": Scaling(1, 3), "web": Scaling(2, 8)}
DESCRIPTION = Infrastructure("infra", tuple(NodeDescription(name, name, scaling=LIMITS[name]) for name in LIMITS))


@st.composite
def all_requests(draw):
    instance = st.one_of(st.just(""), st.integers(0, 6).map("id-{}".format), st.integers(0, 6).map("10.0.0.{}".format))
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from((*LIMITS, "nobody")),
                st.sampled_from([ScaleKind.SET, ScaleKind.CHANGE]),
                st.integers(-9, 9),
                instance,
            ),
            max_size=30,
        )
    )
    return [
        ScaleRequest(number, "infra", name, kind, amount, instance if kind is ScaleKind.CHANGE else "", NOW)
        for number, (name, kind, amount, instance) in enumerate(drawn)
    ]


@st.composite
def targets_within_limits(draw):
    return {name: draw(st.integers(limit.min, limit.max)) for name, limit in LIMITS.items()}


@given(all_requests(), targets_within_limits(), all_records())
@settings(PROFILE)
def test_scaling_keeps_its_promises(requests, targets, records):
    scaled = scale(requests, DESCRIPTION, targets, records)
    assert [answer.request for answer in scaled.answers] == requests, "each has its answer, in their order"
    assert all(answer.text for answer in scaled.answers)
    for name, limit in LIMITS.items():
        assert limit.min <= scaled.targets[name] <= limit.max
    by_id = {record.node_id: record for record in records}
    named = Counter(by_id[node_id].node_name for node_id in scaled.condemned)
    asked = Counter(request.node_name for request in requests if request.instance)
    assert named <= asked
    for node_id in scaled.condemned:
        assert by_id[node_id].stage is not Stage.DROPPING
        assert not by_id[node_id].condemned, "who goes already is not counted once more"


def test_one_that_is_named_twice_goes_once():
    records = [
        InstanceRecord(
            *(f"id-{number}", "infra", "web", number, "", "", "", "", Stage.READY, NOW, NOW),
            addresses=(Address(f"10.0.0.{number}"),),
        )
        for number in range(5)
    ]
    names = ("id-1", "10.0.0.1")
    requests = [ScaleRequest(n, "infra", "web", ScaleKind.CHANGE, -1, name, NOW) for n, name in enumerate(names)]
    scaled = scale(requests, DESCRIPTION, {"web": 5}, records)
    assert scaled.targets == {"web": 4}
    assert scaled.condemned == {"id-1"}
    assert [(answer.kind, answer.text) for answer in scaled.answers] == [
        (EventKind.SCALE_APPLIED, "5 -> 4"),
        (EventKind.SCALE_REFUSED, "node 'web' has no instance '10.0.0.1' any more: it is being removed already"),
    ]


@given(all_requests(), targets_within_limits(), all_records(), st.integers(0, 30))
@settings(PROFILE)
def test_it_does_not_matter_how_requests_are_shared_out_among_passes(requests, targets, records, place):
    once = scale(requests, DESCRIPTION, targets, records)
    first = scale(requests[:place], DESCRIPTION, targets, records)
    between = [
        InstanceRecord(**{**fields(record), "condemned": record.condemned or record.node_id in first.condemned})
        for record in records
    ]
    second = scale(requests[place:], DESCRIPTION, first.targets, between)
    assert second.targets == once.targets
    assert first.condemned | second.condemned == once.condemned
    assert [a.text for a in (*first.answers, *second.answers)] == [a.text for a in once.answers]


def fields(record):
    return {name: getattr(record, name) for name in InstanceRecord.__slots__}


@given(all_requests(), targets_within_limits())
@settings(PROFILE)
def test_targets_are_what_the_requests_say_one_after_another(requests, targets):
    plain = [request for request in requests if not request.instance and request.node_name in LIMITS]
    expected = dict(targets)
    for request in plain:
        limit, before = LIMITS[request.node_name], expected[request.node_name]
        wanted = request.amount if request.kind is ScaleKind.SET else before + request.amount
        expected[request.node_name] = sorted((limit.min, wanted, limit.max))[1]
    assert scale(plain, DESCRIPTION, targets, []).targets == expected
