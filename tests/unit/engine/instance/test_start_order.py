import itertools

import pytest

from occopus_core.engine.instance.start_order import StartOrder
from occopus_core.events import EventKind

from ..conftest import infrastructure, node


class Planned(StartOrder):
    """Turns over works given as node names; `needs` has the nodes each one waits for."""

    def __init__(self, works, needs, width=None, started=None, order=None):
        super().__init__(width, started.append)
        self._plan = works, order or list(dict.fromkeys(works)), needs

    def begin(self):
        works, order, needs = self._plan
        self.add([SimpleNode(name) for name in works], order, lambda name: needs.get(name, ()))


class SimpleNode:
    def __init__(self, node_name):
        self.node_name = node_name


def names(started):
    return [work.node_name for work in started]


def test_all_instances_of_a_node_come_before_what_waits_for_it():
    started = []
    all_turns = Planned(["db", "db", "web"], {"web": ["db"]}, started=started)
    all_turns.begin()
    assert names(started) == ["db", "db"]
    all_turns.done(started[0])
    assert names(started) == ["db", "db"]
    all_turns.done(started[1])
    assert names(started) == ["db", "db", "web"]
    assert not all_turns.finished
    all_turns.done(started[2])
    assert all_turns.finished


def test_a_node_that_takes_no_part_counts_as_done():
    started = []
    Planned(["web"], {"web": ["db"]}, started=started).begin()
    assert names(started) == ["web"]


def test_no_more_than_the_width_in_a_stable_order():
    started = []
    all_turns = Planned(["c", "a", "b"], {}, width=1, started=started, order=["a", "b", "c"])
    all_turns.begin()
    for count in (1, 2):
        assert len(started) == count
        all_turns.done(started[-1])
    assert names(started) == ["a", "b", "c"]


def test_stopped_it_starts_nothing_more():
    started = []
    all_turns = Planned(["db", "web"], {"web": ["db"]}, started=started)
    all_turns.begin()
    all_turns.stop()
    all_turns.done(started[0])
    assert names(started) == ["db"]


@pytest.mark.parametrize("width", [1, None])
def test_what_is_done_at_once_lets_others_start(width):
    started = []

    class Eager(list):
        def append(self, work):
            started.append(work)
            all_turns.done(work)

    chain = [f"n{number}" for number in range(5000)]
    needs = {later: [earlier] for earlier, later in itertools.pairwise(chain)}
    all_turns = Planned(chain, needs, width, Eager(), chain)
    all_turns.begin()
    assert all_turns.finished
    assert names(started) == chain


class TestMoreAreAdded:
    needs = {"web": ["db"]}

    @pytest.fixture
    def begun(self):
        """One db is under way."""
        started = []
        turns = StartOrder(None, started.append)
        turns.add([SimpleNode("db")], ["db", "web"], lambda name: self.needs.get(name, ()))
        return turns, started

    def add(self, turns, *names, **how):
        works = [SimpleNode(name) for name in names]
        turns.add(works, ["db", "web"], lambda name: self.needs.get(name, ()), **how)
        return works

    def test_they_wait_for_what_is_under_way(self, begun):
        turns, started = begun
        self.add(turns, "web")
        assert names(started) == ["db"]
        turns.done(started[0])
        assert names(started) == ["db", "web"]

    def test_they_do_not_wait_where_others_are_ready(self, begun):
        turns, started = begun
        self.add(turns, "web", holds_up=lambda _name: False)
        assert names(started) == ["db", "web"]

    def test_those_that_are_added_together_wait_for_each_other_all_the_same(self, begun):
        turns, started = begun
        self.add(turns, "web", "db", holds_up=lambda _name: False)
        assert names(started) == ["db", "db"]
        turns.done(started[1])
        assert names(started) == ["db", "db", "web"]

    def test_one_that_is_done_before_it_started_never_starts(self, begun):
        turns, started = begun
        (web,) = self.add(turns, "web")
        assert web in turns
        turns.done(web)
        turns.done(web)
        turns.done(started[0])
        assert names(started) == ["db"]
        assert web not in turns
        assert turns.finished


def test_uneven_chains_finish_in_the_critical_path(world):
    """With a barrier after each level of the graph it would take 32 s."""
    names, edges = [], []
    for chain, seconds in (("a", (8, 1, 8, 1)), ("b", (1, 8, 1, 8))):
        for number, boot in enumerate(seconds):
            world.define(f"{chain}{number}", boot_seconds=boot)
            names.append(f"{chain}{number}")
            if number:
                edges.append((f"{chain}{number}", f"{chain}{number - 1}"))
    start = world.clock.now()
    world.build(infrastructure(*names, edges=edges))
    assert 18.0 <= world.clock.now() - start <= 18.0 * 1.06


def test_one_at_a_time_in_the_order_of_the_list(world):
    world.define("a", "b", "c", boot_seconds=3)
    world.build(infrastructure("c", node("b", min=2), "a", edges=[("b", "a")]), width=1)
    steps = [(e.kind, e.node_name) for e in world.events if e.kind in (EventKind.NODE_CREATING, EventKind.NODE_READY)]
    expected = [(kind, name) for name in "cabb" for kind in (EventKind.NODE_CREATING, EventKind.NODE_READY)]
    assert steps == expected


@pytest.mark.parametrize("width", [1, None])
def test_dropped_in_the_reverse_order(world, width):
    world.define("a", "b", "c", delete_seconds=3)
    world.build(infrastructure("a", "b", "c", edges=[("b", "a"), ("c", "b")]))
    world.destroy(width=width)
    steps = [(e.kind, e.node_name) for e in world.events if e.kind in (EventKind.NODE_DROPPING, EventKind.NODE_DROPPED)]
    assert steps == [(kind, name) for name in "cba" for kind in (EventKind.NODE_DROPPING, EventKind.NODE_DROPPED)]
