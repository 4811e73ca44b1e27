"""Every option of the commands, their output, and their exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import termios
import urllib.parse
from pathlib import Path

import pytest
import yaml

from occopus_core.store.database import open_database
from occopus_core.store.repository import Store

pytestmark = pytest.mark.integration

COMMANDS = ("import", "build", "maintain", "destroy")
RECORDED = "SELECT id, name, description, candidate, wanted, targets FROM infrastructures"
OLD_CONFIGURATION = """\
plugins: !python_import
    - occo.infobroker
    - some.module
components:
    rest: {host: 127.0.0.1, port: 5000}
    resourcehandler: !ResourceHandler &rh
        protocol: null
    uds: !UDS &uds {protocol: redis, host: localhost}
    infobroker: !InfoRouter
        sub_providers:
            - !DynamicStateProvider {resource_handler: *rh}
            - *uds
    eventlog: !EventLog {protocol: logging}
logging:
    version: 1
    root: {level: DEBUG, handlers: [console, file]}
    formatters:
        short: {format: "%(asctime)s %(message)s"}
    handlers:
        console: {class: logging.StreamHandler, formatter: short, level: INFO, stream: ext://sys.stdout}
        file: {class: logging.FileHandler, formatter: short, mode: w, level: DEBUG, filename: occopus.log}
"""


# import


def test_import_names_what_it_stored(workspace, cloud):
    ended = workspace.run("import", workspace.write("nodes.yaml", cloud.definitions("a", "b")))
    assert (ended.code, ended.stdout, ended.stderr) == (0, "Successfully imported nodes: a, b\n", "")


def test_import_stores_all_or_nothing(workspace, cloud):
    definitions = json.loads(cloud.definitions("good", "bad", endpoint="ftp://x"))
    definitions["node_def:good"][0]["resource"]["endpoint"] = cloud.endpoint
    ended = workspace.run("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    assert (ended.code, ended.stdout) == (2, "")
    assert len(ended.complaint) == 1
    assert not workspace.store.exists() or workspace.query("SELECT * FROM definitions") == []


def test_import_again_replaces(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "once")
    ready.ready("import", ready.write("nodes.yaml", cloud.definitions("worker", image="other")))
    planned = ready.ready("build", "trial.yaml", "-i", "once", "--plan").stdout
    assert planned.splitlines()[-1] == "0 to create, 3 to replace, 0 to destroy, 0 to keep, 3 keys to change"


# build


def test_build_prints_the_id_alone(ready, cloud):
    ended = ready.ready("build", "trial.yaml")
    infra_id = ended.stdout.removesuffix("\n")
    assert infra_id.split() == [infra_id]
    assert f"Submitted infrastructure: '{infra_id}'\n" in ended.stderr
    assert len(cloud.machines(infra_id)) == 3
    assert ready.ready("destroy", "-i", infra_id).stdout == ""
    assert cloud.machines(infra_id) == []
    assert ready.rows(infra_id) == 0


def test_build_under_a_chosen_id_then_to_another_description(ready, cloud, describe):
    assert ready.ready("build", "trial.yaml", "-i", "my.own_id-1", "--parallelize").stdout == "my.own_id-1\n"
    kept = {machine["id"] for machine in cloud.machines("my.own_id-1")}
    ready.write("trial.yaml", describe("db", "web", "more"))
    assert ready.ready("build", "trial.yaml", "-i", "my.own_id-1").stdout == "my.own_id-1\n"
    names = {machine["owner"]["node_name"]: machine["id"] in kept for machine in cloud.machines("my.own_id-1")}
    assert names == {"db": True, "web": True, "more": False}


def test_build_as_json(ready):
    reported = json.loads(ready.ready("build", "trial.yaml", "-i", "as-json", "--output", "json").stdout)
    assert reported["infraid"] == "as-json"
    assert list(reported["nodes"]) == ["db", "web", "lb"]
    assert reported["nodes"] == ready.report("as-json")


def test_a_plan_changes_nothing(ready, cloud, describe):
    ready.ready("build", "trial.yaml", "-i", "planned")
    ready.write("next.yaml", describe("db", "new"))
    before = cloud.inventory(), ready.query(RECORDED), ready.report("planned")
    ended = ready.ready("build", "next.yaml", "-i", "planned", "--plan")
    assert ended.stdout.splitlines()[-1] == "1 to create, 0 to replace, 2 to destroy, 1 to keep"
    assert "+ create 1 x new: 1 wanted, 0 there\n" in ended.stdout
    assert "Submitted" not in ended.stderr
    ended = ready.ready("build", "next.yaml", "-i", "planned", "--plan", "--output", "json")
    steps = json.loads(ended.stdout)["steps"]
    assert sorted((step["action"], step["node"]) for step in steps) == [
        ("create", "new"),
        ("destroy", "lb"),
        ("destroy", "web"),
        ("keep", "db"),
    ]
    assert (
        ready.ready("build", "next.yaml", "--plan").stdout.splitlines()[-1]
        == "2 to create, 0 to replace, 0 to destroy, 0 to keep"
    )
    assert (cloud.inventory(), ready.query(RECORDED), ready.report("planned")) == before


def test_a_plan_says_what_keeps_addresses_that_change_and_replace_makes_it_again(ready, cloud, describe):
    web, proxy = (json.loads(cloud.definitions(name)) for name in ("web", "proxy"))
    for definition, text in ((web, "port {{ variables.port }}"), (proxy, "to {{ getip('web') }}")):
        next(iter(definition.values()))[0]["contextualisation"]["context_template"] = text
    ready.ready("import", ready.write("pair.yaml", json.dumps({**web, **proxy})))
    nodes = [{"name": name, "type": name, "variables": {"port": 1}} for name in ("web", "proxy")]
    description = {**json.loads(describe("web")), "nodes": nodes, "dependencies": [["proxy", "web"]]}
    ready.ready("build", ready.write("pair.infra.yaml", json.dumps(description)), "-i", "pair")
    nodes[0]["variables"] = {"port": 2}
    ready.write("pair.infra.yaml", json.dumps(description))
    command = ["build", "pair.infra.yaml", "-i", "pair"]
    kept = "its configuration was made with addresses of web, which change: it is not updated; occopus-build with"
    assert f"= keep 1 x proxy: {kept} --replace proxy" in ready.ready(*command, "--plan").stdout
    steps = json.loads(ready.ready(*command, "--plan", "-o", "json").stdout)["steps"]
    assert [step["reason"].startswith(kept) for step in steps] == [False, True]
    before = {machine["id"] for machine in cloud.machines("pair")}
    ready.ready(*command, "--replace", "proxy")
    assert not before & {machine["id"] for machine in cloud.machines("pair")}
    assert "1 to replace, 0 to destroy" in ready.ready(*command, "--replace", "web", "--plan").stdout
    last = ready.ready(*command, "--replace", "web").stderr.splitlines()[-1]
    assert last.startswith("warning: node 'proxy' is outdated"), last
    assert "occopus-scale -i pair -n proxy --replace replaces it; a node with 'when_outdated: replace' " in last, last
    ended = ready.run(*command, "--replace", "prox")
    assert (ended.code, "has no node 'prox': did you mean 'proxy'?" in ended.stderr) == (3, True), ended.stderr
    assert ready.run("build", "pair.infra.yaml", "--replace", "web").code == 2


@pytest.mark.parametrize("options", [[], ["--parallelize"]], ids=["sequential", "parallel"])
def test_a_refused_node_undoes_the_build(ready, cloud, describe, options):
    nodes = [f"n{number}" for number in range(1, 21)]
    ready.write("twenty.yaml", describe(*nodes))
    rule = {"kind": "permanent", "operation": "create", "node_name": "n15", "reason": "not on a Monday"}
    cloud.set_faults([rule])
    ended = ready.run("build", "twenty.yaml", "-i", "refused", *options)
    assert (ended.code, ended.stdout) == (1, "")
    (line,) = [line for line in ended.complaint if line.startswith("error:")]
    assert "'n15'" in line
    assert "not on a Monday" in line
    assert ended.complaint[-1] == "the build failed and was undone"
    assert cloud.machines("refused") == []
    assert ready.rows("refused") == 0


def test_an_unreachable_provider_is_reported_once_and_in_the_exit_code(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "unseen")
    assert ready.ready("maintain", "-i", "unseen").stderr == ""
    cloud.set_faults([{"kind": "auth"}])
    for command in ("maintain", "destroy"):
        ended = ready.run(command, "-i", "unseen")
        assert (ended.code, ended.stdout) == (5, "")
        (line,) = [line for line in ended.complaint if line.startswith("unconfirmed: ")]
        assert line.startswith("unconfirmed: 3 instances of nodes ")
        assert ended.stderr.count("refused") <= 2
    cloud.set_faults([])
    ready.ready("destroy", "-i", "unseen")
    assert cloud.machines("unseen") == []


def test_failed_creations_of_a_pass_are_reported_and_in_the_exit_code(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "short")
    ready.ready("scale", "-i", "short", "-n", "web", "-c", "1")
    cloud.set_faults([{"kind": "permanent", "operation": "create", "reason": "not on a Monday"}])
    ended = ready.run("maintain", "-i", "short")
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert line.startswith("error: node 'web' (sim ")
    assert "not on a Monday" in line
    assert ended.code == 1
    cloud.set_faults([])
    ready.ready("maintain", "-i", "short")
    ready.ready("destroy", "-i", "short")


def test_unconfirmed_deletions_are_reported_and_kept(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "stuck")
    cloud.set_faults([{"kind": "permanent", "operation": "delete", "node_name": "db", "reason": "locked"}])
    ended = ready.run("destroy", "-i", "stuck")
    assert ended.code == 5
    assert [line for line in ended.complaint if line.startswith("unconfirmed: ") and "locked" in line]
    assert [machine["owner"]["node_name"] for machine in cloud.machines("stuck")] == ["db"]
    left = "no process works on it: occopus-destroy -i stuck finishes that"
    assert (
        f"stuck\ttrial\tdropping\t1 instance\t0/3 ready, 1 shutdown\t{left}\n" in ready.ready("maintain", "-l").stdout
    )
    ended = ready.run("build", "trial.yaml", "-i", "stuck")
    assert ended.code == 4
    store = f"OCCOPUS_STORE={ready.environ['OCCOPUS_STORE']}"
    reported = f"error: the infrastructure 'stuck' is being destroyed: {store} occopus-destroy -i stuck finishes that"
    assert reported in ended.complaint
    cloud.set_faults([])
    ready.ready("destroy", "-i", "stuck")
    assert ready.rows("stuck") == 0


# maintain


def test_a_plan_says_that_no_process_works_on_an_update(ready):
    ready.ready("build", "trial.yaml", "-i", "left")
    with contextlib.closing(open_database(ready.environ["OCCOPUS_STORE"])) as database:
        store = Store(database)
        lease = store.acquire("left", "process 7 on host", 0.0)
        with store.changing(lease) as change:
            change.put_candidate(store.infrastructure("left").current)
    ended = ready.ready("build", "trial.yaml", "-i", "left", "--plan")
    (said,) = [line for line in ended.stderr.splitlines() if "no process" in line]
    assert said.startswith("notice: the infrastructure 'left' is 'updating', and no process works on it: ")
    ready.ready("maintain", "-i", "left")
    assert "no process" not in ready.ready("build", "trial.yaml", "-i", "left", "--plan").stderr


def test_the_list_in_every_form(ready, workspace):
    assert ready.ready("maintain", "-l").stdout == ""
    ready.ready("build", "trial.yaml", "-i", "one")
    ended = ready.ready("maintain", "--list")
    assert (ended.stdout, ended.stderr) == ("one\ttrial\tready\t3 instances\n", "")
    rows = json.loads(ready.ready("maintain", "-l", "-o", "json").stdout)
    assert rows == yaml.safe_load(ready.ready("maintain", "-l", "-o", "yaml").stdout)
    (row,) = rows["infrastructures"]
    assert (row["infraid"], row["name"], row["state"], row["instances"]) == ("one", "trial", "ready", 3)
    assert ready.ready("maintain", "-l", "-o", "list.json").stdout == ""
    assert json.loads((ready.folder / "list.json").read_text()) == rows


def test_the_report_in_every_form(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "one")
    report = ready.report("one")
    assert list(report) == ["db", "web", "lb"]
    assert report["db"]["scaling"] == {"actual": 1, "target": 1, "min": 1, "max": 2, "pending": []}
    ((node_id, instance),) = report["db"]["instances"].items()
    (machine,) = [machine for machine in cloud.machines("one") if machine["owner"]["node_id"] == node_id]
    assert instance["state"] == "ready"
    assert instance["resource_address"] == machine["addresses"][0]
    assert yaml.safe_load(ready.ready("maintain", "--report", "-i", "one", "--output", "yaml").stdout) == report
    table = ready.ready("maintain", "-r", "-i", "one").stdout
    ago = re.compile(r"\(\d+ s ago\)")
    assert ago.sub("", table) == ago.sub("", ready.ready("maintain", "-r", "-i", "one", "-o", "table").stdout)
    assert all(text in table for text in ("db 1/1 (1..2)", node_id, instance["resource_address"]))
    assert ready.ready("maintain", "-r", "-i", "one", "-o", "report.json").stdout == ""
    assert json.loads((ready.folder / "report.json").read_text()) == report
    filtered = ready.ready("maintain", "-r", "-i", "one", "-f", "web", "-o", "json").stdout
    assert json.loads(filtered) == {"web": report["web"]}


def test_what_a_report_cannot_do_is_one_line(ready):
    ready.ready("build", "trial.yaml", "-i", "one")
    ended = ready.run("maintain", "-r", "-i", "one", "--filter", "wbe")
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.complaint == ["error: 'one' has no node 'wbe'; it has: db, web, lb"]
    ended = ready.run("maintain", "-r", "-i", "one", "-o", "no/such/report.json")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.complaint == ["error: no/such/report.json: the file cannot be written: No such file or directory"]


# ids


@pytest.mark.parametrize("command", [["maintain", "-r"], ["destroy"]], ids=["maintain", "destroy"])
@pytest.mark.parametrize("infra_id", ["nobody", "../x", "'; DROP TABLE instances"])
def test_an_unknown_id(ready, command, infra_id):
    ended = ready.run(*command, "-i", infra_id)
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.complaint == [f"error: no infrastructure has the id '{infra_id}'; occopus-maintain -l lists them"]


@pytest.mark.parametrize("infra_id", ["", "a/b", "a b", "-x", ".x", "é", "x" * 129, "x\n"])
def test_an_id_that_cannot_be_one(workspace, infra_id):
    ended = workspace.run("build", "trial.yaml", "--plan", *([f"-i{infra_id}"] if infra_id else ["-i", ""]))
    assert (ended.code, ended.stdout) == (2, "")
    assert "cannot be the id of an infrastructure" in ended.complaint[0]


# options


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_exit_codes_and_needs_no_home(workspace, command):
    ended = workspace.run(command, "--help", environ={"HOME": None})
    assert ended.code == 0
    assert "exit codes:" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_options_are_one_message(workspace, command):
    ended = workspace.run(command, "--no-such-option")
    assert (ended.code, ended.stdout) == (2, "")
    (line,) = ended.complaint
    assert line.startswith("error: ")
    assert line.endswith(f" (occopus-{command} --help lists the options)")


def test_maintain_with_nothing_to_do_says_what_it_can(workspace):
    for words in ([], ["-r"], ["-c"]):
        ended = workspace.run("maintain", *words)
        assert ended.code == 2
        (line,) = ended.complaint
        assert line.startswith("error: name the infrastructure with -i INFRA_ID; or -l to list them all (")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_completion_is_good_bash(workspace, command):
    completion = workspace.ready(command, "--print-completion", "bash").stdout
    assert f"occopus-{command}" in completion
    assert "--cfg" in completion
    subprocess.run(["bash", "-n"], input=completion, text=True, check=True, timeout=600)


# Configuration and credentials


def test_an_old_configuration_works_and_is_never_run(ready, cloud):
    config = ready.write("old.yaml", OLD_CONFIGURATION)
    ended = ready.ready("build", "trial.yaml", "-i", "old", "--cfg", config)
    assert ended.stdout == "old\n"
    (warning,) = [line for line in ended.stderr.splitlines() if line.startswith("warning:")]
    assert warning.startswith(f"warning: {config}: these settings are not used and were ignored: plugins,")
    assert "node ready db" in (ready.folder / "occopus.log").read_text()
    assert "node ready db" in ended.stderr
    by_variable = ready.ready("maintain", "-l", environ={"OCCOPUS_CONFIG_PATH": config})
    assert by_variable.stdout == "old\ttrial\tready\t3 instances\n"
    assert "were ignored" in by_variable.stderr


def test_files_are_found_in_the_home_folder(ready):
    ready.write("home/.occopus/occopus_config.yaml", f"store: sqlite:///{ready.folder}/elsewhere.db\n")
    ready.write("home/.occopus/auth_data.yaml", "resource: [{type: sim, auth_data: {api_key: open-sesame}}]\n")
    unset = {"OCCOPUS_STORE": None}
    assert ready.ready("import", "nodes.yaml", environ=unset).stderr == ""
    assert (ready.folder / "elsewhere.db").exists()
    assert "auth_data.yaml: other users can read this file" in ready.ready("build", "trial.yaml").stderr


@pytest.mark.parametrize("option", ["--cfg", "--auth_data_path"])
def test_a_named_file_must_be_there(ready, option):
    ended = ready.run("build", "trial.yaml", option, "nowhere.yaml")
    assert ended.code == 2
    assert ended.complaint == ["error: nowhere.yaml: there is no such file"]


SECRET = "hunter2/key&'more'"
LOGGING = """\
logging:
    version: 1
    root: {level: DEBUG, handlers: [file]}
    handlers: {file: {class: logging.FileHandler, filename: all.log}}
"""


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_key_is_never_shown(workspace, new_cloud, describe, right):
    with new_cloud(api_key=SECRET if right else "another") as cloud:
        workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker")))
        workspace.write("trial.yaml", describe("db"))
        config = workspace.write("config.yaml", LOGGING)
        auth_data = workspace.write(
            "auth.yaml", json.dumps({"resource": [{"type": "sim", "auth_data": {"api_key": SECRET}}]})
        )
        options = ["--cfg", config, "--auth_data_path", auth_data]
        said = workspace.run("build", "trial.yaml", "-i", "keyed", *options)
        if right:
            assert said.code == 0
            assert len(cloud.machines("keyed")) == 1
        else:
            assert said.code == 1
            assert any("missing or wrong" in line for line in said.complaint)
            assert cloud.machines("keyed") == []
    texts = [said.stdout, said.stderr]
    texts += [
        file.read_bytes().decode(errors="replace")
        for file in workspace.folder.glob("*")
        if file.suffix in {".log", ".db", ".db-wal"}
    ]
    assert any("node creating" in text for text in texts)
    for text in texts:
        assert not any(form in text for form in (SECRET, urllib.parse.quote(SECRET), json.dumps(SECRET), "hunter2"))


# Lost output


@pytest.mark.parametrize("words", [["maintain", "-l"], ["build", "trial.yaml", "--plan"], ["build", "--help"]])
def test_a_closed_output(ready, words):
    """As in ``occopus-build --help | head -0``."""
    reading, writing = os.pipe()
    os.close(reading)
    process = ready.start(*words, stdout=writing)
    os.close(writing)
    ended = ready.end(process)
    assert (ended.code, ended.stderr) == (0, "")


def test_a_full_disk_is_reported(ready):
    with Path("/dev/full").open("w") as full:
        ended = ready.end(ready.start("build", "trial.yaml", "-i", "built", stdout=full))
    assert ended.code == 4
    assert ended.complaint[-1] == "error: standard output cannot be written: No space left on device"
    assert len(ready.report("built")) == 3


def test_closed_streams_do_no_harm(ready, cloud):
    """Nobody to tell anything: neither may a message become a result nor a file take the place of a stream."""
    script = 'exec "$@" >&- 2>&-'
    ended = ready.run("build", "trial.yaml", "-i", "silent", before=["sh", "-c", script, "sh"])
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert len(cloud.machines("silent")) == 3
    ended = ready.run("destroy", "-i", "silent", before=["sh", "-c", 'exec "$@" 2>&-', "sh"])
    assert (ended.code, ended.stdout) == (0, "")
    assert ready.rows("silent") == 0


def test_a_full_terminal_log_does_not_stop_a_build(ready, cloud):
    with Path("/dev/full").open("w") as full:
        ended = ready.end(ready.start("build", "trial.yaml", "-i", "unheard", stderr=full))
    assert (ended.code, ended.stdout) == (0, "unheard\n")
    assert len(cloud.machines("unheard")) == 3


def shown(workspace, width, *words):
    """The output of occopus-maintain on a terminal of this width."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    program = Path(sys.executable).with_name("occopus-maintain")
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with subprocess.Popen([program, *words], cwd=workspace.folder, env=workspace.environ, **streams) as process:
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # the end of what a terminal shows
            while part := os.read(ours, 4096):
                found += part
    os.close(ours)
    assert process.returncode == 0, found
    return found.decode().splitlines()


def test_a_terminal_gets_tables_of_its_width(ready):
    ready.ready("build", "trial.yaml", "-i", "terminal", "--parallelize")
    for width in (60, 80, 120):
        listed, reported = shown(ready, width, "-l"), shown(ready, width, "-r", "-i", "terminal")
        assert max(map(len, [*listed, *reported])) <= width
        assert listed[0].split()[:3] == ["ID", "NAME", "STATE"]
        assert listed[-1].split()[:5] == ["terminal", "trial", "ready", "3/3", "ready"]
        assert sum("ready" in line.split() for line in reported) == 3, reported
