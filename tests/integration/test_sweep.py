"""``occopus-maintain --sweep``: what no row knows is found at the provider, and removed when that is wanted."""

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


def test_a_dead_cloud_is_told_and_the_code_says_so(ready, cloud, strayed):
    cloud.set_faults([{"kind": "permanent", "operation": "list", "reason": "closed for today"}])
    ended = ready.run("maintain", "--sweep")
    assert ended.code == 5
    (line,) = [line for line in ended.complaint if line.startswith("unconfirmed")]
    assert "cannot be searched" in line
    assert "closed for today" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sweep", "-i", "x"], "--sweep is of the whole installation: leave out -i"),
        (["--plan", "-i", "x"], "--plan goes with --sweep"),
        (["--sweep", "-o", "table"], "the only form of --sweep is '-o json'"),
    ],
)
def test_what_cannot_be_meant_is_refused(workspace, words, message):
    ended = workspace.run("maintain", *words)
    assert ended.code == 2
    assert ended.complaint[-1].endswith(f"error: {message}")
