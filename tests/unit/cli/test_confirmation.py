"""Questions on a terminal before something is destroyed, and the infrastructure that `-i` names."""

from __future__ import annotations

import io
import sys

import pytest

from occopus_core.cli import build, confirmation, destroy, maintain, naming, scale
from occopus_core.descriptions.model import Infrastructure, NodeDescription
from occopus_core.settings import Settings
from occopus_core.store.records import AmbiguousNameError

ONE, TWO = "0f6d1f6a-8a0e-4a3e-9d8e-5a0f4e7f0001", "0f6d1f6a-8a0e-4a3e-9d8e-5a0f4e7f0002"
QUESTION = f"Destroy the infrastructure 'farm' ({ONE}) with 0 instances? [y/N]\n"


@pytest.fixture(autouse=True)
def farm(store):
    """An infrastructure without instances under an id that Occopus has made, beside `infra-1`."""
    add(store, ONE, "farm")
    return store


def add(store, infra_id, name):
    described = Infrastructure(name, (NodeDescription("web", "web"),))
    store.add_infrastructure(infra_id, described, {"web": 1}, None, 0.0)


def ids(store):
    return {one.id for one in store.overview.all()}


@pytest.fixture
def terminal(monkeypatch):
    """A user who answers."""

    def answer(text):
        for module in (build, destroy, naming):
            monkeypatch.setattr(module, "can_ask", lambda settings: not settings.former)
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return answer


@pytest.mark.parametrize("named", [ONE, "farm", ONE[:6], ONE[:20]])
@pytest.mark.parametrize("answer", ["y\n", "YES\n", " yes"])
def test_after_a_yes_it_is_destroyed(farm, terminal, named, answer, capsys):
    terminal(answer)
    assert destroy.main(["-i", named]) == 0
    assert capsys.readouterr().err.startswith(QUESTION)
    assert ids(farm) == {"infra-1"}


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", "yess\n", ""])
def test_after_anything_else_nothing_is_changed(farm, terminal, answer, capsys):
    terminal(answer)
    assert destroy.main(["-i", "farm"]) == 1
    assert capsys.readouterr().err == f"{QUESTION}error: not confirmed: nothing was changed\n"
    assert farm.infrastructure(ONE).wanted


@pytest.mark.parametrize("option", ["-y", "--yes"])
def test_who_has_confirmed_is_not_asked(farm, terminal, option, capsys):
    terminal("n\n")
    assert destroy.main(["-i", "farm", option]) == 0
    assert "[y/N]" not in capsys.readouterr().err
    assert ids(farm) == {"infra-1"}


def test_a_script_of_1x_on_a_terminal_is_not_asked(farm, terminal, monkeypatch, capsys):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", "1.x")
    terminal("n\n")
    assert destroy.main(["-i", ONE]) == 0
    assert "[y/N]" not in capsys.readouterr().err
    assert not confirmation.can_ask(Settings("sqlite://", former=True))


@pytest.mark.parametrize("named", ["farm", ONE[:20]])
def test_without_a_terminal_only_the_id_counts(farm, named, capsys):
    assert destroy.main(["-i", named]) == 3
    assert f"'{named}' names the infrastructure '{ONE}', but only its id counts" in capsys.readouterr().err
    assert destroy.main(["-i", ONE]) == 0
    assert ids(farm) == {"infra-1"}


def test_what_does_not_exist_is_not_asked_about(terminal, capsys):
    terminal("y\n")
    assert destroy.main(["-i", "nobody"]) == 3
    assert "[y/N]" not in capsys.readouterr().err


def test_commands_that_can_be_undone_take_names(store, capsys):
    assert maintain.main(["-r", "-i", "shop", "-o", "hosts"]) == 0
    assert "web-1.shop" in capsys.readouterr().out
    assert maintain.main(["--events", "-i", ONE[:8]]) == 0
    assert "farm" in capsys.readouterr().out
    assert scale.main(["-i", "shop", "-n", "web", "-s", "2"]) == 0
    assert [one.amount for one in store.pending_requests("infra-1")] == [2]


def test_several_of_one_name(store, capsys):
    add(store, TWO, "farm")
    for named in ("farm", ONE[:35]):
        assert maintain.main(["-r", "-i", named]) == 3
        assert capsys.readouterr().err == f"error: '{named}' may mean several infrastructures: {ONE}, {TWO}\n"
    with pytest.raises(AmbiguousNameError):
        store.meant("farm")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("infra-1", "infra-1"),
        ("shop", "infra-1"),
        ("infra-", None),  # an id that somebody chose counts as a whole
        (ONE[:6], ONE),
        (ONE[:5], None),
        ("", None),
        ("%", None),
        ("0f6d1f_", None),
        ("sh\u00f6p", None),
        ("\udcff", None),
    ],
)
def test_what_a_text_means(store, text, found):
    assert store.meant(text) == found


def test_an_id_wins_over_a_name(store):
    add(store, "farm", "other")
    assert store.meant("farm") == "farm"


def test_an_instance_by_the_beginning_of_its_id(store, capsys):
    class Manager:
        def __init__(self):
            self.store = store

    assert naming.meant_instance(Manager(), "infra-1", "id-1") == "id-1"
    assert naming.meant_instance(Manager(), "infra-1", "10.0.0.1") == "10.0.0.1"
