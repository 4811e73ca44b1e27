"""A command that a message names can be run as it stands: it has the options that this one was given."""

from __future__ import annotations

import pytest

from occopus_core.cli import output, session

WITH_OPTIONS = output.with_options


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    monkeypatch.setattr(output, "_repeated", {})
    monkeypatch.setattr(output, "with_options", WITH_OPTIONS)


def test_options_and_store_are_repeated(capsys):
    output.repeat_option("cfg", "my config.yaml")
    output.repeat_option("auth_data_path", "a.yaml")
    output._repeated["store"] = "OCCOPUS_STORE=sqlite:////tmp/x.db"
    output.say("to go on: occopus-destroy -i X; or use occopus-import the file; 'occopus-maintain --sweep' finds it")
    options = "--cfg 'my config.yaml' --auth_data_path a.yaml"
    store = "OCCOPUS_STORE=sqlite:////tmp/x.db"
    assert capsys.readouterr().err == (
        f"to go on: {store} occopus-destroy {options} -i X; or use occopus-import the file; "
        f"'{store} occopus-maintain {options} --sweep' finds it\n"
    )


def test_nothing_is_added_where_nothing_was_given(capsys):
    output.repeat_option("cfg", None)
    output.say("occopus-destroy -i X")
    assert capsys.readouterr().err == "occopus-destroy -i X\n"


@pytest.mark.parametrize(
    ("url", "repeated"),
    [("sqlite:////tmp/s.db", True), ("postgresql://u:secret@h/db", False)],
)
def test_a_store_that_may_have_a_password_is_not_repeated(monkeypatch, capsys, url, repeated):
    monkeypatch.setenv("OCCOPUS_STORE", url)
    session.load_settings(None)
    output.say("occopus-destroy -i X")
    said = capsys.readouterr().err
    assert ("OCCOPUS_STORE=" in said) is repeated
    assert "secret" not in said
