"""What is said of replaced instances, and of those that a single pass leaves."""

import pytest

from occopus_core.engine.passes.healing import left_over, why_healed
from occopus_core.engine.planning.plan import Hold, Plan, Step, Verb
from occopus_core.store.records import InstanceRecord, Stage


def ill(reason, since=1000.0):
    return InstanceRecord(
        *("", "", "web", 1, "", "", "", "", Stage.READY, since - 30, 0.0), unhealthy_since=since, reason=reason
    )


@pytest.mark.parametrize(
    ("reason", "record", "said"),
    [
        ("it was stopped", ill("it was stopped"), "it was stopped (30 s after it became ready), replaced after 44 s"),
        ("for 44 s (limit 30 s): no", ill("no"), "for 44 s (limit 30 s): no (30 s after it became ready)"),
        ("made before other instances of db", ill("no"), "made before other instances of db"),
    ],
)
def test_how_long_it_was_ill_is_said_only_where_that_is_why_it_is_replaced(reason, record, said):
    assert why_healed(Step(Verb.REPLACE, "web", reason, "a"), record, 1044.0) == said


def test_what_a_single_pass_leaves_is_named_with_the_command_that_goes_on():
    steps = [
        *(Step(Verb.WAIT, "web", "x", str(number), Hold.BUDGET) for number in range(3)),
        Step(Verb.WAIT, "db", "x", "db", Hold.BACK_OFF, 1040.0),
        Step(Verb.WAIT, "db", "x", "", Hold.BACK_OFF, 1040.0),
        Step(Verb.WAIT, "db", "x", "ill", Hold.ILLNESS, 1060.0),
    ]
    assert list(left_over(Plan(tuple(steps)), {"web": 4, "db": 3}, "shop", 1000.0)) == [
        "node 'web': 3 of 4 instances wait until others are replaced; occopus-maintain -i shop goes on",
        "node 'db' keeps failing: 2 of 3 instances wait; occopus-maintain -i shop tries again after 40 s",
    ]
