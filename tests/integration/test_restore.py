"""A restored backup: later changes are reported, and nothing is lost or left behind."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration


def copied(user, to="copy.db"):
    """A copy of the store as it is now, made as the documentation says."""
    path = user.folder / to
    with contextlib.closing(sqlite3.connect(user.store)) as store, contextlib.closing(sqlite3.connect(path)) as copy:
        store.backup(copy)
    return path


def restore(user, copy):
    """Replace the store by a copy, as documented."""
    for left in user.folder.glob(f"{user.store.name}-*"):
        left.unlink()
    copy.replace(user.store)


def ids(machines):
    return {machine["id"] for machine in machines}


def strays(user, *words):
    reported = json.loads(user.ready("maintain", "--sweep", "-o", "json", *words).stdout)
    return {one["instance"] for one in reported["strays"]}


@pytest.fixture
def slow(ready, cloud, describe):
    ready.ready("import", ready.write("slow.yaml", cloud.definitions("slow", boot_seconds=1)))
    ready.write("slow-trial.yaml", describe("db", "web", "lb", type="slow", edges=[("web", "db"), ("lb", "web")]))
    return ready


def built_with_a_copy(user, moment):
    """A build that completes, and a copy of the store from the moment of one of its messages."""
    with user.start("build", "slow-trial.yaml", "-i", "x") as process:
        assert any(line.startswith(moment) for line in process.stderr)
        copy = copied(user)
        process.stderr.read()
        assert process.wait(LONGEST) == 0
    return copy


@pytest.mark.parametrize(
    ("moment", "then"),
    [("node booting db", "maintain"), ("node creating web", "build"), ("node booting lb", "maintain")],
)
def test_a_copy_from_the_middle_of_a_build_finds_all_that_the_build_made_later(slow, cloud, moment, then):
    copy = built_with_a_copy(slow, moment)
    made = ids(cloud.machines("x"))
    assert len(made) == 3
    restore(slow, copy)
    words = {"maintain": ["maintain", "-i", "x"], "build": ["build", "slow-trial.yaml", "-i", "x"]}[then]
    slow.await_lease("x")
    slow.ready(*words)
    known = {id for (id,) in slow.query("SELECT instance_id FROM instances WHERE stage = 'ready'")}
    assert ids(cloud.machines("x")) == known == made, "each row had its token before the copy was made"
    assert strays(slow, "--plan") == set()
    slow.ready("destroy", "-i", "x")
    assert cloud.inventory() == []


def test_a_copy_from_before_the_first_token_builds_again_and_reports_what_was_built(slow, cloud):
    copy = built_with_a_copy(slow, "node creating db")
    with contextlib.closing(sqlite3.connect(copy)) as store, store:
        store.execute("DELETE FROM instances")  # the line is printed just before the rows are written
    made = ids(cloud.machines("x"))
    restore(slow, copy)
    slow.await_lease("x")
    slow.ready("maintain", "-i", "x")
    assert strays(slow, "--plan") == made
    assert len(ids(cloud.machines("x")) - made) == 3
    slow.ready("destroy", "-i", "x")
    assert cloud.inventory() == [], "the last search has found them"


def test_a_copy_from_the_middle_of_a_build_destroys_all_that_the_build_made_later(slow, cloud):
    copy = built_with_a_copy(slow, "node booting db")
    restore(slow, copy)
    slow.ready("destroy", "-i", "x")
    slow.ready("maintain", "--sweep")
    assert cloud.inventory() == []
    assert slow.rows("x") == 0


def test_instances_made_after_the_copy_are_reported_and_kept_until_a_sweep(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "x", "--parallelize")
    before = ids(cloud.machines("x"))
    copy = copied(ready)
    (lost,) = [one["id"] for one in cloud.machines("x") if one["owner"]["node_name"] == "db"]
    cloud.change(lost, "fail")
    ready.ready("scale", "-i", "x", "-n", "web", "-c", "1")
    ready.ready("maintain", "-i", "x")
    ready.ready("build", "trial.yaml", "-i", "later")
    later = (ids(cloud.machines("x")) | ids(cloud.machines("later"))) - before
    assert len(later) == 5, "one in place of another, one more, and three of another infrastructure"
    restore(ready, copy)
    ready.ready("maintain", "-i", "x")
    assert later <= ids(cloud.inventory()), "nobody deletes what the copy does not know"
    others = [machine for machine in cloud.machines("x") if machine["id"] not in later]
    nodes = {machine["owner"]["node_name"]: machine["id"] for machine in others}
    assert nodes.keys() == {"db", "web", "lb"}, "what the copy knows is whole again"
    assert strays(ready, "--plan") == later
    assert later <= ids(cloud.inventory())
    assert strays(ready) == later
    assert ids(cloud.inventory()) == set(nodes.values())
    ready.ready("destroy", "-i", "x")
    assert strays(ready) == set()
    assert cloud.inventory() == []


def test_an_infrastructure_that_was_destroyed_after_the_copy_can_be_destroyed_again(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "x", "--parallelize")
    copy = copied(ready)
    ready.ready("destroy", "-i", "x")
    restore(ready, copy)
    assert "x\ttrial\tready" in ready.ready("maintain", "-l").stdout
    ready.ready("destroy", "-i", "x")
    assert ready.rows("x") == 0
    assert cloud.inventory() == []


def test_a_cloud_that_was_first_used_after_the_copy_is_searched_once_it_is_used_again(
    ready, cloud, new_cloud, describe
):
    ready.ready("build", "trial.yaml", "-i", "x", "--parallelize")
    copy = copied(ready)
    with new_cloud() as other:
        definitions = ready.write("other.yaml", other.definitions("elsewhere"))
        ready.ready("import", definitions)
        ready.ready("build", ready.write("far.yaml", describe("far", type="elsewhere")), "-i", "far")
        made = ids(other.inventory())
        restore(ready, copy)
        assert strays(ready) == set(), "nothing in the copy says that there is such a cloud"
        ready.ready("import", definitions)
        ready.ready("build", "far.yaml", "-i", "probe")
        assert strays(ready) == made
        ready.ready("destroy", "-i", "probe")
        assert other.inventory() == []
