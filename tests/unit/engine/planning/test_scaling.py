"""What becomes of a request for one instance, where its name fits several."""

from __future__ import annotations

import pytest

from occopus_core.api.resource import Address
from occopus_core.engine.planning.scaling import scale
from occopus_core.events import EventKind
from occopus_core.store.records import InstanceRecord, ScaleKind, ScaleRequest, Stage

from ..conftest import infrastructure, node

SHARED = "10.0.0.9"


def record(node_id, stage=Stage.READY):
    values = (node_id, "infra", "web", 1, f"token-{node_id}", "digest", "{}", "fingerprint", stage, 2.0, 1.0)
    return InstanceRecord(*values, addresses=(Address(SHARED),))


def answered(instance, *records):
    request = ScaleRequest(1, "infra", "web", ScaleKind.CHANGE, -1, instance, 0.0)
    scaled = scale([request], infrastructure(node("web", min=1, max=5)), {"web": 3}, records)
    return scaled.answers[0], scaled.condemned, scaled.targets["web"]


def test_an_address_that_several_have_chooses_none_of_them():
    answer, condemned, target = answered(SHARED, record("a"), record("b"))
    assert (answer.kind, condemned, target) == (EventKind.SCALE_REFUSED, set(), 3)
    assert answer.text == "several instances have the address '10.0.0.9': name one of a, b"


@pytest.mark.parametrize(("instance", "goes"), [("a", "a"), (SHARED, "b")])
def test_an_id_or_an_address_that_one_alone_has_chooses_it(instance, goes):
    other = record("a", Stage.READY if instance == "a" else Stage.DROPPING)
    answer, condemned, target = answered(instance, other, record("b"))
    assert (answer.kind, condemned, target) == (EventKind.SCALE_APPLIED, {goes}, 2)


def test_requests_to_replace_a_node_are_left_to_builds():
    requests = [ScaleRequest(1, "infra", name, ScaleKind.REPLACE, 0, "", 0.0) for name in ("web", "nobody")]
    scaled = scale(requests, infrastructure(node("web", min=1, max=5)), {"web": 3}, [record("a")])
    assert (scaled.targets, scaled.condemned, scaled.answers) == ({"web": 3}, set(), [])
