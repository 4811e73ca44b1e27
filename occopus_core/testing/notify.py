"""Conformance of notifiers: what `occopus_core.api.notify` asks of them, as an abstract pytest class.

A plugin inherits `NotifierConformance` and gives it a fixture `harness`, a new `NotifyHarness` for each test::

    class TestConformance(NotifierConformance):
        @pytest.fixture
        def harness(self):
            with AcmeHarness() as harness:
                yield harness

`failures(AcmeHarness)` runs the same clauses without pytest.
"""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import jsonschema

from occopus_core.api import (
    AuthError,
    Notification,
    Notifier,
    PermanentError,
    ProviderError,
    ThrottledError,
    TransientError,
)
from occopus_core.api.declared import fault_of_declarations
from occopus_core.testing import suite
from occopus_core.testing.conformance.base import assert_provider_error, chain, raised
from occopus_core.testing.conformance.harness import Fault
from occopus_core.testing.shape import (
    assert_describes_properties,
    assert_imports_none,
    assert_no_io,
    assert_states_version,
    plugin_class,
)
from occopus_core.testing.suite import able

_COUNT = 5
_OWN = frozenset({"type", "name", "events", "infrastructures"})
_EXPECTED: Mapping[Fault, type[ProviderError]] = {
    Fault.AUTH: AuthError,
    Fault.THROTTLE: ThrottledError,
    Fault.PERMANENT: PermanentError,
    Fault.SERVER_ERROR: TransientError,
    Fault.REFUSED_CONNECTION: TransientError,
    Fault.HANG: TransientError,
    Fault.LOST_REPLY: TransientError,
}


class NotifyHarness(suite.Harness, ABC):
    """A notifier and its receiver. The suite makes a new harness for each clause and closes it."""

    sdk_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the receiver's library, none of which may be imported for the schema."""
    faults: ClassVar[frozenset[Fault]] = frozenset()
    """The faults that `inject` supports."""
    subscription: ClassVar[Mapping[str, Any] | None] = None
    """The properties with which a client subscribes to one infrastructure; None if clients choose no address."""
    short_timeout: ClassVar[float] = 0.5
    """A `call_timeout` in seconds that is short enough to wait for."""
    grace: ClassVar[float] = 1.5
    """Seconds by which a busy machine may exceed `call_timeout`."""

    @abstractmethod
    def notifier(self, *, call_timeout: float | None = None) -> Notifier:
        """A new notifier of the receiver, with a time limit in seconds for its calls or a sensible one."""

    @abstractmethod
    def received(self) -> list[int]:
        """The ids of the received notifications, in order."""

    def calls(self) -> int:
        """The number of requests to the receiver so far."""
        raise NotImplementedError("count the receiver's requests")

    def inject(self, fault: Fault) -> None:
        """Make the receiver fail in this way, until `clear`."""
        raise NotImplementedError("make the receiver fail")

    def clear(self) -> None:
        """Let the receiver work again. Idempotent."""

    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: the secrets of the credentials (without `user` and the like) and settings."""
        return suite.secrets_of(self.notifier().connection.auth)


def notifications(count: int, first: int = 1) -> list[Notification]:
    """Notifications with ids from `first` on."""
    return [
        Notification(
            id=number,
            infra_id="i-1",
            event="node ready",
            name="nodecreated",
            at="2026-01-01T00:00:00+00:00",
            node_name="web",
            node_id=f"n-{number}",
            text=f"the node is ready: \u00e4 \u20ac <b> {number}",
            subscriber="somebody",
        )
        for number in range(first, first + count)
    ]


class NotifierConformance(suite.Suite):
    """Every clause of the contract. Derive from it, name the class ``Test…`` and give it the fixture `harness`."""

    def test_contract_version(self, harness: NotifyHarness) -> None:
        """The class states which version of the contract it is written for, and it is the current one."""
        assert_states_version(plugin_class(harness.notifier()))

    def test_class_attributes(self, harness: NotifyHarness) -> None:
        """`batch_size` is a number of at least 1."""
        fault = fault_of_declarations(type(harness.notifier()))
        assert not fault, fault

    def test_schema(self, harness: NotifyHarness) -> None:
        """The schema is a valid schema of an object, without the core's own keys, and accepts working settings."""
        notifier = harness.notifier()
        schema = type(notifier).schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("type") == "object", "the schema is of an object"
        own = _OWN & set(schema.get("properties", {}))
        assert not own, f"the core adds {', '.join(sorted(own))}"
        jsonschema.Draft7Validator(schema).validate(dict(notifier.connection.settings))

    def test_schema_describes_every_property(self, harness: NotifyHarness) -> None:
        """Every property of the schema has a description, which editors show."""
        assert_describes_properties(type(harness.notifier()).schema())

    def test_schema_imports_no_sdk(self, harness: NotifyHarness) -> None:
        """`schema` does not import the receiver's library."""
        assert harness.sdk_modules, "the harness names no `sdk_modules`: name them, or this clause in `not_applicable`"
        assert_imports_none(plugin_class(harness.notifier()), harness.sdk_modules)

    def test_constructor_does_no_io(self, harness: NotifyHarness) -> None:
        """The constructor does no I/O: it opens no connection, starts no process, writes no file."""
        harness.notifier()  # imports are made before
        assert_no_io(harness.notifier)

    def test_repr_keeps_secrets(self, harness: NotifyHarness) -> None:
        """No `repr` of the notifier shows a credential."""
        notifier = harness.notifier()
        shown = f"{notifier!r} {notifier}"
        found = suite.leaked(shown, harness.secrets(), notifier.connection.auth)
        assert not found, f"a repr shows {found}"

    def test_all_in_order(self, harness: NotifyHarness) -> None:
        """`send` delivers every notification of a batch, in order."""
        notifier = harness.notifier()
        _send(notifier, notifications(_COUNT))
        assert harness.received() == list(range(1, _COUNT + 1)), f"the receiver has had {harness.received()}"

    def test_repeated(self, harness: NotifyHarness) -> None:
        """A repeated notification is delivered again without an error."""
        notifier = harness.notifier()
        for _ in range(2):
            _send(notifier, notifications(2))
        received = harness.received()
        assert received[-2:] == [1, 2], f"after a repeat the receiver has had {received}"

    def test_goes_on_after_a_failure(self, harness: NotifyHarness) -> None:
        """After a failure, the same object continues once the receiver works again."""
        notifier = harness.notifier()
        for fault in _injectable(harness) & _EXPECTED.keys() - {Fault.HANG}:
            _failing(harness, notifier, fault)
        _send(notifier, notifications(1, first=77))
        assert harness.received()[-1:] == [77], "after a failure nothing is handed over any more"

    def test_failures_are_what_they_mean(self, harness: NotifyHarness) -> None:
        """Each failure is the error for what the core does next: repeat, repeat much later, or drop."""
        for fault in sorted(_injectable(harness) & _EXPECTED.keys() - {Fault.HANG}, key=lambda each: each.name):
            error = _failing(harness, harness.notifier(), fault)
            wanted = _EXPECTED[fault]
            assert isinstance(error, wanted), f"{fault.value}: {error!r} is no {wanted.__name__}"

    def test_hang(self, harness: NotifyHarness) -> None:
        """`send` ends within `Connection.call_timeout`, with `TransientError`."""
        assert Fault.HANG in _injectable(harness), "the harness cannot have the receiver hang"
        notifier = harness.notifier(call_timeout=harness.short_timeout)
        started = time.monotonic()
        error = _failing(harness, notifier, Fault.HANG)
        took = time.monotonic() - started
        assert took < harness.short_timeout + harness.grace, f"send hung for {took:.1f} s"
        assert isinstance(error, TransientError), f"silence is {error!r}"

    def test_never_retries(self, harness: NotifyHarness) -> None:
        """A notifier never sleeps or retries: repeating belongs to the core."""
        notifier = harness.notifier()
        _send(notifier, notifications(1))
        before = able(harness.calls)
        _send(notifier, notifications(1))
        usual = harness.calls() - before
        with suite.never_sleeping("the notifier called time.sleep"):
            before = harness.calls()
            _failing(harness, notifier, Fault.SERVER_ERROR)
        assert harness.calls() - before <= usual, "a request was repeated after an internal error"

    def test_errors_keep_secrets(self, harness: NotifyHarness) -> None:
        """No error shows a credential."""
        secrets = harness.secrets()
        assert secrets, "the harness has no secrets: give it some, or name this clause in `not_applicable`"
        for fault in _injectable(harness) - {Fault.HANG}:
            notifier = harness.notifier()
            error = _failing(harness, notifier, fault)
            shown = " ".join(f"{each} {each!r}" for each in chain(error))
            found = suite.leaked(shown, secrets, notifier.connection.auth)
            assert not found, f"{fault.value}: the error shows {found}"

    def test_prints_keep_secrets(self, harness: NotifyHarness) -> None:
        """Nothing printed or logged during calls contains a credential."""
        notifier = harness.notifier()
        with suite.printed(plugin_class(notifier)) as shown:
            _send(notifier, notifications(2))
            for fault in harness.faults - {Fault.HANG}:
                _failing(harness, notifier, fault)
        found = suite.leaked(shown(), harness.secrets(), notifier.connection.auth)
        assert not found, f"what is printed or logged shows {found}"

    def test_only_provider_errors(self, harness: NotifyHarness) -> None:
        """A notifier raises only `ProviderError` and its subclasses, with attributes of the right types."""
        for fault in _injectable(harness) - {Fault.HANG}:
            error = _failing(harness, harness.notifier(), fault)
            if error is not None:
                assert_provider_error(error, fault.value)

    def test_address(self, harness: NotifyHarness) -> None:
        """`address` returns a text for valid properties, and raises `ValueError` with a message for all others."""
        notifier = type(harness.notifier())
        if harness.subscription is not None:
            found = notifier.address(harness.subscription)
            assert isinstance(found, str), f"an address is a text, not {found!r}"
            assert found, "an address is not empty"
        nonsenses: tuple[Mapping[str, Any], ...] = ({}, {"reg_id": 7, "url": None, "address": []})
        for nonsense in nonsenses:
            error = raised(lambda: notifier.address(nonsense))  # noqa: B023 - it is called at once
            assert isinstance(error, ValueError), f"what is no address is {error!r}, not ValueError"
            assert str(error), "the error has no message for the client"


CLAUSES = suite.clauses(NotifierConformance)
"""The names of all clauses."""
failures = functools.partial(suite.failures, NotifierConformance)
"""Run clauses on harnesses without pytest; see `occopus_core.testing.suite.failures`."""


def _send(notifier: Notifier, all_of_them: list[Notification]) -> None:
    """Send in batches of the notifier's size, as the core does."""
    size = type(notifier).batch_size
    for start in range(0, len(all_of_them), size):
        notifier.send(all_of_them[start : start + size])


def _injectable(harness: NotifyHarness) -> frozenset[Fault]:
    assert harness.faults, "the harness names no `faults`: let it inject some, or name the clause in `not_applicable`"
    return harness.faults


def _failing(harness: NotifyHarness, notifier: Notifier, fault: Fault) -> Exception | None:
    harness.inject(fault)
    try:
        return raised(lambda: notifier.send(notifications(1, first=50)))
    finally:
        harness.clear()
