"""Every notifier gets every new event, from one process at a time, and no cursor passes uncommitted events."""

from __future__ import annotations

import pytest

from occopus_core.events import Event, EventKind
from occopus_core.store.outbox import DELIVERY_SECONDS, KEPT_SECONDS, PORTION
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store

from .builders import infrastructure

NOW = 1000.0


@pytest.fixture
def outbox(store):
    return store.outbox


@pytest.fixture
def happens(store):
    """Records events with these texts."""
    leases = []

    def happen(*texts):
        if not leases:
            leases.append(store.add_infrastructure("i", infrastructure(), {}, "me", NOW))
        with store.changing(leases[0]) as change:
            change.add_events([(NOW, Event(EventKind.HEALING, "i", text=text)) for text in texts])

    return happen


def texts(consignment):
    return [event.text for event in consignment.events]


def take_all(outbox, name="hook"):
    consignment = outbox.take(name, NOW)
    outbox.advance(consignment, consignment.events[-1].id)
    return texts(consignment)


def test_a_new_notifier_begins_at_the_end(outbox, happens):
    happens("old")
    outbox.register("hook")
    assert outbox.take("hook", NOW) is None
    happens("new", "newer")
    assert take_all(outbox) == ["new", "newer"]


def test_the_first_notifier_of_an_empty_log_misses_nothing(outbox, happens):
    outbox.register("hook")
    happens("first")
    assert take_all(outbox)[-1] == "first"


def test_one_that_is_known_stays_where_it_is(outbox, happens):
    outbox.register("hook")
    happens("missed")
    outbox.register("hook")
    assert take_all(outbox)[-1] == "missed"


def test_an_unregistered_notifier_gets_nothing(outbox, happens):
    happens("one")
    assert outbox.take("hook", NOW) is None


def test_each_has_a_cursor_of_its_own(outbox, happens):
    happens("old")
    outbox.register("hook")
    outbox.register("other")
    happens("one")
    assert take_all(outbox) == ["one"]
    assert outbox.take("hook", NOW) is None
    assert take_all(outbox, "other") == ["one"]


def test_returned_events_are_delivered_again(outbox, happens):
    happens("old")
    outbox.register("hook")
    happens("one")
    outbox.give_back(outbox.take("hook", NOW))
    assert take_all(outbox) == ["one"]


def test_a_part_can_be_completed(outbox, happens):
    happens("old")
    outbox.register("hook")
    happens("one", "two", "three")
    consignment = outbox.take("hook", NOW)
    outbox.advance(consignment, consignment.events[0].id)
    assert take_all(outbox) == ["two", "three"]


def test_a_long_log_is_taken_in_portions(outbox, happens):
    happens("old")
    outbox.register("hook")
    everything = [str(number) for number in range(PORTION + 1)]
    happens(*everything)
    assert take_all(outbox) + take_all(outbox) == everything


def test_taken_events_are_reserved(outbox, happens, store_url, opened):
    happens("old")
    outbox.register("hook")
    happens("one")
    outbox.take("hook", NOW)
    other = Store(opened(store_url)).outbox
    assert other.take("hook", NOW + DELIVERY_SECONDS - 1) is None


def test_events_of_a_dead_process_are_taken_over_and_it_moves_no_cursor(outbox, happens, store_url, opened):
    happens("old")
    outbox.register("hook")
    happens("one")
    dead = outbox.take("hook", NOW)
    other = Store(opened(store_url)).outbox
    taken = other.take("hook", NOW + DELIVERY_SECONDS)
    assert texts(taken) == ["one"]
    outbox.advance(dead, dead.events[-1].id)
    outbox.give_back(dead)
    assert outbox.take("hook", NOW + DELIVERY_SECONDS) is None, "the ghost has ended the lease of its successor"
    other.give_back(taken)
    assert take_all(other) == ["one"]


def test_an_event_is_kept_when_its_infrastructure_is_gone(outbox, store, happens):
    outbox.register("hook")
    lease = store.add_infrastructure("j", infrastructure(), {}, "me", NOW)
    with store.changing(lease) as change:
        change.remove_infrastructure()
        change.add_events([(NOW, Event(EventKind.INFRA_DROPPED, "j"))])
    assert [event.kind for event in outbox.take("hook", NOW).events] == [
        "infrastructure created",
        "infrastructure dropped",
    ]


@pytest.mark.integration
def test_events_committed_late_are_not_skipped(postgresql, opened):
    store = Store(opened(postgresql.new_database()))
    leases = [store.add_infrastructure(name, infrastructure(), {}, "me", NOW) for name in "ab"]
    store.outbox.register("hook")
    with store.changing(leases[0]) as change:
        change.add_events([(NOW, Event(EventKind.HEALING, "a", text="late"))])
        with store.changing(leases[1]) as other:
            other.add_events([(NOW, Event(EventKind.HEALING, "b", text="soon"))])
        with pytest.raises(StoreError, match="lock"):
            store.outbox.take("hook", NOW)
    assert texts(store.outbox.take("hook", NOW)) == ["late", "soon"]


def test_the_last_subscriber_of_a_type_counts(outbox, store):
    store.add_infrastructure("i", infrastructure(), {}, "me", NOW)
    outbox.subscribe("i", "fcm", "old phone", NOW)
    outbox.subscribe("i", "fcm", "phone", NOW)
    outbox.subscribe("j", "other", "tablet", NOW)
    assert outbox.subscribers("fcm", {"i", "j"}) == {"i": "phone"}


def test_subscribers_are_kept_a_day_longer_than_their_infrastructure(outbox, store):
    lease = store.add_infrastructure("i", infrastructure(), {}, "me", NOW)
    outbox.subscribe("i", "fcm", "phone", NOW)
    with store.changing(lease) as change:
        change.remove_infrastructure()
        change.add_events([(NOW, Event(EventKind.INFRA_DROPPED, "i"))])
    outbox.subscribe("other", "fcm", "tablet", NOW + KEPT_SECONDS - 1)
    assert outbox.subscribers("fcm", {"i"}) == {"i": "phone"}
    outbox.subscribe("other", "fcm", "tablet", NOW + KEPT_SECONDS + 1)
    assert outbox.subscribers("fcm", {"i"}) == {}


def test_a_new_infrastructure_has_no_subscribers_of_an_earlier_one_with_its_id(outbox, store):
    outbox.subscribe("i", "fcm", "phone", NOW)
    store.add_infrastructure("i", infrastructure(), {}, "me", NOW)
    assert outbox.subscribers("fcm", {"i"}) == {}


def test_who_took_events_before_the_time_was_set_back_does_not_keep_them(outbox, happens):
    outbox.register("hook")
    happens("one")
    assert outbox.take("hook", NOW + 3600) is not None
    assert outbox.take("hook", NOW + 3600) is None
    assert outbox.take("hook", NOW) is not None
