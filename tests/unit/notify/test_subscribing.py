"""Clients subscribe to events of one infrastructure: address, notifier, and errors without a suitable notifier."""

from __future__ import annotations

import contextlib
import random

import pytest

from occopus_core.api import Connection
from occopus_core.api.notify import Notifier
from occopus_core.credentials import AuthData, Credentials, _Entry
from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.problems import Position
from occopus_core.notify.delivery import Route
from occopus_core.notify.subscribing import SubscriptionError, UnconfiguredError, address_of
from occopus_core.registry import PluginError, Registry
from occopus_core.settings import NotifierSettings
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store
from occopus_core.testing.time import VirtualClock


class Pager(Notifier):
    """Sends to subscribers, unless it has its own `number`."""

    def __init__(self, connection):
        super().__init__(connection)
        self.sent = []

    @classmethod
    def schema(cls):
        return {}

    @classmethod
    def address(cls, properties):
        if "number" not in properties:
            raise ValueError("no number")
        return properties["number"]

    @property
    def tells_subscribers(self):
        return "number" not in self.connection.settings

    def send(self, notifications):
        self.sent += [(one.infra_id, one.subscriber) for one in notifications]


class Deaf(Pager):
    address = Notifier.address
    tells_subscribers = Notifier.tells_subscribers


REGISTRY = Registry({("notify", "pager"): Pager, ("notify", "deaf"): Deaf})
CREDENTIALS = Credentials(
    {"notify": (_Entry({"type": "pager"}, AuthData({"key": "hush"}), Position("auth_data.yaml")),)}
)


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(Store(open_database(f"sqlite:///{tmp_path}/occopus.db"))) as store:
        yield store


def entry(type="pager", **settings):
    return NotifierSettings("it", type, settings)


def asked(*notifiers, credentials=CREDENTIALS, type="pager", **properties):
    return address_of(notifiers, REGISTRY, credentials, type, properties)


def test_the_address_is_what_the_plugin_makes_of_it():
    assert asked(entry(), number="7") == "7"


@pytest.mark.parametrize(
    "notifiers", [(), (entry(number="1"),), (entry("deaf"),)], ids=["none", "of its own", "of another type"]
)
def test_without_a_notifier_that_could_the_operator_is_named(notifiers):
    with pytest.raises(UnconfiguredError, match="its operator can add one"):
        asked(*notifiers, number="7")


def test_without_credentials_a_subscription_is_refused():
    with pytest.raises(UnconfiguredError):
        asked(entry(), credentials=Credentials(), number="7")


def test_a_refusal_of_the_plugin_is_the_clients_mistake():
    with pytest.raises(SubscriptionError, match="pager: no number"):
        asked(entry())
    with pytest.raises(SubscriptionError, match="deaf: it sends only"):
        asked(entry("deaf"), type="deaf", number="7")


def test_an_unknown_type_names_those_there_are():
    with pytest.raises(PluginError, match="installed are: deaf, fcm, pager, webhook"):
        asked(entry(), type="pigeon")


def test_only_subscribers_get_events_each_of_its_own_infrastructure(store):
    clock, pager = VirtualClock(), Pager(Connection("pager", {}, {}))
    route = Route(lambda: pager, entry(), store.outbox, clock, random.Random(1), print)
    route.register()
    for name in ("a", "b", "c"):
        store.add_infrastructure(name, Infrastructure("shop", ()), {}, "me", clock.now())
    store.outbox.subscribe("a", "pager", "1", clock.now())
    store.outbox.subscribe("c", "pager", "3", clock.now())
    route.turn()
    assert pager.sent == [("a", "1"), ("c", "3")]
    assert store.outbox.take("it", clock.now()) is None, "events without subscribers are delivered too"
