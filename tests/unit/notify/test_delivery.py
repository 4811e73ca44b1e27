"""Notifications arrive in order and at least once, despite failures and crashes, without delaying others."""

from __future__ import annotations

import random
import threading
import time

import pytest

from occopus_core.api.errors import AuthError, NotFoundError, PermanentError, ThrottledError, TransientError
from occopus_core.api.notify import Notifier
from occopus_core.credentials import AuthData, Credentials, _Entry
from occopus_core.descriptions.model import Infrastructure, NodeDescription
from occopus_core.descriptions.problems import Position
from occopus_core.engine.kernel.intervals import FIRST_DELAY, LONGEST_DELAY
from occopus_core.events import Event, EventKind
from occopus_core.notify.delivery import (
    CALL_TIMEOUT,
    INTERVAL,
    LONGEST_PAUSE,
    REFUSED_SECONDS,
    Delivery,
    Route,
    make_delivery,
)
from occopus_core.registry import Registry
from occopus_core.settings import NotifierSettings
from occopus_core.store.database import open_database
from occopus_core.store.outbox import DELIVERY_SECONDS, PORTION
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store
from occopus_core.testing.time import VirtualClock

SECRET = "hush-hush-hush"
LONGEST = 600.0
"""Seconds after which a test counts as stuck."""


class Killed(BaseException):
    """The process was killed."""


class Receiver(Notifier):
    """Records notifications; `errors` are raised first, one for each call."""

    def __init__(self, connection=None):
        super().__init__(connection)
        self.errors = []
        self.received = []
        self.calls = 0
        self.after = lambda: None

    @classmethod
    def schema(cls):
        return {}

    def send(self, notifications):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.received.extend(notifications)
        self.after()

    @property
    def texts(self):
        return [one.text for one in self.received]


class Post:
    """A log and its routes, on a virtual clock."""

    def __init__(self, url):
        self.clock = VirtualClock()
        self.store = Store(open_database(url))
        description = Infrastructure("shop", (NodeDescription("web", "web"),))
        self._leases = {
            name: self.store.add_infrastructure(name, description, {}, "me", self.clock.now()) for name in ("a", "b")
        }
        self.warnings = []

    def happens(self, *texts, kind=EventKind.HEALING, infra_id="a"):
        with self.store.changing(self._leases[infra_id]) as change:
            change.add_events([(self.clock.now(), Event(kind, infra_id, "web", "n-1", text)) for text in texts])

    def route(self, receiver, name="hook", **filters):
        """A route as one process has it."""
        settings = NotifierSettings(name, "test", {}, **{key: frozenset(value) for key, value in filters.items()})
        made = Route(lambda: receiver, settings, self.store.outbox, self.clock, random.Random(7), self.warnings.append)
        made.register()
        return made


@pytest.fixture
def post(tmp_path):
    post = Post(f"sqlite:///{tmp_path}/occopus.db")
    yield post
    post.store.close()


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def route(post, receiver):
    return post.route(receiver)


class TestDelivery:
    def test_new_events_are_delivered_in_order(self, post, receiver):
        post.happens("before")
        route = post.route(receiver)
        assert route.turn() == INTERVAL
        post.happens("one", "two")
        post.happens("three")
        route.turn()
        route.turn()
        assert receiver.texts == ["one", "two", "three"]
        assert sorted({one.id for one in receiver.received}) == [one.id for one in receiver.received]
        assert post.warnings == []

    def test_a_notification_is_complete(self, post, receiver, route):
        post.clock.time = 1_700_000_000.25
        post.happens("192.0.2.1", kind=EventKind.NODE_READY)
        route.turn()
        (one,) = receiver.received
        assert (one.infra_id, one.event, one.name) == ("a", "node ready", "nodecreated")
        assert (one.node_name, one.node_id, one.text) == ("web", "n-1", "192.0.2.1")
        assert one.at == "2023-11-14T22:13:20.250+00:00"
        assert one.id == post.store.events("a")[-1].id

    def test_events_unknown_to_1_x_have_no_name(self, post, receiver, route):
        post.happens("one")
        route.turn()
        assert [(one.event, one.name) for one in receiver.received] == [("healing", "")]

    def test_no_call_without_events(self, receiver, route):
        route.turn()
        assert receiver.calls == 0

    def test_calls_have_the_batch_size_of_the_notifier(self, post, receiver, route):
        receiver.batch_size = 2
        post.happens(*"12345")
        route.turn()
        assert receiver.texts == [*"12345"]
        assert receiver.calls == 3

    def test_more_than_a_portion_is_delivered_in_one_turn(self, post, receiver, route):
        everything = [str(number) for number in range(2 * PORTION + 1)]
        post.happens(*everything)
        route.turn()
        assert receiver.texts == everything

    def test_only_selected_events_are_delivered(self, post, receiver):
        route = post.route(receiver, events=["node ready"], infrastructures=["b"])
        for infra_id in ("a", "b"):
            for kind in (EventKind.NODE_READY, EventKind.HEALING):
                post.happens(f"{infra_id} {kind.value}", kind=kind, infra_id=infra_id)
        route.turn()
        assert receiver.texts == ["b node ready"]

    def test_unselected_events_are_read_once(self, post, receiver):
        route = post.route(receiver, events=["node ready"])
        post.happens(*map(str, range(PORTION + 1)))
        post.happens("wanted", kind=EventKind.NODE_READY)
        post.happens("not wanted")
        route.turn()
        assert receiver.texts == ["wanted"]
        assert post.store.outbox.take("hook", post.clock.now()) is None

    def test_unwanted_events_between_full_calls_lose_nothing(self, post, receiver):
        route = post.route(receiver, events=["node ready"])
        receiver.batch_size = 1
        for number in range(3):
            post.happens(f"not {number}")
            post.happens(str(number), kind=EventKind.NODE_READY)
        route.turn()
        assert receiver.texts == ["0", "1", "2"]


class TestFailure:
    def test_a_failed_call_is_repeated_after_a_pause(self, post, receiver, route):
        receiver.errors = [TransientError("it is away")]
        post.happens("one", "two")
        pause = route.turn()
        assert 0 < pause <= FIRST_DELAY
        post.clock.time += pause / 2
        assert route.turn() == pytest.approx(pause / 2)
        assert receiver.calls == 1, "it was not let rest"
        post.clock.time += pause
        assert route.turn() == INTERVAL
        assert receiver.texts == ["one", "two"]

    def test_pauses_grow_up_to_a_limit(self, post, receiver, route):
        receiver.errors = [TransientError("it is away")] * 20
        post.happens("one")
        pauses = []
        for _ in range(20):
            pauses.append(route.turn())
            post.clock.time += pauses[-1]
        assert pauses[0] < pauses[3] < pauses[-1] <= LONGEST_DELAY
        assert receiver.received == []
        assert post.warnings == ["notifications to 'hook' are late: it is away"]
        route.turn()
        assert receiver.texts == ["one"]

    def test_success_ends_long_pauses_and_allows_new_warnings(self, post, receiver, route):
        for _ in range(2):
            receiver.errors = [TransientError("it is away")] * 5
            post.happens("one")
            pauses = []
            while (pause := route.turn()) != INTERVAL:
                pauses.append(pause)
                post.clock.time += pause
            assert pauses[0] <= FIRST_DELAY
            assert len(pauses) == 5
        assert len(post.warnings) == 2

    @pytest.mark.parametrize(("asked", "given"), [(77.0, 77.0), (1e9, LONGEST_PAUSE)])
    def test_a_pause_is_as_long_as_requested(self, post, receiver, route, asked, given):
        receiver.errors = [ThrottledError("slower", retry_after=asked)]
        post.happens("one")
        assert route.turn() == given

    def test_a_malformed_error_is_reported_and_the_next_turn_tries_again(self, post, receiver, route):
        class UnmadeError(ThrottledError):
            def __init__(self, code):
                self.code = code

        receiver.errors = [UnmadeError(7)]
        post.happens("one")
        post.clock.time += route.turn()
        route.turn()
        assert receiver.texts == ["one"]
        (warning,) = post.warnings
        assert "breaks its contract: send() raised UnmadeError, whose message is missing" in warning

    def test_refused_credentials_keep_the_notifications(self, post, receiver, route):
        receiver.errors = [AuthError("who are you")]
        post.happens("one")
        assert route.turn() == REFUSED_SECONDS
        post.clock.time += REFUSED_SECONDS
        route.turn()
        assert receiver.texts == ["one"]
        assert post.warnings == ["notifications to 'hook' are late: who are you"]

    @pytest.mark.parametrize("error", [PermanentError, NotFoundError])
    def test_a_permanent_refusal_drops_notifications_and_is_reported_once(self, post, receiver, route, error):
        receiver.batch_size = 1
        receiver.errors = [error("no such place")] * 2
        post.happens("one", "two", "three")
        assert route.turn() == INTERVAL
        assert receiver.texts == ["three"]
        assert post.warnings == ["'hook' refuses notifications, which are dropped: no such place"]

    def test_another_refusal_is_reported_too(self, post, receiver, route):
        receiver.batch_size = 1
        receiver.errors = [PermanentError("no"), PermanentError("never")]
        post.happens("one", "two")
        route.turn()
        assert [warning.rpartition(" ")[2] for warning in post.warnings] == ["no", "never"]

    def test_a_plugin_that_breaks_its_contract_loses_nothing_and_its_text_is_not_repeated(self, post, receiver, route):
        receiver.errors = [ValueError(SECRET)]
        post.happens("one")
        post.clock.time += route.turn()
        route.turn()
        assert receiver.texts == ["one"]
        (warning,) = post.warnings
        assert "ValueError" in warning
        assert SECRET not in warning

    def test_an_unreachable_receiver_delays_only_its_own_notifications(self, post, receiver, route):
        away = Receiver()
        away.errors = [TransientError("it is away")]
        other = post.route(away, "other")
        post.happens("one")
        other.turn()
        route.turn()
        assert receiver.texts == ["one"]
        assert away.received == []

    def test_an_unavailable_store_loses_nothing(self, post, receiver, route, monkeypatch):
        def away(*_):
            raise StoreError("the store is away")

        post.happens("one")
        with monkeypatch.context() as broken:
            broken.setattr(post.store.outbox, "take", away)
            post.clock.time += route.turn()
        route.turn()
        assert receiver.texts == ["one"]
        assert post.warnings == ["notifications to 'hook' are late: the store is away"]

    def test_one_that_could_not_be_registered_is_registered_later(self, post, receiver, monkeypatch):
        def away(*_):
            raise StoreError("the store is away")

        with monkeypatch.context() as broken:
            broken.setattr(post.store.outbox, "register", away)
            route = post.route(receiver)
        post.clock.time += LONGEST_DELAY
        route.turn()
        post.happens("one")
        route.turn()
        assert receiver.texts == ["one"]


class TestProcesses:
    def test_a_crash_after_the_call_repeats_it_under_the_same_ids(self, post, receiver):
        def die():
            raise Killed

        post.happens("old")
        route = post.route(receiver)
        post.happens("one")
        receiver.after = die
        with pytest.raises(Killed):
            route.turn()
        receiver.after = lambda: None
        successor = post.route(receiver)
        successor.turn()
        assert receiver.texts == ["one"], "the dead may still be alive"
        post.clock.time += DELIVERY_SECONDS
        successor.turn()
        assert receiver.texts == ["one", "one"]
        assert receiver.received[0] == receiver.received[1]

    def test_two_share_the_work(self, post, receiver, route):
        second = post.route(receiver)
        for text in "abcd":
            post.happens(text)
            route.turn()
            second.turn()
        assert receiver.texts == [*"abcd"]

    def test_while_one_process_delivers_another_does_not(self, post, receiver, route):
        other = Receiver()
        second = post.route(other)
        receiver.after = second.turn
        post.happens("one", "two")
        route.turn()
        assert receiver.texts == ["one", "two"]
        assert other.calls == 0

    def test_a_process_that_was_frozen_moves_no_cursor(self, post, receiver, route):
        def oversleep():
            receiver.after = lambda: None
            post.clock.time += DELIVERY_SECONDS
            post.happens("two")
            successor.turn()

        other = Receiver()
        successor = post.route(other)
        receiver.after = oversleep
        post.happens("one")
        route.turn()
        post.happens("three")
        route.turn()
        assert other.texts == ["one", "two"]
        assert receiver.texts == ["one", "three"]

    def test_a_call_ends_before_another_process_may_deliver(self):
        assert CALL_TIMEOUT < DELIVERY_SECONDS

    def test_concurrent_processes_deliver_each_event_once_and_in_order(self, post):
        """Several deliveries in real threads, on one store."""
        receiver = Receiver()
        couriers = [Delivery([post.route(receiver)]) for _ in range(4)]
        for delivery in couriers:
            delivery.start()
        everything = [str(number) for number in range(40)]
        for text in everything:
            post.happens(text)
        for delivery in couriers:
            delivery.finish(LONGEST)
        assert receiver.texts == everything


class TestCourier:
    def test_events_before_the_end_are_delivered(self, post, receiver, route):
        delivery = Delivery([route])
        delivery.start()
        post.happens("last")
        delivery.finish(LONGEST)
        assert receiver.texts == ["last"]

    def test_the_log_is_read_once_more_at_the_end(self):
        class Slow:
            turns = 0
            begun, may_end = threading.Event(), threading.Event()

            def register(self):
                return

            def turn(self):
                self.turns += 1
                self.begun.set()
                self.may_end.wait(LONGEST)
                return INTERVAL

            def watch(self, seconds):
                return

        slow = Slow()
        delivery = Delivery([slow])
        delivery.start()
        slow.begun.wait(LONGEST)
        delivery.finish(0.0)
        slow.may_end.set()
        delivery.finish(LONGEST)
        assert slow.turns == 2

    def test_a_hanging_receiver_delays_no_other(self, post, receiver, route):
        release = threading.Event()
        hanging = Receiver()
        hanging.after = release.wait
        delivery = Delivery([post.route(hanging, "hanging"), route])
        post.happens("one")
        delivered = threading.Event()
        receiver.after = delivered.set
        delivery.start()
        assert delivered.wait(LONGEST)
        delivery.finish(0.2)  # returns although the other one hangs
        assert receiver.texts == ["one"]
        release.set()
        delivery.finish(LONGEST)

    def test_a_failed_notifier_is_not_tried_repeatedly_at_the_end(self, post, receiver, route):
        receiver.errors = [TransientError("it is away")] * 100
        delivery = Delivery([route])
        post.happens("one")
        delivery.start()
        started = time.monotonic()
        delivery.finish(LONGEST)
        assert time.monotonic() - started < LONGEST / 2
        assert receiver.calls == 1

    def test_without_notifiers_there_is_nothing_to_do(self, post):
        before = threading.active_count()
        delivery = make_delivery([], Registry(), Credentials(), post.store.outbox, post.warnings.append)
        delivery.start()
        assert threading.active_count() == before
        delivery.finish(LONGEST)


class TestMaking:
    def make(self, post, plugin=Receiver, **settings):
        entry = _Entry({"type": "test", "url": "u"}, AuthData({"secret": SECRET}), Position("auth.yaml"))
        notifier = NotifierSettings("hook", "test", settings)
        registry = Registry({("notify", "test"): plugin})
        delivery = make_delivery(
            [notifier], registry, Credentials({"notify": (entry,)}), post.store.outbox, post.warnings.append
        )
        delivery.start()
        return delivery

    def test_a_plugin_gets_its_settings_and_its_secrets(self, post):
        made = []

        class Noting(Receiver):
            def __init__(self, connection):
                super().__init__(connection)
                made.append(connection)

        self.make(post, Noting, url="u").finish(LONGEST)
        self.make(post, Noting, url="other").finish(LONGEST)
        with_auth, without = made
        assert (with_auth.type, dict(with_auth.settings)) == ("test", {"url": "u"})
        assert dict(with_auth.auth) == {"secret": SECRET}
        assert with_auth.call_timeout == CALL_TIMEOUT
        assert dict(without.auth) == {}

    def test_no_warning_holds_a_secret(self, post):
        class Talkative(Receiver):
            def send(self, notifications):
                raise TransientError(f"{self.connection.auth['secret']} was not welcome")

        delivery = self.make(post, Talkative, url="u")
        post.happens("one")
        delivery.finish(LONGEST)
        assert post.warnings == ["notifications to 'hook' are late: *** was not welcome"]

    def test_a_notifier_that_cannot_be_set_up_is_one_that_cannot_send(self, post):
        class Unset(Receiver):
            def __init__(self, connection):
                super().__init__(connection)
                raise KeyError(SECRET)

        delivery = self.make(post, Unset, url="u")
        post.happens("one")
        delivery.finish(LONGEST)
        (warning,) = post.warnings
        assert "the notifier 'hook' cannot be set up: KeyError (" in warning

    def test_an_attribute_of_a_notifier_that_is_wrong_is_named(self, post):
        class Unbounded(Receiver):
            def __init__(self, connection):
                super().__init__(connection)
                self.batch_size = None

        delivery = self.make(post, Unbounded, url="u")
        post.happens("one")
        delivery.finish(LONGEST)
        (warning,) = post.warnings
        assert "'test' breaks its contract: its batch_size is None, expected a whole number from 1 to" in warning

    def unusable(self, post, registry):
        notifier = NotifierSettings("test-20d036b927a9", "test", {}, is_named=False)
        delivery = make_delivery([notifier], registry, Credentials(), post.store.outbox, post.warnings.append)
        delivery.start()
        return delivery

    def test_one_that_is_not_installed_is_one_that_cannot_send(self, post):
        self.unusable(post, Registry()).finish(LONGEST)
        why = "there is no notifier 'test'; installed are: fcm, webhook"
        assert post.warnings == [f"notifications to 'test' are late: {why}"]

    def test_what_a_plugin_with_a_malformed_schema_missed_is_sent_once_it_is_mended(self, post):
        class Malformed(Receiver):
            @classmethod
            def schema(cls):
                return {"properties": 7}

        delivery = self.unusable(post, Registry({("notify", "test"): Malformed}))
        post.happens("one")
        delivery.finish(LONGEST)
        (warning,) = post.warnings
        assert warning.startswith("notifications to 'test' are late: the notifier 'test' has a malformed schema: ")

        told = []

        class Mended(Receiver):
            def send(self, notifications):
                told.extend(one.text for one in notifications)

        self.unusable(post, Registry({("notify", "test"): Mended})).finish(LONGEST)
        assert told == ["one"]

    def test_one_that_exits_is_one_that_cannot_send(self, post):
        class Leaving(Receiver):
            def send(self, notifications):
                raise SystemExit(SECRET)

        delivery = self.make(post, Leaving, url="u")
        post.happens("one")
        delivery.finish(LONGEST)
        (warning,) = post.warnings
        assert warning.startswith(
            "notifications to 'hook' are late: the notifier 'hook' breaks its contract: it raised SystemExit ("
        )

    @pytest.mark.parametrize("where", ["its constructor", "send()"])
    def test_a_call_that_does_not_return_is_reported_at_the_end(self, post, where):
        returns = threading.Event()

        class Stuck(Receiver):
            def __init__(self, connection):
                super().__init__(connection)
                if where == "its constructor":
                    returns.wait(LONGEST)

            def send(self, notifications):
                returns.wait(LONGEST)

        delivery = self.make(post, Stuck, url="u")
        post.happens("one")
        delivery.finish(1.0)
        returns.set()
        assert post.warnings == [f"notifications to 'hook' are late: the notifier 'hook' does not return from {where}"]

    def test_a_call_that_does_not_return_is_reported_once(self, post):
        class Slow(Receiver):
            def send(self, notifications):
                post.clock.time += CALL_TIMEOUT / 2
                route.watch(CALL_TIMEOUT)
                assert post.warnings == []
                post.clock.time += CALL_TIMEOUT
                route.watch(CALL_TIMEOUT)
                route.watch(CALL_TIMEOUT)

        route = post.route(Slow())
        post.happens("one")
        route.turn()
        route.watch(CALL_TIMEOUT)
        assert post.warnings == ["notifications to 'hook' are late: the notifier does not return from send()"]
