"""The list of infrastructures."""

import pytest

from occopus_core.report import listing
from occopus_core.report.listing import health, listed_lines, listed_rows, listed_table
from occopus_core.store.records import (
    PARKED,
    Condition,
    Holding,
    InfrastructureState,
    InfrastructureSummary,
    Maintainer,
    Stage,
)

NOW = 1_700_100_000.0
ID = "0f6c1f3e-8a57-4d0c-a9be-3a0f5b1c2d3e"
MAINTAINER = Maintainer("process 7 on host", NOW - 60, NOW - 1)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(listing.time, "time", lambda: NOW)


def summary(infra_id=ID, state=InfrastructureState.READY, instances=1, **more):
    return InfrastructureSummary(infra_id, "shop", state, instances, NOW - 3 * 86400 - 5, **more)


SOME = {
    (Stage.READY, Condition.WELL): 2,
    (Stage.READY, Condition.FAILED): 1,
    (Stage.BOOTING, Condition.WELL): 1,
    (Stage.CREATING, Condition.WELL): 2,
}


@pytest.mark.parametrize(
    ("counts", "target", "text"),
    [
        (SOME, 6, "2/6 ready, 3 pending, 1 failed"),
        ({(Stage.READY, Condition.WELL): 3}, 3, "3/3 ready"),
        ({}, 2, "0/2 ready"),
        ({(Stage.DROPPING, Condition.WELL): 1}, 0, "0/0 ready, 1 shutdown"),
    ],
)
def test_health(counts, target, text):
    assert health(summary(counts=counts, target=target)) == text


def test_the_table_has_a_header_and_all_that_is_known():
    healthy = summary(counts={(Stage.READY, Condition.WELL): 1}, target=1, maintainer=MAINTAINER)
    head, _, line = listed_table([healthy], 200).splitlines()
    assert head.split("  ")[0] == "ID"
    assert head.split() == ["ID", "NAME", "STATE", "HEALTH", "AGE", "MAINTAINED", "BY", "NOTE"]
    assert line.split("  ") == [
        ID,
        "shop",
        "ready",
        "1/1 ready",
        "3 d",
        "process 7 on host since 2023-11-16T01:59:00+00:00",
    ]


def test_the_note_says_what_holds_an_infrastructure():
    frozen = summary("a", frozen="half of it is away", expires_at=NOW + 60)
    parked = summary("b", frozen=f"{PARKED}a template")
    (_, _, one, two) = listed_table([frozen, parked], 200).splitlines()
    assert one.endswith("frozen; expires 2023-11-16T02:01:00+00:00 if it is maintained then")
    assert two.endswith("parked")


def test_the_end_of_what_is_maintained_comes_by_itself():
    text = listed_table([summary(expires_at=NOW + 60, maintainer=MAINTAINER)], 200)
    assert text.endswith("expires 2023-11-16T02:01:00+00:00")


def test_outdated_instances_are_counted():
    well = {(Stage.READY, Condition.WELL): 1}
    some, none = summary(outdated=2, counts=well, target=1), summary()
    assert listed_table([some], 200).endswith("  2 outdated")
    assert listed_lines([some]) == [f"{ID}\tshop\tready\t1 instance\t2 outdated"]
    assert [row["outdated"] for row in listed_rows([some, none])] == [2, 0]
    assert "outdated" not in listed_table([none], 200)


def test_a_maintainer_that_was_killed_is_no_maintainer():
    killed = summary(maintainer=Maintainer("process 7 on host", NOW - 900, NOW - 600))
    assert "- (process 7 on host was last seen at 2023-11-16T01:50:00+00:00)" in listed_table([killed], 200)


def test_the_list_says_as_of_when_the_states_are_that_no_process_looks_at():
    left = summary(seen_at=NOW - 720)
    assert listed_table([left], 200).endswith("  as of 12 min ago")
    assert listed_lines([left]) == [f"{ID}\tshop\tready\t1 instance\tas of 2023-11-16T01:48:00+00:00"]
    slow = summary(seen_at=NOW - 720, maintainer=Maintainer("process 7 on host", NOW - 9000, NOW - 1))
    assert "as of 12 min ago" in listed_table([slow], 200)
    for silent in (
        summary(seen_at=NOW - 720, holding=Holding("process 7 on host", NOW + 1)),
        summary(seen_at=NOW - 100, maintainer=Maintainer("process 7 on host", NOW - 9000, NOW - 1)),
        summary(seen_at=None, maintainer=MAINTAINER),
        summary(seen_at=None),
        summary(seen_at=NOW - 300),
        summary(seen_at=NOW - 720, instances=0),
        summary(seen_at=NOW - 720, state=InfrastructureState.DROPPING),
    ):
        assert "as of" not in listed_table([silent], 200) + listed_lines([silent])[0]
    assert [row["seen_at"] for row in listed_rows([left, summary()])] == ["2023-11-16T01:48:00+00:00", None]


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (InfrastructureState.BUILDING, "occopus-maintain -i two carries it on"),
        (InfrastructureState.UPDATING, "occopus-maintain -i two carries it on"),
        (InfrastructureState.ROLLING_BACK, "occopus-maintain -i two finishes that"),
        (InfrastructureState.DROPPING, "occopus-destroy -i two finishes that"),
    ],
)
def test_the_list_says_where_no_process_goes_on_and_which_command_does(state, command):
    text = f"no process works on it: {command}"
    for held in (None, Holding("process 7 on host", NOW)):
        left = summary("two", state, holding=held)
        assert listed_table([left], 200).endswith(f"  {text}")
        assert listed_lines([left]) == [f"two\tshop\t{state.value}\t1 instance\t{text}"]
    for attended in (
        summary("two", state, holding=Holding("process 7 on host", NOW + 1)),
        summary("two", state, maintainer=MAINTAINER),
    ):
        assert text not in listed_table([attended], 200) + listed_lines([attended])[0]


def test_the_list_says_where_instances_are_missing_and_which_command_makes_them():
    going = {(Stage.READY, Condition.WELL): 1, (Stage.DROPPING, Condition.WELL): 1}
    text = "1 missing: occopus-maintain -i two makes it"
    lacking = summary("two", instances=2, counts=going, target=2)
    assert listed_table([lacking], 200).endswith(f"1/2 ready, 1 shutdown  3 d  -              {text}")
    assert listed_lines([lacking]) == [f"two\tshop\tready\t2 instances\t1/2 ready, 1 shutdown\t{text}"]
    for silent in (
        summary("two", instances=2, counts=going, target=1),
        summary("two", instances=2, counts=going, target=2, maintainer=MAINTAINER),
        summary("two", instances=2, counts=going, target=2, frozen=f"{PARKED}a template"),
    ):
        assert "missing" not in listed_table([silent], 200) + listed_lines([silent])[0]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_table_fits(width):
    every = [summary(maintainer=MAINTAINER, counts=SOME, target=6), summary("own-name", expires_at=NOW)]
    text = listed_table(every, width)
    assert max(map(len, text.splitlines())) <= width
    assert (ID if width == 200 else ID[:8]) in text.split()
    assert "own-name" in text.split()


def test_lines_for_scripts_begin_with_the_whole_id():
    two = summary("two", instances=2, counts={(Stage.READY, Condition.WELL): 2}, target=2)
    many = summary("many", instances=1200, frozen="x", counts={(Stage.READY, Condition.AILING): 1200}, target=1200)
    assert listed_lines([summary(instances=0), two, many]) == [
        f"{ID}\tshop\tready\t0 instances",
        "two\tshop\tready\t2 instances",
        "many\tshop\tready\t1,200 instances\t0/1,200 ready, 1,200 temp_failed\tfrozen",
    ]


def test_rows_for_programs():
    (row,) = listed_rows([summary(counts=SOME, target=6, instances=6)])
    assert row["health"] == {"ready": 2, "pending": 3, "failed": 1}
    assert (row["instances"], row["target"], row["maintainer"], row["expires_at"]) == (6, 6, None, None)
    assert row["created_at"] == "2023-11-13T01:59:55+00:00"
