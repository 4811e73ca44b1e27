"""The options of ``occopus-maintain``: what each prints, where it writes, and what it refuses."""

import dataclasses
import functools
import json
import subprocess
import sys

import pytest
import yaml

from occopus_core.cli import maintain
from occopus_core.engine.passes.errors import Passed
from occopus_core.events import Event, EventKind
from occopus_core.manager import InfrastructureManager
from occopus_core.report import forms
from occopus_core.store.records import Condition, LifeTime, ScaleKind

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def run(command):
    return functools.partial(command, maintain)


@pytest.mark.parametrize(
    ("form", "beginning"),
    [
        ("json", '{\n  "web": {'),
        ("yaml", "web:\n  instances:\n    id-1:"),
        ("table", "NODE"),
        ("ansible-inventory", '{\n  "_meta": {'),
        ("ssh-config", "# infrastructure shop, id infra-1\n\n# web-1: ready\nHost shop-web-1 id-1\n"),
        ("hosts", "# infrastructure shop, id infra-1\n10.0.0.1 web-1.shop web-1\n"),
    ],
)
def test_the_name_of_a_form_says_what_is_printed(run, form, beginning, tmp_path):
    code, out, err = run("-r", "-i", "infra-1", "-o", form)
    assert (code, err) == (0, "")
    assert out.startswith(beginning)
    assert not (tmp_path / form).exists()


def test_requests_that_wait_are_reported(run, store):
    store.request_scaling("infra-1", "db", ScaleKind.CHANGE, 1, "", 0.0)
    reported = json.loads(run("-r", "-i", "infra-1", "-o", "json")[1])
    assert [request["amount"] for request in reported["db"]["scaling"]["pending"]] == [1]
    assert reported["web"]["scaling"]["pending"] == []


def test_every_form_has_a_writer():
    assert {*maintain._FORMS, *maintain._GRAPHS} == set(forms._WRITERS)


@pytest.mark.parametrize(
    ("name", "read"), [("report.json", json.loads), ("report", json.loads), ("r.yaml", yaml.safe_load)]
)
def test_any_other_name_is_a_file(run, tmp_path, name, read):
    assert run("-r", "-i", "infra-1", "-o", name) == (0, "", "")
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert list(read(text)) == ["web", "db"]
    assert text.startswith("{") is (read is json.loads)
    assert text.endswith("\n")


def test_a_file_that_cannot_be_written(run):
    code, out, err = run("-r", "-i", "infra-1", "-o", "no/such/folder.json")
    assert (code, out) == (2, "")
    assert err == "error: no/such/folder.json: the file cannot be written: No such file or directory\n"


def test_a_graph_is_printed_or_written(run, tmp_path):
    code, out, _ = run("-i", "infra-1", "--graph", "mermaid")
    assert code == 0
    assert out.startswith('---\ntitle: "shop"\n---\nflowchart LR\n')
    assert "    n0 --> n1\n" in out
    assert run("-i", "infra-1", "--graph", "dot", "-o", "shop.dot") == (0, "", "")
    assert (tmp_path / "shop.dot").read_text(encoding="utf-8").startswith('digraph "shop" {')


def test_the_filter_leaves_one_node(run):
    assert list(json.loads(run("-r", "-i", "infra-1", "-o", "json", "-f", "db")[1])) == ["db"]
    assert "web" not in run("-i", "infra-1", "--graph", "dot", "-f", "db")[1]
    assert "10.0.0.1" not in run("-r", "-i", "infra-1", "-o", "hosts", "-f", "db")[1]


def test_what_is_not_there_is_named(run):
    code, _, err = run("-r", "-i", "infra-1", "-f", "cache")
    assert (code, err) == (3, "error: 'infra-1' has no node 'cache'; it has: web, db\n")
    code, _, err = run("-i", "infra-2", "--graph", "dot")
    assert code == 3
    assert "'infra-2'" in err


@pytest.mark.parametrize("words", [["-r"], ["--graph", "dot"], ["--description"], []])
def test_of_what_is_gone_the_commands_that_know_it_are_named(command, store, words):
    infrastructure = store.infrastructure("infra-1").current
    lease = store.add_infrastructure("bad1", infrastructure, {"web": 1, "db": 1}, "test", 0.0)
    with store.changing(lease) as change:
        change.add_events([(1.0, Event(EventKind.INFRA_DROPPED, "bad1"))])
        change.remove_infrastructure()
    gone = "error: no infrastructure has the id '{}'; occopus-maintain -l lists them\n"
    known = "it was there: occopus-maintain --events -i bad1 shows what happened, occopus-logs -i bad1 what its failed"
    code, _, said = command(maintain, *words, "-i", "bad1")
    assert (code, said) == (3, f"{gone.format('bad1')}{known} instances printed\n")
    assert command(maintain, *words, "-i", "bad2")[2] == gone.format("bad2")


def test_the_list_in_its_forms(run):
    missing = "1 missing: occopus-maintain -i infra-1 makes it"
    assert run("-l") == (0, f"infra-1\tshop\tready\t1 instance\t1/2 ready\t{missing}\n", "")
    shop = {"infraid": "infra-1", "name": "shop", "state": "ready", "instances": 1, "target": 2, "health": {"ready": 1}}
    shop |= {"outdated": 0}
    rows = [{**shop, "created_at": "1970-01-01T00:00:00+00:00", "frozen": "", "expires_at": None, "maintainer": None}]
    rows[0]["seen_at"] = None
    assert json.loads(run("-l", "-o", "json")[1]) == yaml.safe_load(run("-l", "-o", "yaml")[1])
    assert json.loads(run("-l", "-o", "json")[1]) == {"infrastructures": rows}


@pytest.mark.parametrize("seconds", [6e14, 1e300])
def test_a_stored_end_that_no_calendar_has_breaks_no_list(run, store, seconds):
    store.put_life_time("infra-1", LifeTime(seconds, seconds), Event(EventKind.LIFE_TIME_CHANGED, "infra-1"), 0.0)
    for words in (("-l",), ("-l", "-o", "json"), ("-r", "-i", "infra-1"), ("-r", "-i", "infra-1", "-o", "json")):
        code, out, err = run(*words)
        assert (code, err) == (0, "")
        assert "9999-01-01T00:00:00+00:00" in out


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(maintain, "on_terminal", lambda: True)
    return monkeypatch


def test_a_terminal_gets_a_table_that_fits(run, terminal):
    terminal.setenv("COLUMNS", "80")
    code, out, err = run("-l")
    head, _, line, *_ = out.splitlines()
    assert (code, err, head.split()[0]) == (0, "", "ID")
    assert line.split()[:5] == ["infra-1", "shop", "ready", "1/2", "ready"]
    assert max(map(len, out.splitlines())) <= 80


def test_a_report_fits_its_terminal_and_is_200_characters_wide_elsewhere(run, terminal):
    terminal.setenv("COLUMNS", "60")
    assert max(map(len, run("-r", "-i", "infra-1")[1].splitlines())) <= 60


def test_with_nothing_to_list_a_terminal_gets_one_line(run, terminal, tmp_path, store):
    with store.changing(store.acquire("infra-1", "test", 1000.0)) as change:
        change.remove_infrastructure(0.0)
    assert run("-l") == (0, "", "there are no infrastructures\n")
    terminal.setenv("OCCOPUS_STORE", "sqlite:///mistyped/occopus.db")
    warning = "warning: there is no store mistyped/occopus.db yet: it is created by the first import or build\n"
    assert run("-l") == (0, "", warning)


def test_with_nothing_to_list_a_script_gets_nothing(run, store):
    with store.changing(store.acquire("infra-1", "test", 1000.0)) as change:
        change.remove_infrastructure(0.0)
    assert run("-l") == (0, "", "")


def test_a_store_that_is_not_there_is_said_with_the_empty_list(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OCCOPUS_STORE", "sqlite:///mistyped/occopus.db")
    warning = "warning: there is no store mistyped/occopus.db yet: it is created by the first import or build\n"
    assert run("-l") == (0, "", warning)
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-c", "-t", "often", "-i", "infra-1"], "argument -t/--interval: expected a number, got 'often' ("),
        *(
            (
                ["-c", "-t", text, "-i", "infra-1"],
                f"argument -t/--interval: a number of seconds is between 1 and 604,800, got '{text}'",
            )
            for text in ("-1", "0", "0.9", "604801", "1e300")
        ),
        *(
            (["-c", "-t", text, "-i", "infra-1"], f"argument -t/--interval: expected a number, got '{text}'")
            for text in ("nan", "inf", "1e400")
        ),
        *(
            (["-i", "infra-1", "--extend", text], f"'{text}' is too long: a life time is at most 365250d")
            for text in ("9999-12-31T23:59-12:00", "9999-01-01")
        ),
        (["-i", "infra-1", "--extend", "0001-01-01T00:00+12:00"], "is over already"),
        ([], "name the infrastructure with -i INFRA_ID; or -l to list them all"),
        (["-r"], "name the infrastructure with -i"),
        (["--graph", "dot"], "name the infrastructure with -i"),
        (["--graph", "png", "-i", "infra-1"], "invalid choice: 'png'"),
        (["-r", "--graph", "dot", "-i", "infra-1"], "argument --graph: not allowed with argument -r/--report"),
        (["--graph", "dot", "-i", "infra-1", "-o", "json"], "--graph sets the format"),
        (["-l", "-o", "hosts"], "-o hosts needs an infrastructure"),
        (["-i", "infra-1", "-o", "hosts"], "-o needs -r or --graph"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(run, argv, message):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert message in err


def test_help_waits_for_nothing_heavy():
    code = (
        "import sys\nfrom occopus_core.cli import maintain\n"
        "try: maintain.main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'sqlalchemy', 'rich', 'yaml', 'json'}),"
        " *(name for name in sys.modules if name.startswith('occopus_core.report')), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert ended.stderr.strip() == ""


def test_a_single_pass_names_each_ill_instance_that_it_leaves_in_service(run, store, monkeypatch):
    monkeypatch.setattr(InfrastructureManager, "maintain", lambda *_: Passed())
    assert run("-i", "infra-1") == (0, "", "")
    (well,) = store.instances("infra-1")
    failed = dataclasses.replace(well, node_id="id-2", condition=Condition.FAILED, unhealthy_since=1.0)
    ill = dataclasses.replace(well, condition=Condition.AILING, unhealthy_since=1.0, reason="port 5432\nrefused")
    lease = store.acquire("infra-1", "test", 1000.0)
    with store.changing(lease) as change:
        change.put_instances([ill])
        change.add_instances([failed])  # one that is not replaced is an error of the pass
    store.release(lease)
    code, out, err = run("-i", "infra-1")
    assert (code, out) == (0, "")
    (line,) = err.splitlines()
    assert line.startswith("ill: node 'web' (id-1): for ")
    assert line.endswith(": port 5432 refused")


def test_a_single_pass_that_ends_the_infrastructure_names_none(run, store, monkeypatch):
    def destroy(*_):
        with store.changing(store.acquire("infra-1", "test", 1000.0)) as change:
            change.remove_instances(["id-1"])
            change.remove_infrastructure()
        return Passed()

    monkeypatch.setattr(InfrastructureManager, "maintain", destroy)
    assert run("-i", "infra-1") == (0, "", "")
