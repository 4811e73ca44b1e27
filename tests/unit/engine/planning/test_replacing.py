"""What is said of a requested replacement when it is done."""

import pytest

from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.store.records import InstanceRecord, ScaleKind, ScaleRequest, Stage

KEPT, REPLACED, GONE, CREATED = Verb.KEEP, Verb.REPLACE, Verb.DESTROY, Verb.CREATE


def row(node_id, provisional):
    return InstanceRecord(node_id, "", "web", 1, "", "", "", "", Stage.READY, 0.0, 0.0, provisional=provisional)


@pytest.mark.parametrize(
    ("former", "made", "created", "said"),
    [
        ([REPLACED, REPLACED], [], 0, "2 instances replaced"),
        ([REPLACED], [], 1, "1 instance replaced"),
        ([REPLACED, REPLACED, GONE], [], 0, "2 instances replaced"),
        ([GONE, GONE], [KEPT, KEPT], 0, "2 instances replaced"),
        ([GONE, REPLACED], [KEPT], 0, "2 instances replaced"),
        ([REPLACED], [KEPT], 0, "2 instances replaced"),
        ([], [KEPT, KEPT], 0, "2 instances replaced"),
        ([], [KEPT], 1, "2 instances replaced"),
        ([GONE], [REPLACED], 0, "1 instance replaced"),
    ],
    ids=[
        *("both are there", "one was missing", "one goes with a scaling down", "killed before the former ones went"),
        *("killed when one was made", "killed when one had gone first", "killed when both had gone first"),
        *("killed before the second was recorded", "killed before one that fails"),
    ],
)
def test_how_many_instances_were_replaced_is_known_also_after_a_kill(former, made, created, said):
    verbs = {row(f"{number}", provisional=number >= len(former)): verb for number, verb in enumerate([*former, *made])}
    steps = [
        *(Step(verb, "web", "", one.node_id) for one, verb in verbs.items()),
        *[Step(CREATED, "web", "")] * created,
    ]
    request = ScaleRequest(1, "", "web", ScaleKind.REPLACE, 0, "", 0.0)
    (answer,) = Replacing(requests=[request]).answers([*verbs], Plan(tuple(steps)), ["web"])
    assert answer.text == said
