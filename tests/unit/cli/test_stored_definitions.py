"""``occopus-import --list | --show | --delete``, and the stored description of an infrastructure."""

import functools
import json

import pytest
import yaml

from occopus_core.cli import import_, maintain, stored_definitions
from occopus_core.descriptions.definition_text import definition_text
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition


@pytest.fixture
def run(command):
    return functools.partial(command, import_)


@pytest.fixture
def defined(store):
    """Of `web`, `db` and `free` none but the last is in no description."""
    made = Implementation({"type": "local"}, None, None, HealthCheck({}, 30.0))
    other = Implementation({"type": "docker", "endpoint": "unix:///x", "password": "hush"})
    store.put_definitions([NodeDefinition("web", (made, other)), NodeDefinition("free", (made,))])
    return store


def test_the_list_says_who_uses_them(run, defined):
    assert run("--list") == (0, "free\tlocal\nweb\tlocal, docker\tshop (infra-1)\n", "")


def test_the_list_for_programs(run, defined):
    code, out, _ = run("--list", "-o", "json")
    assert code == 0
    assert json.loads(out)["node_definitions"] == [
        {"name": "free", "resources": ["local"], "used_by": []},
        {"name": "web", "resources": ["local", "docker"], "used_by": [{"infraid": "infra-1", "name": "shop"}]},
    ]


def test_the_list_on_a_terminal_has_a_header(run, defined, monkeypatch):
    monkeypatch.setattr(stored_definitions, "on_terminal", lambda: True)
    head, _, *lines = run("--list")[1].splitlines()
    assert head.split() == ["NAME", "RESOURCES", "USED", "BY"]
    assert [line.split()[-1] for line in lines] == ["-", "(infra-1)"]


def test_with_nothing_stored_a_terminal_gets_one_line(run, store, monkeypatch):
    assert run("--list") == (0, "", "")
    monkeypatch.setattr(stored_definitions, "on_terminal", lambda: True)
    assert run("--list") == (0, "", "there are no node definitions\n")


def test_one_is_shown_so_that_it_can_be_imported_again(run, defined):
    code, out, _ = run("--show", "web")
    assert code == 0
    assert out.startswith("# used by: shop (infra-1)\nnode_def:web:\n")
    assert out.partition("\n")[2] == definition_text(defined.definitions(["web"])["web"])
    assert run("--show", "free")[1].startswith("# used by: -\n")


def test_one_that_does_not_exist(run, defined):
    for option in ("--show", "--delete"):
        assert run(option, "wep") == (3, "", "error: there is no node definition 'wep'\n")


def test_one_that_is_used_is_not_deleted(run, defined):
    assert run("--delete", "web") == (4, "", "error: the node definition 'web' is used by shop (infra-1)\n")
    assert run("--delete", "free") == (0, "", "deleted the node definition 'free'\n")
    assert defined.definition_names() == ["web"]


def test_dry_run_deletes_nothing(run, defined, home):
    (home / "dry.yaml").write_text("dry_run: true\n")
    code, _, err = run("--delete", "free", "--cfg", "dry.yaml")
    assert (code, "dry_run" in err) == (2, True)
    assert "free" in defined.definition_names()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name the file with the node definitions"),
        (["--list", "nodes.yaml"], "leave out DATAFILE"),
        (["--example", "local", "nodes.yaml"], "leave out DATAFILE"),
        (["--list", "--delete", "web"], "not allowed with argument"),
        (["--check"], "name the file with the node definitions"),
        (["--show", "web", "-o", "json"], "-o is for --list, and for importing a file"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(run, store, argv, message):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert message in err


def test_the_description_of_an_infrastructure_is_printed(command, store):
    code, out, err = command(maintain, "--description", "-i", "shop")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out) == {
        "infra_name": "shop",
        "nodes": [
            {"name": "web", "type": "web", "scaling": {"min": 1, "max": 5}},
            {"name": "db", "type": "db", "scaling": {"min": 1, "max": 5}},
        ],
        "dependencies": [["web", "db"]],
    }


def test_the_description_of_no_infrastructure(command, store):
    assert command(maintain, "--description", "-i", "nope")[0] == 3
    assert command(maintain, "--description")[0] == 2
