"""Recorded exchanges with the real Azure, replayed on the stand-in."""

from __future__ import annotations

from collections import Counter

import pytest

from occopus_resource_azure.testing.contract.documents import recordings
from occopus_resource_azure.testing.contract.recorded import sequences
from occopus_resource_azure.testing.contract.replay import Replay

FOLDER = recordings()
SEQUENCES = dict(sequences(FOLDER / "exchanges")) if FOLDER is not None else {}
NOT_IN_THE_STAND_IN = (
    "the stand-in has no ",
    "the operation was begun by what is not replayed",
    "its request was not recorded",
    "not below a subscription",
)
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the recordings are not beside the project")


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_stand_in_answers_like_azure(name):
    outcome = Replay().run(SEQUENCES[name])
    assert outcome.found == []


def test_most_of_the_recordings_are_replayed():
    outcomes = [Replay().run(recorded) for recorded in SEQUENCES.values()]
    replayed = sum(len(outcome.replayed) for outcome in outcomes)
    reasons = Counter(reason for outcome in outcomes for _, reason in outcome.skipped)
    assert replayed >= 430
    assert all(reason.startswith(NOT_IN_THE_STAND_IN) for reason in reasons), reasons
    assert sum(reasons.values()) < 0.25 * replayed + 20


def test_a_difference_is_found():
    """The comparison can fail: another status, a missing header, an extra key, a value of another type."""
    recorded = next(iter(SEQUENCES.values()))
    replay = Replay()
    replay.account.limits.regions = ("mars",)
    assert any("status 400, recorded 201" in line for line in replay.run(recorded[:1]).found)
    replay = Replay()
    answer = replay.arm.answer

    def changed(request):
        made = answer(request)
        made.headers.pop("Azure-AsyncOperation", None)
        if isinstance(made.body, dict) and "name" in made.body:
            made.body = {**made.body, "name": 1, "surplus": True}
        return made

    replay.arm.answer = changed
    found = "\n".join(replay.run(recorded).found)
    assert "header azure-asyncoperation is missing" in found
    assert "/surplus: was not recorded" in found
    assert "/name: is number, recorded str" in found
