"""The options of ``occopus-scale``, and what it refuses."""

import dataclasses
import io
import itertools
import time

import pytest

from occopus_core.cli import scale
from occopus_core.descriptions.model import Dependency, Infrastructure, NodeDescription
from occopus_core.store.records import ScaleKind


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-c", "x"], "argument -c/--changescale: expected an integer, got 'x'"),
        (["-s", "1.5"], "argument -s/--setscale: expected an integer, got '1.5'"),
        (["-s", "-1"], "argument -s/--setscale: the number of instances must not be negative"),
        (["-f", ""], "-f chooses an instance to go: give its node id or address"),
        ([], "give -c (by how many), -s (to how many), -f (which instance to remove), or --replace"),
        (["--replace", "-f", "id-1"], "-f chooses an instance to go: --replace replaces all instances of the node"),
    ],
)
def test_numbers_that_are_none_are_refused_in_words(argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        scale.main(["-i", "infra-1", "-n", "web", *argv])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {message} (occopus-scale --help lists the options)\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-c", "2"], "1 -> 3"),
        (["-s", "99"], "1 -> 5 (the maximum is 5)"),
        (["-c", "9"], "1 -> 5 (the maximum is 5)"),
        (["-s", "0"], "1 -> 1 (the minimum is 1)"),
        (["-f", "10.0.0.1"], "1 -> 1 (the minimum is 1)"),
    ],
)
def test_a_request_is_recorded_and_its_effect_is_printed(store, argv, said, capsys):
    assert scale.main(["-i", "infra-1", "-n", "web", *argv]) == 0
    (request,) = store.pending_requests("infra-1")
    assert capsys.readouterr().err == (
        f"recorded as request {request.id}: {said}; occopus-maintain -i infra-1 applies it\n"
    )


def test_a_replacement_is_recorded(store, capsys):
    assert scale.main(["-i", "infra-1", "-n", "web", "--replace"]) == 0
    (request,) = store.pending_requests("infra-1")
    assert (request.kind, request.node_name) == (ScaleKind.REPLACE, "web")
    said = "all instances of node 'web' are replaced; occopus-maintain -i infra-1 begins that"
    assert capsys.readouterr().err == f"recorded as request {request.id}: {said}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-c", "2"], "1 -> 3; {} applies it{}"),
        (["--replace"], "all instances of node 'web' are replaced; {} begins that{}"),
    ],
)
@pytest.mark.parametrize(
    ("seen_ago", "by"),
    [
        (0, ("manager 7 on host, which maintains it,", " at once")),
        (3600, ("occopus-maintain -i infra-1", "")),  # it was killed
    ],
)
def test_the_process_that_maintains_it_applies_a_request_at_once(store, argv, said, seen_ago, by, capsys):
    store.maintainers.beat("7", "manager 7 on host", time.time() - seen_ago, ["infra-1"])
    assert scale.main(["-i", "infra-1", "-n", "web", *argv]) == 0
    assert capsys.readouterr().err == f"recorded as request 1: {said.format(*by)}\n"


def test_a_replacement_names_the_dependents_that_it_leaves(store, capsys):
    (web,) = store.instances("infra-1")
    times = itertools.count(1e9, 1e6)  # each after the end of the lease before

    def requested(*instances, **how):
        nodes = [NodeDescription("web", "web"), NodeDescription("lb", "lb", **how), NodeDescription("log", "log")]
        edges = (Dependency("lb", "web"), Dependency("log", "web"))
        with store.changing(store.acquire("infra-1", "test", next(times))) as change:
            change.add_instances(instances)
            change.finish_build(Infrastructure("shop", tuple(nodes), edges), {"web": 1, "lb": 1, "log": 0})
        assert scale.main(["-i", "infra-1", "-n", "web", "--replace"]) == 0
        return capsys.readouterr().err.splitlines()[:-1]

    assert requested() == [], "the others have no instances"
    left = "notice: 'lb' may be left with former addresses of 'web': the report says so then, and what to do"
    assert requested(dataclasses.replace(web, node_id="id-2", node_name="lb", token="t-2")) == [left]
    assert requested(when_outdated="replace") == []
    assert requested(discovers=True) == []


@pytest.mark.parametrize(("argv", "answer", "recorded"), [([], "n", 0), ([], "y", 1), (["-y"], "n", 1)])
def test_a_replacement_is_confirmed_on_a_terminal(store, monkeypatch, capsys, argv, answer, recorded):
    monkeypatch.setattr(scale, "can_ask", lambda _settings: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    assert (scale.main(["-i", "infra-1", "-n", "web", "--replace", *argv]) == 0) == bool(recorded)
    assert len(store.pending_requests("infra-1")) == recorded
    assert ("Replace 1 instance of node 'web'" in capsys.readouterr().err) == (argv == [])


def test_the_printed_effect_includes_pending_requests(store, capsys):
    assert scale.main(["-i", "infra-1", "-n", "web", "-c", "3"]) == 0
    assert scale.main(["-i", "infra-1", "-n", "web", "-f", "id-1"]) == 0
    assert "request 2: 4 -> 3;" in capsys.readouterr().err
    assert scale.main(["-i", "infra-1", "-n", "web", "-f", "10.0.0.1"]) == 3
    assert capsys.readouterr().err == (
        "error: node 'web' has no instance '10.0.0.1' any more: it is being removed already\n"
    )
    assert len(store.pending_requests("infra-1")) == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-n", "web", "-f", "1.2.3.4"], "node 'web' has no instance '1.2.3.4'"),
        (["-n", "db", "-f", "10.0.0.1"], "node 'db' has no instance '10.0.0.1'"),
        (["-n", "wbe", "-c", "1"], "'infra-1' has no node 'wbe'; it has: web, db"),
        (["-n", "wbe", "--replace"], "'infra-1' has no node 'wbe'; it has: web, db"),
    ],
)
def test_what_does_not_exist_is_refused_at_once(store, argv, said, capsys):
    assert scale.main(["-i", "infra-1", *argv]) == 3
    assert capsys.readouterr().err == f"error: {said}\n"
    assert store.pending_requests("infra-1") == []


def test_what_is_being_destroyed_is_not_scaled(store, capsys):
    store.request_destroy("infra-1")
    assert scale.main(["-i", "infra-1", "-n", "web", "-c", "1"]) == 4
    assert capsys.readouterr().err == (
        "error: the infrastructure 'infra-1' is being destroyed: occopus-destroy -i infra-1 finishes that\n"
    )
    assert store.pending_requests("infra-1") == []
