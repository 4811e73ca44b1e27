"""``occopus-maintain --sweep``: instances without a row are found at the provider, and deleted on request."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def strayed(ready, cloud):
    """A built infrastructure, one of whose rows was lost: its instance is a stray."""
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    ((node_id,),) = ready.query("SELECT node_id FROM instances WHERE node_name = 'lb'")
    with contextlib.closing(sqlite3.connect(ready.store)) as store, store:
        store.execute("DELETE FROM instances WHERE node_id = ?", (node_id,))
    return next(one for one in cloud.machines("trial") if one["owner"]["node_name"] == "lb")


def test_nothing_is_swept_where_all_is_known(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    ended = ready.ready("maintain", "--sweep")
    assert (ended.stdout, ended.complaint[-1]) == ("", "0 found, 0 deleted")
    assert len(cloud.machines("trial")) == 3


def test_a_plan_tells_and_a_sweep_removes(ready, cloud, strayed):
    planned = ready.ready("maintain", "--sweep", "--plan")
    assert planned.stdout == f"stray: sim {cloud.endpoint} {strayed['id']}, node 'lb' of 'trial', ready\n"
    assert len(cloud.machines("trial")) == 3
    ended = ready.ready("maintain", "--sweep", "-o", "json")
    (stray,) = json.loads(ended.stdout)["strays"]
    assert (stray["instance"], stray["node"], stray["infraid"]) == (strayed["id"], "lb", "trial")
    assert strayed["id"] not in [one["id"] for one in cloud.machines("trial")]
    assert len(cloud.machines("trial")) == 2


def test_a_dead_cloud_is_reported_also_by_the_exit_code(ready, cloud, strayed):
    cloud.set_faults([{"kind": "permanent", "operation": "list", "reason": "closed for today"}])
    ended = ready.run("maintain", "--sweep")
    assert ended.code == 5
    (line,) = [line for line in ended.complaint if line.startswith("unconfirmed")]
    assert "cannot be searched" in line
    assert "closed for today" in line


def test_a_cloud_that_is_no_more_is_forgotten_once_nothing_is_recorded_there(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    name = f"sim {cloud.endpoint}"
    ended = ready.run("maintain", "--forget", name)
    assert ended.code == 4
    assert f"the infrastructure 'trial' has instances at '{name}': destroy it first" in ended.complaint[-1]
    store = f"OCCOPUS_STORE={ready.environ['OCCOPUS_STORE']}"
    assert ended.complaint[-1].endswith(f"{store} occopus-destroy -i trial --give-up '{name}' --yes")
    ready.ready("destroy", "-i", "trial")
    cloud.set_faults([{"kind": "permanent", "operation": "list", "reason": "closed for ever"}])
    ended = ready.run("maintain", "--sweep")
    assert ended.code == 5
    hint = f"to stop searching it, if it is permanently gone: {store} occopus-maintain --forget '{name}'"
    assert ended.complaint[-2] == hint
    assert ready.ready("maintain", "--forget", name).complaint[-1] == f"'{name}' is not searched any more"
    warning, count = ready.ready("maintain", "--sweep").complaint[-2:]
    assert warning.startswith(f"warning: {name}")
    assert "closed for ever" in warning
    assert warning.endswith("; only a node definition names it")
    assert count == "0 found, 0 deleted"
    again = ready.run("maintain", "--forget", name)
    assert (again.code, again.complaint[-1]) == (3, f"error: no instance was ever made at '{name}'")
    cloud.set_faults([])
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    assert ready.query("SELECT count(*) FROM places") != [(0,)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--forget", "x", "-i", "x"], "--forget applies to the whole installation: leave out -i"),
        (["--forget", "x", "-o", "json"], "-o works with --sweep, not with --forget"),
        (["--forget", "x", "--plan"], "--plan needs --sweep"),
        (["--sweep", "-i", "x"], "--sweep applies to the whole installation: leave out -i"),
        (["--plan", "-i", "x"], "--plan needs --sweep"),
        (["--sweep", "-o", "table"], "--sweep supports only '-o json'"),
    ],
)
def test_what_cannot_be_meant_is_refused(workspace, words, message):
    ended = workspace.run("maintain", *words)
    assert ended.code == 2
    assert ended.complaint == [f"error: {message} (occopus-maintain --help lists the options)"]
