"""The infrastructure that `-i` names where it is gone, or where the name is nearly right."""

import json

import pytest

from occopus_core.cli import destroy, logs, maintain, scale
from occopus_core.descriptions.model import Infrastructure, NodeDescription


@pytest.fixture
def gone(store):
    """Infrastructures that are gone: two of the name `farm`, and `barn` with an id that Occopus has made."""
    ids = {"farm-1": "farm", "farm-2": "farm", "0f6d1f6a-8a0e-4a3e-9d8e-5a0f4e7f0001": "barn"}
    for infra_id, name in ids.items():
        described = Infrastructure(name, (NodeDescription("web", "web"),))
        with store.changing(store.add_infrastructure(infra_id, described, {"web": 1}, "test", 0.0)) as change:
            change.remove_infrastructure()
    return list(ids)


@pytest.mark.parametrize("named", ["barn", "0f6d1f"])
def test_events_and_logs_of_what_is_gone_are_found_by_its_name(command, gone, named):
    code, shown, _ = command(maintain, "--events", "-i", named)
    assert (code, "infrastructure created: barn" in shown) == (0, True)
    assert f"'{gone[2]}'" in command(logs, "-i", named)[2], "none of its instances has failed: nothing was kept"
    code, _, said = command(maintain, "-r", "-i", named)
    known = f"it was there: occopus-maintain --events -i {named} shows what happened"
    assert (code, said.splitlines()[1].startswith(known)) == (3, True)


def test_several_of_a_name_that_are_gone_are_named(command, gone):
    said = "error: 'farm' may mean several infrastructures: farm-2, farm-1\n"
    assert command(maintain, "--events", "-i", "farm") == (3, "", said)
    assert command(maintain, "--events", "-i", "farm-1")[0] == 0
    assert "it was there" not in command(maintain, "-r", "-i", "farm")[2]


def test_what_is_there_comes_before_what_is_gone(command, store, gone):
    store.add_infrastructure("new", Infrastructure("barn", (NodeDescription("db", "db"),)), {"db": 1}, None, 0.0)
    assert list(json.loads(command(maintain, "-r", "-i", "barn", "-o", "json")[1])) == ["db"]
    assert command(maintain, "--events", "-i", "0f6d1f")[0] == 0


@pytest.mark.parametrize(
    ("typed", "hint"), [("shpo", "did you mean 'shop'?\n"), ("infra1", "did you mean 'infra-1'?\n"), ("zoo", "")]
)
def test_a_name_that_is_nearly_right_gets_a_hint(command, store, typed, hint):
    said = f"error: no infrastructure has the id '{typed}'; occopus-maintain -l lists them\n{hint}"
    for module, words in ((maintain, ["-r"]), (maintain, ["--events"]), (maintain, []), (logs, []), (destroy, ["-y"])):
        assert command(module, *words, "-i", typed) == (3, "", said)
    assert command(scale, "-n", "web", "-s", "2", "-i", typed) == (3, "", said)
