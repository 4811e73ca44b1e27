"""Clauses about a failing provider."""

from __future__ import annotations

import time

from occopus_core.api import (
    AuthError,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.conformance.base import (
    BUSY_FACTOR,
    assert_provider_error,
    calls,
    chain,
    injector,
    listed,
    make,
    needs,
    operations,
    order,
    perform,
    raised,
    remove,
    seconds_of,
    secrets,
)
from occopus_core.testing.conformance.harness import GARBLED, Fault, Operation, ResourceHarness
from occopus_core.testing.shape import plugin_class
from occopus_core.testing.suite import leaked, printed

_EVERYWHERE = (Fault.AUTH, Fault.THROTTLE, Fault.PERMANENT, Fault.SERVER_ERROR, Fault.LOST_REPLY)
"""Faults of any operation that are answered at once."""


class FailureClauses:
    """Clauses about failures of the provider."""

    def test_lost_reply_to_create(self, harness: ResourceHarness) -> None:
        """A `create` that took effect without an answer is `TransientError`; its repeat finds the instance."""
        handler, request, faults = harness.handler(), order(harness), injector(harness)
        faults.inject(Fault.LOST_REPLY, "create")
        for _ in range(2):
            error = raised(lambda: handler.create(request))
            assert isinstance(error, TransientError), f"a lost reply is {error!r}"
        faults.clear()
        made = make(harness, handler, request)
        assert listed(harness, handler, request.owner, 1)[request.token].id == made.id, "the repeat made another"

    def test_lost_reply_leaves_an_owner(self, harness: ResourceHarness) -> None:
        """Owner and token are written by the creating call itself: the instance is found after a lost answer."""
        handler, request, faults = harness.handler(), order(harness), injector(harness)
        faults.inject(Fault.LOST_REPLY, "create")
        raised(lambda: handler.create(request))
        faults.clear()
        found = listed(harness, handler, Owner(harness.installation), 1)
        assert request.token in found, "what the call made has another token"
        assert found[request.token].owner == request.owner, "what the call made has another owner"

    def test_lost_reply_to_delete(self, harness: ResourceHarness) -> None:
        """A deletion that took effect without an answer is `TransientError`, and can be repeated."""
        handler, faults = harness.handler(), injector(harness)
        id = make(harness, handler, order(harness)).id
        faults.inject(Fault.LOST_REPLY, "delete")
        error = raised(lambda: perform(handler, "delete", order(harness), [id]))
        assert isinstance(error, TransientError), f"a lost reply is {error!r}"
        faults.clear()
        remove(harness, handler, id)

    @needs(*GARBLED)
    def test_garbled_reply_to_create(self, harness: ResourceHarness) -> None:
        """A `create` that took effect and got an invalid answer is `TransientError`; its repeat finds the instance."""
        handler, faults = harness.handler(), injector(harness)
        for fault in GARBLED:
            request = order(harness)
            faults.inject(fault, "create")
            for _ in range(2):
                error = raised(lambda: handler.create(request))  # noqa: B023 - it is called at once
                assert isinstance(error, TransientError), f"{fault.value}: {error!r}"
                assert not error.unreached, f"{fault.value}: the call may have made something"
            faults.clear()
            made = make(harness, handler, request)
            assert listed(harness, handler, request.owner, 1)[request.token].id == made.id, "the repeat made another"

    @needs(*GARBLED)
    def test_garbled_reply_is_not_absence(self, harness: ResourceHarness) -> None:
        """An invalid answer is not a result: `describe` and `list_owned` raise `TransientError`."""
        handler, request, faults = harness.handler(), order(harness), injector(harness)
        id = make(harness, handler, request).id
        operations: tuple[Operation, ...] = ("describe", "list_owned")
        for fault in GARBLED:
            for operation in operations:
                faults.inject(fault, operation)
                error = raised(lambda: perform(handler, operation, request, [id]))  # noqa: B023
                faults.clear()
                assert isinstance(error, TransientError), f"{operation}, {fault.value}: {error!r}"

    @needs(*GARBLED)
    def test_garbled_reply_to_delete(self, harness: ResourceHarness) -> None:
        """A deletion with an invalid answer is `TransientError` or a success, and can be repeated."""
        handler, faults = harness.handler(), injector(harness)
        for fault in GARBLED:
            id = make(harness, handler, order(harness)).id
            faults.inject(fault, "delete")
            error = raised(lambda: perform(handler, "delete", order(harness), [id]))  # noqa: B023
            assert error is None or isinstance(error, TransientError), f"{fault.value}: {error!r}"
            faults.clear()
            remove(harness, handler, id)

    def test_refused_credentials(self, harness: ResourceHarness) -> None:
        """Refused credentials are `AuthError`, in every operation."""
        for operation in operations(harness.handler()):
            _expect(harness, Fault.AUTH, operation, AuthError)

    def test_missing_image(self, harness: ResourceHarness) -> None:
        """A missing resource that the description names is `NotFoundError`."""
        handler, request = harness.handler(), order(harness, "missing")
        error = raised(lambda: handler.create(request))
        assert isinstance(error, NotFoundError), f"a missing image is {error!r}"

    def test_no_room(self, harness: ResourceHarness) -> None:
        """An exceeded quota, or missing capacity, is `QuotaError`."""
        _expect(harness, Fault.QUOTA, "create", QuotaError)

    def test_throttled(self, harness: ResourceHarness) -> None:
        """Too many calls are `ThrottledError`, with the provider's `retry_after` in seconds."""
        for operation in operations(harness.handler()):
            error = _expect(harness, Fault.THROTTLE, operation, ThrottledError)
            assert isinstance(error, ThrottledError)
            seconds: object = error.retry_after
            assert isinstance(seconds, int | float), f"{operation}: retry_after is {seconds!r}, not a number of seconds"
            assert seconds, f"{operation}: retry_after is {seconds}"

    def test_refused_for_good(self, harness: ResourceHarness) -> None:
        """A permanent refusal is `PermanentError`."""
        _expect(harness, Fault.PERMANENT, "create", PermanentError)

    def test_internal_error(self, harness: ResourceHarness) -> None:
        """An internal error of the provider leaves the outcome unknown: `TransientError`."""
        for operation in operations(harness.handler()):
            _expect(harness, Fault.SERVER_ERROR, operation, TransientError)

    def test_refused_connection(self, harness: ResourceHarness) -> None:
        """An unreachable provider is `TransientError`."""
        for operation in operations(harness.handler()):
            _expect(harness, Fault.REFUSED_CONNECTION, operation, TransientError)

    def test_hang(self, harness: ResourceHarness) -> None:
        """Every call to the provider ends within `Connection.call_timeout`, with `TransientError`."""
        for operation in operations(harness.handler()):
            usual = seconds_of(lambda: harness.handler().describe(harness.absent_ids(1)))
            started = time.monotonic()
            _expect(harness, Fault.HANG, operation, TransientError, call_timeout=harness.short_timeout)
            took = time.monotonic() - started
            limit = harness.short_timeout + harness.grace + BUSY_FACTOR * usual
            assert took < limit, f"{operation} hung for {took:.1f} s"

    def test_only_provider_errors(self, harness: ResourceHarness) -> None:
        """A handler raises only `ProviderError` and its subclasses, with attributes of the right types."""
        for fault in _EVERYWHERE:
            for operation in operations(harness.handler()):
                error = _expect(harness, fault, operation, ProviderError)
                assert_provider_error(error, f"{operation}, {fault.value}")

    def test_never_retries(self, harness: ResourceHarness) -> None:
        """A handler never retries: repeating belongs to the core."""
        handler, faults, ids = harness.handler(), injector(harness), harness.absent_ids(1)
        for operation in operations(harness.handler()):
            before = calls(harness)
            perform(handler, operation, order(harness), ids)
            usual = calls(harness) - before
            faults.inject(Fault.SERVER_ERROR, operation)
            before = calls(harness)
            raised(lambda operation=operation: perform(handler, operation, order(harness), ids))  # type: ignore[misc]
            assert calls(harness) - before <= usual, f"{operation} was repeated after an internal error"
            faults.clear()

    def test_errors_keep_secrets(self, harness: ResourceHarness) -> None:
        """No error contains credentials or the instance's context."""
        faults, handler = injector(harness), harness.handler()
        for fault in (*_EVERYWHERE, *(one for one in GARBLED if one in faults.faults)):
            request = order(harness)
            faults.inject(fault, "create")
            error = raised(lambda: handler.create(request))  # noqa: B023
            faults.clear()
            assert_provider_error(error, fault.value)
            shown = " ".join(f"{each} {each!r}" for each in chain(error))
            found = leaked(shown, secrets(handler, request), handler.connection.auth)
            assert not found, f"{fault.value}: the error shows {found}"

    def test_prints_keep_secrets(self, harness: ResourceHarness) -> None:
        """Nothing printed or logged during calls contains credentials or the instance's context."""
        handler, request, faults = harness.handler(), order(harness), harness.faults
        with printed(plugin_class(handler)) as shown:
            id = make(harness, handler, request).id
            for operation in operations(handler):
                raised(lambda operation=operation: perform(handler, operation, request, [id]))  # type: ignore[misc]
                if faults is None:
                    continue
                for fault in faults.faults & {Fault.AUTH, Fault.SERVER_ERROR}:
                    faults.inject(fault, operation)
                    raised(lambda operation=operation: perform(handler, operation, request, [id]))  # type: ignore[misc]
                    faults.clear()
        found = leaked(shown(), secrets(handler, request), handler.connection.auth)
        assert not found, f"what is printed or logged shows {found}"


def _expect(
    harness: ResourceHarness,
    fault: Fault,
    operation: Operation,
    expected: type[ProviderError],
    call_timeout: float | None = None,
) -> Exception:
    """The error of the operation with this fault, which has the expected class."""
    faults = injector(harness)
    handler = harness.handler(call_timeout=call_timeout)
    faults.inject(fault, operation)
    try:
        error = raised(lambda: perform(handler, operation, order(harness), harness.absent_ids(1)))
    finally:
        faults.clear()
    assert isinstance(error, expected), f"{operation}, {fault.value}: {error!r} is no {expected.__name__}"
    return error
