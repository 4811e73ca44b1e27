"""Content, order and wording of reports."""

import dataclasses
import json
import math
import re
from decimal import Decimal

import pytest
import yaml

from occopus_core.api import ConfigState
from occopus_core.descriptions.model import Implementation, NodeDescription, Scaling
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.report import Snapshot, report_of, state_of
from occopus_core.report.forms import written
from occopus_core.report.plans import lines_of, steps_of
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import PARKED, Condition, Holding, Maintainer, ScaleKind, ScaleRequest, Setback, Stage

from .conftest import infrastructure


def test_the_report_has_what_clients_read_and_what_the_store_knows(snapshot, instance):
    made = snapshot(instance("web", 1, "10.0.0.1", "192.168.0.1", reason="slow"), nodes=("web",), edges=())
    assert report_of(made) == {
        "web": {
            "instances": {
                "id-of-web-1": {
                    "resource_address": "10.0.0.1",
                    "state": "ready",
                    "stage": "ready",
                    "since": "2023-11-14T22:14:20+00:00",
                    "created_at": "2023-11-14T22:13:20+00:00",
                    "position": 1,
                    "instance_id": "i-1",
                    "addresses": ["10.0.0.1", "192.168.0.1"],
                    "reason": "slow",
                    "note": "slow",
                    "unhealthy_since": None,
                    "cloud": "",
                    "region": "",
                    "implementation": "",
                    "outdated": [],
                    "condemned": False,
                }
            },
            "scaling": {"actual": 1, "target": 1, "min": 1, "max": 3, "pending": []},
            "note": "",
            "frozen": "",
            "rolling_back": "",
            "expires_at": None,
            "maintainer": None,
            "seen_at": None,
            "outputs": {},
        }
    }


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        (Stage.RESERVED, "pending"),
        (Stage.CREATING, "pending"),
        (Stage.BOOTING, "pending"),
        (Stage.CONFIGURING, "pending"),
        (Stage.READY, "ready"),
        (Stage.DROPPING, "shutdown"),
    ],
)
def test_the_words_for_states(instance, stage, state):
    assert state_of(instance(stage=stage)) == state


def test_one_that_was_ready_and_is_not_well_has_failed_for_a_while(snapshot, instance):
    ill = instance(reason="no answer", condition=Condition.AILING, unhealthy_since=1_700_000_120.0)
    assert state_of(ill) == "temp_failed"
    assert state_of(instance(stage=Stage.DROPPING, unhealthy_since=1.0)) == "shutdown"
    reported = report_of(snapshot(ill))["web"]["instances"]["id-of-web-1"]
    assert reported["unhealthy_since"] == "2023-11-14T22:15:20+00:00"
    assert reported["reason"] == "no answer"


def test_requests_that_wait_are_reported_with_their_node(snapshot):
    requests = [
        ScaleRequest(1, "infra-1", "web", ScaleKind.SET, 3, "", 1_700_000_000.0),
        ScaleRequest(2, "infra-1", "web", ScaleKind.CHANGE, -1, "10.0.0.1", 1_700_000_060.0),
    ]
    reported = report_of(Snapshot.of(snapshot().infrastructure, [], requests))
    assert reported["db"]["scaling"]["pending"] == []
    assert reported["web"]["scaling"]["pending"] == [
        {"kind": "set", "amount": 3, "instance": "", "requested_at": "2023-11-14T22:13:20+00:00"},
        {"kind": "change", "amount": -1, "instance": "10.0.0.1", "requested_at": "2023-11-14T22:14:20+00:00"},
    ]


def test_nodes_come_as_described_and_instances_by_position(snapshot, instance):
    rows = [instance("old", 1), instance("db", 1), *(instance("web", position) for position in (10, 9, 2))]
    made = snapshot(*rows)
    assert list(made.nodes) == ["web", "db", "old"]
    assert [one.position for one in made.nodes["web"]] == [2, 9, 10]
    assert report_of(made)["old"]["scaling"] == {"actual": 1, "target": 0, "min": 0, "max": 0, "pending": []}


@pytest.mark.parametrize(
    ("others", "title"),
    [
        ([], "web 2/1 (1..3)"),
        ([Condition.AILING], "web 3/1, 2 ready (1..3)"),
        ([Condition.FAILED, Condition.UNKNOWN], "web 4/1, 2 ready (1..3)"),
    ],
)
def test_the_table_says_how_many_of_the_made_instances_are_ready(snapshot, instance, others, title):
    ill = [instance("web", 3 + number, condition=one, unhealthy_since=1.0) for number, one in enumerate(others)]
    text = written(snapshot(instance("web", 1), instance("web", 2), *ill), "table")
    assert text.splitlines()[2].startswith(f"{title}  id-of-web-1")


def test_edges_are_those_between_the_nodes_shown(snapshot):
    made = snapshot(nodes=("a", "b", "c"), edges=(("a", "b"), ("b", "c"), ("a", "b")))
    assert made.edges == [("a", "b"), ("b", "c")]
    assert made.only("b").edges == []
    with pytest.raises(KeyError):
        made.only("d")


def test_json_and_yaml_say_the_same(snapshot, instance):
    made = snapshot(instance("web", 1, "10.0.0.1"))
    assert json.loads(written(made, "json")) == yaml.safe_load(written(made, "yaml")) == report_of(made)


def test_the_table_has_a_line_for_each_instance_and_takes_no_text_for_markup(snapshot, instance):
    lines = written(snapshot(instance("web", 1), instance("web", 2, reason="[red]no[/red] [/x]")), "table").split("\n")
    assert lines[0].split() == ["NODE", "INSTANCE", "STATE", "ADDRESS", "WHERE", "SINCE", "NOTE"]
    assert lines[2].split()[:5] == ["web", "2/1", "(1..3)", "id-of-web-1", "ready"]
    assert lines[3].split()[0] == "id-of-web-2"
    assert lines[3].endswith("[red]no[/red] [/x]")
    missing = "1 missing: occopus-maintain -i infra-1 makes it"
    assert [" ".join(line.split()) for line in lines[4:6]] == [f"db 0/1 (1..3) {missing}", "not maintained"]


def test_the_table_says_since_when_an_instance_is_not_well(snapshot, instance):
    ill = instance("web", 2, reason="slow", condition=Condition.AILING, unhealthy_since=1_700_000_500.0)
    going = dataclasses.replace(ill, node_id="going", position=3, stage=Stage.DROPPING, since=1_700_000_800.0)
    lines = written(snapshot(instance("web", 1), ill, going), "table").split("\n")
    times = [re.findall(r"2023\S+", line) for line in lines[2:5]]
    assert times == [["2023-11-14T22:14:20+00:00"], ["2023-11-14T22:21:40+00:00"], ["2023-11-14T22:26:40+00:00"]]


def maintained(snapshot):
    """The same with a process that maintains it."""
    return dataclasses.replace(snapshot, maintainer=Maintainer("process 8 on host", 0.0, snapshot.at))


@pytest.mark.parametrize(
    ("at", "condition", "note", "by_itself"),
    [
        (142.0, Condition.AILING, ", replaced by occopus-maintain -i infra-1 after 600 s", ", replaced after 600 s"),
        (1370.0, Condition.AILING, ", replaced by occopus-maintain -i infra-1", ""),
        (100.0, Condition.FAILED, ", replaced by occopus-maintain -i infra-1", ""),
        (100.0, Condition.UNKNOWN, "", ""),
    ],
)
def test_a_note_says_for_how_long_until_when_and_who_replaces_it(instance, snapshot, at, condition, note, by_itself):
    ill = instance(reason="port 8080 refused", condition=condition, unhealthy_since=100.0)
    taken = dataclasses.replace(snapshot(ill, instance("db", since=0.0)), timeouts={ill.implementation: 600.0}, at=at)
    assert taken.note(ill) == f"for {at - 100:.0f} s{note}: port 8080 refused"
    assert maintained(taken).note(ill) == f"for {at - 100:.0f} s{by_itself}: port 8080 refused"


@pytest.mark.parametrize(
    ("state", "reason", "note"),
    [
        (ConfigState.FAILED, "no such role", "not reconfigured: no such role"),
        (ConfigState.PENDING, "", "not reconfigured"),
        (ConfigState.RUNNING, "a task", "it is being reconfigured"),
    ],
)
def test_a_ready_instance_with_its_former_configuration_has_a_note(instance, state, reason, note):
    ours = configuration("id-of-web-1", state=state, reason=reason)
    others = configuration("id-of-db-1", wanted="first"), configuration("id-of-db-2", served=False)
    ready = instance("web"), instance("db"), instance("db", 2)
    taken = Snapshot.of(infrastructure(), ready, configurations=[ours, *others])
    assert [taken.note(one) for one in ready] == [note, "", ""]


@pytest.mark.parametrize(("reason", "before"), [("", ""), ("slow", "slow; ")])
def test_an_instance_that_lacks_addresses_is_reported_with_the_nodes_whose_they_are(snapshot, instance, reason, before):
    made = snapshot(instance(outdated=("db", "web"), reason=reason))
    (reported,) = report_of(made)["web"]["instances"].values()
    said = (
        "its configuration was made before other instances of db and web, without their addresses; "
        "occopus-scale -i infra-1 -n web --replace replaces it"
    )
    assert (reported["outdated"], reported["note"]) == (["db", "web"], before + said)
    assert all(word in written(made, "table") for word in reported["note"].split())


def test_an_instance_that_maintenance_replaces_because_it_lacks_addresses_names_no_command(instance):
    record = infrastructure()
    nodes = tuple(dataclasses.replace(node, when_outdated="replace") for node in record.description.nodes)
    record = dataclasses.replace(record, description=dataclasses.replace(record.description, nodes=nodes))
    made = Snapshot.of(record, [instance(outdated=("db",))])
    (reported,) = report_of(made)["web"]["instances"].values()
    assert reported["note"].endswith("without their addresses; maintenance replaces it")


@pytest.mark.parametrize(
    ("dependee", "frozen", "words"),
    [
        ({}, "", "for 20 s, replaced after 60 s: no answer"),
        ({"condition": Condition.UNKNOWN}, "", "for 20 s, replaced after 60 s: no answer"),
        ({"condition": Condition.AILING}, "", "for 20 s, not replaced while 'db' is down: no answer"),
        ({"stage": Stage.BOOTING}, "", "for 20 s, not replaced while 'db' is down: no answer"),
        (
            {"well_since": 1_700_000_010.0},
            "",
            "for 20 s, 'db' has recovered: replaced unless healthy by 2023-11-14T22:14:30+00:00: no answer",
        ),
        (
            {"since": 1_700_000_010.0},
            "",
            "for 20 s, 'db' has recovered: replaced unless healthy by 2023-11-14T22:14:30+00:00: no answer",
        ),
        ({}, "an outage", "for 20 s, not replaced while healing is frozen: no answer"),
    ],
)
def test_a_note_announces_no_replacement_that_is_held_back(snapshot, instance, dependee, frozen, words):
    ill = instance(reason="no answer", condition=Condition.AILING, unhealthy_since=1_700_000_000.0)
    nodes, edges = ("web", "cache", "db"), (("web", "cache"), ("cache", "db"), ("db", "web"))
    before = {"since": 1_699_999_000.0}
    others = instance("cache", **before), instance("db", **{**before, **dependee})
    found = snapshot(ill, *others, nodes=nodes, edges=edges)
    record = dataclasses.replace(found.infrastructure, frozen=frozen)
    found = dataclasses.replace(found, infrastructure=record, timeouts={"implementation": 60.0}, at=1_700_000_020.0)
    assert maintained(found).note(ill) == words
    by = "replaced by occopus-maintain -i infra-1 "
    assert found.note(ill) == words.replace("replaced after", f"{by}after").replace("replaced unless", f"{by}unless")


def test_a_note_knows_dependees_that_a_template_names(snapshot, instance):
    made = Implementation({"type": "memory"}, contextualisation={"context_template": "{{ getip('db') }}"})
    ill = dataclasses.replace(
        instance(reason="no answer", condition=Condition.AILING, unhealthy_since=1_700_000_000.0),
        implementation=made.digest,
    )
    down = instance("db", condition=Condition.FAILED)
    record = snapshot(edges=()).infrastructure
    found = Snapshot.of(record, [ill, down], used={made.digest: made}, at=1_700_001_000.0)
    assert found.note(ill) == "for 1000 s, not replaced while 'db' is down: no answer"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stage": Stage.RESERVED}, "waiting for 'db' and 'cache'"),
        ({"stage": Stage.RESERVED, "reason": "for the attribute 'url'"}, "waiting for the attribute 'url'"),
        ({"stage": Stage.CREATING, "reason": "sim: busy"}, "sim: busy"),
        ({"stage": Stage.CONFIGURING, "reason": "port 80 refused"}, "port 80 refused"),
        ({"stage": Stage.BOOTING}, ""),
    ],
)
def test_an_instance_that_is_not_ready_has_what_it_waits_for_as_its_note(snapshot, instance, fields, words):
    waiting = instance(**fields)
    others = instance("db", stage=Stage.BOOTING), instance("stays")
    edges = (("web", "db"), ("web", "cache"), ("web", "stays"))
    found = snapshot(waiting, *others, nodes=("web", "db", "cache", "stays"), edges=edges)
    assert found.note(waiting) == words


@pytest.mark.parametrize(
    ("rows", "last", "said", "otherwise"),
    [
        ([], 1_700_000_000.0, True, ""),
        (["dropping"], 1_700_000_000.0, True, ""),
        (["ready"], 1_700_000_000.0, False, ""),
        (["failed"], 1_700_000_000.0, True, ""),
        ([], 1_699_999_000.0, False, "1 missing: occopus-maintain -i infra-1 makes it"),
    ],
)
def test_a_node_whose_instances_are_missing_or_failed_for_a_back_off_says_until_when(
    snapshot, instance, rows, last, said, otherwise
):
    failed = instance(condition=Condition.FAILED)
    found = snapshot(instance("db"), *(failed if row == "failed" else instance(stage=Stage(row)) for row in rows))
    record = dataclasses.replace(found.infrastructure, setbacks={"web": Setback(4, last)})
    found = dataclasses.replace(found, infrastructure=record, at=1_700_000_010.0)
    why = "tried again at 2023-11-14T22:14:00+00:00; occopus-maintain -i infra-1 --events says why"
    alone = why.replace("again at", "again by occopus-maintain -i infra-1 at")
    assert report_of(found)["web"]["note"] == (f"it keeps failing: {alone}" if said else otherwise)
    found = maintained(found)
    assert report_of(found)["web"]["note"] == (f"it keeps failing: {why}" if said else "")
    assert report_of(found)["db"]["note"] == ""
    lines = written(found, "table").split("\n")
    assert (f"it keeps failing: {why}" in written(found, "table")) == said
    assert len([line for line in lines if line.startswith("web ")]) == 1


def test_missing_instances_are_reported_with_the_command_that_makes_them(snapshot, instance):
    """So it is after an update that was undone, and for which the former instance had to be deleted first."""
    found = snapshot(instance("db"), instance(stage=Stage.DROPPING), targets={"web": 2, "db": 1})
    record = found.infrastructure
    assert report_of(found)["web"]["note"] == "2 missing: occopus-maintain -i infra-1 makes them"
    for silent in (
        dataclasses.replace(found, maintainer=Maintainer("process 8 on host", 0.0, 0.0)),
        dataclasses.replace(found, holding=Holding("process 7 on host", 1.0)),
        *(
            dataclasses.replace(found, infrastructure=dataclasses.replace(record, **changes))
            for changes in ({"candidate": record.description}, {"wanted": False}, {"frozen": f"{PARKED}a template"})
        ),
    ):
        assert report_of(silent)["web"]["note"] == ""


@pytest.mark.parametrize("stage", ["dropping", "ready"])
def test_a_node_that_waits_for_a_usable_definition_says_so(snapshot, instance, stage):
    why = "waiting for a usable definition: node 'web': there is no node definition 'web'"
    found = snapshot(instance(stage=Stage(stage)), instance("db"))
    record = dataclasses.replace(
        found.infrastructure, undefined={"web": why}, setbacks={"web": Setback(4, 1_700_000_000.0)}
    )
    found = dataclasses.replace(found, infrastructure=record, at=1_700_000_010.0)
    assert report_of(found)["web"]["note"] == why
    assert report_of(found)["db"]["note"] == ""
    assert why in " ".join(written(found, "table").split())


def configuration(node_id, **fields):
    names = ("type", "settings", "infra_id", "infra_name", "node_name", "token")
    changed = {"wanted": "second", "applied": "first", "served": True, "section": {}, **fields}
    return ConfigurationRecord(node_id, **dict.fromkeys(names, ""), **changed)


def test_the_table_says_when_it_ends_who_maintains_it_and_what_it_costs(snapshot, instance):
    taken = snapshot(instance("web", 1), instance("web", 2))
    record = dataclasses.replace(taken.infrastructure, expires_at=1_700_003_600.0)
    maintainer = Maintainer("process 1 on host", 1_700_000_000.0, 1_700_000_100.0)
    taken = dataclasses.replace(taken, infrastructure=record, maintainer=maintainer, at=1_700_000_110.0)
    lines = written(taken.with_costs({"id-of-web-1": Decimal("1.5"), "id-of-web-2": None}), "table").split("\n")
    assert lines[-3:] == [
        "it is destroyed at 2023-11-14T23:13:20+00:00",
        "cost so far: 1.50, and that of 1 more is unknown",
        "maintained by process 1 on host since 2023-11-14T22:13:20+00:00",
    ]
    assert "1.50" in lines[2]
    assert "unknown" in lines[3]
    later = dataclasses.replace(taken, at=1_700_000_200.0)
    assert written(later, "table").splitlines()[-2] == (
        "not maintained: process 1 on host was last seen at 2023-11-14T22:15:00+00:00, and was killed or is frozen"
    )
    end = "it expires at 2023-11-14T23:13:20+00:00, and is destroyed by maintenance after that: none is running"
    assert end in written(later, "table")
    assert end in written(dataclasses.replace(taken, maintainer=None), "table")


def test_the_table_says_what_is_under_way(snapshot, instance):
    ready = snapshot(instance("web", 1))
    assert "being" not in written(ready, "table")
    first = dataclasses.replace(ready.infrastructure, description=None, candidate=ready.infrastructure.current)
    second = dataclasses.replace(first, description=first.candidate)
    going = dataclasses.replace(first, wanted=False)
    undone = [dataclasses.replace(one, rolling_back="SIGINT") for one in (first, ready.infrastructure, second)]
    carried_on, finishes = (f"occopus-maintain -i infra-1 {what}" for what in ("carries it on", "finishes that"))
    in_place = "occopus-build -i infra-1 builds a description in its place"
    expected = (
        (first, "it is being built", f"{carried_on}, occopus-destroy -i infra-1 removes it"),
        (
            second,
            "another description of it is being applied",
            f"{carried_on}, occopus-build -i infra-1 with the former description undoes it",
        ),
        (going, "it is being destroyed", "occopus-destroy -i infra-1 finishes that"),
        *(
            (record, f"the {what} is being rolled back: SIGINT", f"{finishes}, {in_place}")
            for record, what in zip(undone, ("build", "replacement", "update"), strict=True)
        ),
    )
    held = Holding("process 7 on host", 1_700_000_015.0)
    killed = "process 7 on host works on it, or was killed: its lease ends at 2023-11-14T22:13:35+00:00"
    maintainer = Maintainer("process 8 on host", 0.0, 1_700_000_010.0)
    for record, words, commands in expected:
        for more, line in (
            ({}, f"{words}; no process works on it: {commands}"),
            ({"holding": held, "at": 1_700_000_020.0}, f"{words}; no process works on it: {commands}"),
            ({"holding": held, "at": 1_700_000_010.0}, f"{words}; {killed}, unless it renews it"),
            ({"maintainer": maintainer, "at": 1_700_000_020.0}, words),
        ):
            assert line in written(dataclasses.replace(ready, infrastructure=record, **more), "table").splitlines()


def test_the_bounds_are_those_of_an_update_under_way(snapshot, instance):
    found = snapshot(instance("web"), instance("two"))
    before = found.infrastructure
    two = NodeDescription("two", "two", scaling=Scaling(2, 5))
    web, *others = before.description.nodes
    more = dataclasses.replace(web, scaling=Scaling(2, 4))
    candidate = dataclasses.replace(before.description, nodes=(more, *others, two))
    for record, bounds in (
        (dataclasses.replace(before, candidate=candidate), ("two 1/2 (2..5)", "web 1/2 (2..4)")),
        (dataclasses.replace(before, candidate=candidate, rolling_back="SIGINT"), ("two 1/0 (0..0)", "web 1/1 (1..3)")),
    ):
        table = written(dataclasses.replace(found, infrastructure=record), "table")
        assert all(bound in table for bound in bounds)


@pytest.mark.parametrize("seconds", [1e300, math.inf, math.nan, 6e14])
def test_times_that_no_calendar_has_break_no_report(snapshot, instance, seconds):
    found = snapshot(instance(condition=Condition.AILING, unhealthy_since=1_700_000_000.0))
    late = dataclasses.replace(found.infrastructure, expires_at=seconds)
    found = dataclasses.replace(found, infrastructure=late, timeouts={"implementation": seconds}, at=1_700_000_010.0)
    for form in ("json", "table"):
        assert "9999-01-01T00:00:00+00:00" in written(found, form)
    step = Step(Verb.WAIT, "web", "id", "it has failed", until=seconds)
    assert "(until 9999-01-01T00:00:00+00:00)" in next(lines_of(Plan((step,))))
    assert steps_of(Plan((step,)))[0]["until"] == "9999-01-01T00:00:00+00:00"


def test_a_stored_timeout_is_shown_with_its_bound(snapshot, instance):
    ill = instance(condition=Condition.AILING, unhealthy_since=1_700_000_000.0, reason="no answer")
    found = snapshot(ill, instance("db", since=0.0))
    found = dataclasses.replace(found, timeouts={"implementation": 1e300}, at=1_700_000_010.0)
    (failing,) = found.nodes["web"]
    assert maintained(found).note(failing) == "for 10 s, replaced after 315360000 s: no answer"
