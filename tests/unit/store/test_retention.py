"""The log of a long-lived infrastructure does not grow without limit, and its readers keep their place."""

from __future__ import annotations

import pytest

from occopus_core.events import Event, EventKind
from occopus_core.store import repository

from .builders import infrastructure

DAY = 24 * 3600.0


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(repository, "MOST_EVENTS", 3)
    monkeypatch.setattr(repository, "EVENT_PORTION", 4)


@pytest.fixture
def log(store):
    leases = {id: store.add_infrastructure(id, infrastructure(), {}, "me", 0.0) for id in "ij"}

    def add(at, *texts, infra_id="i"):
        with store.changing(leases[infra_id]) as change:
            change.add_events([(at, Event(EventKind.HEALING, infra_id, text=text)) for text in texts])

    return add


def texts(store, infra_id="i", after=0):
    return [event.text for event in store.events(infra_id, after)]


def test_the_newest_stay_whatever_their_age(store, log):
    log(1.0, "a", "b")
    assert not store.forget_events("i", 400 * DAY)
    assert texts(store)[1:] == ["a", "b"]


def test_the_young_stay_however_many(store, log):
    log(1.0, "old")
    log(10 * DAY, *"abcdef")
    assert not store.forget_events("i", 40 * DAY - 1)
    assert texts(store) == list("abcdef")
    assert not store.forget_events("i", 40 * DAY + 1)
    assert texts(store) == list("def")


def test_it_goes_in_portions(store, log):
    log(1.0, *"abcdefgh")
    assert store.forget_events("i", 40 * DAY)
    assert texts(store) == list("defgh")
    assert not store.forget_events("i", 40 * DAY)
    assert texts(store) == list("fgh")


def test_others_are_left_alone(store, log):
    log(1.0, *"abcd", infra_id="j")
    assert not store.forget_events("i", 40 * DAY)
    assert texts(store, "j")[1:] == list("abcd")
    assert not store.forget_events("nobody", 40 * DAY)


def test_ids_stay_and_never_come_again(store, log):
    log(1.0, *"abcdef")
    before = {event.text: event.id for event in store.events("i")}
    store.forget_events("i", 40 * DAY)
    assert {event.text: event.id for event in store.events("i")} == {text: before[text] for text in "def"}
    log(40 * DAY, "g")
    assert store.events("i")[-1].id > max(before.values())


def test_events_after_a_removed_one_are_all_remaining_ones(store, log):
    log(1.0, *"abcdef")
    a = next(event.id for event in store.events("i") if event.text == "a")
    store.forget_events("i", 40 * DAY)
    assert texts(store, after=a) == list("def")
    assert texts(store, after=store.service.before_latest("i", 2)) == list("ef")


def test_a_notifier_goes_on_with_what_there_is(store, log):
    store.outbox.register("hook")
    log(1.0, *"abcdef")
    store.forget_events("i", 40 * DAY)
    assert [event.text for event in store.outbox.take("hook", 50.0).events][-3:] == list("def")
