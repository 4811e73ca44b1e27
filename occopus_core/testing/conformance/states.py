"""Clauses about the states that a provider reports."""

from __future__ import annotations

from occopus_core.api import Instance, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance.base import make, order, settled, until
from occopus_core.testing.conformance.harness import ResourceHarness
from occopus_core.testing.suite import able


class StateClauses:
    """Clauses about instances that do not run."""

    def test_stopped_is_stopped(self, harness: ResourceHarness) -> None:
        """An instance that exists but does not run is `STOPPED`, never `READY`."""
        _assert_becomes(harness, InstanceState.STOPPED, "an instance that does not run")

    def test_failed_is_failed(self, harness: ResourceHarness) -> None:
        """An instance that the provider has given up is `FAILED`."""
        _assert_becomes(harness, InstanceState.FAILED, "an instance that the provider gave up")

    def test_unknown_is_unknown(self, harness: ResourceHarness) -> None:
        """A state unknown to the handler is `UNKNOWN`, with the provider's name in `raw_state`."""
        instance = _assert_becomes(harness, InstanceState.UNKNOWN, "an instance in a state that no handler knows")
        assert instance.raw_state, "raw_state is empty: it has the provider's word for the state"


def _assert_becomes(harness: ResourceHarness, wanted: InstanceState, what: str) -> Instance:
    """Impose the state on a ready instance; fail unless it is described and listed in that way."""
    handler = harness.handler()
    id = make(harness, handler, order(harness)).id
    until(harness, handler, id, InstanceState.READY)
    able(lambda: harness.impose(id, wanted))
    settled(harness, lambda: _looked_at(harness, handler, id) == {wanted})
    states = " and ".join(sorted(state.name for state in _looked_at(harness, handler, id)))
    assert states == wanted.name, f"{what} is {states}, not {wanted.name}"
    return handler.describe([id])[id]


def _looked_at(harness: ResourceHarness, handler: ResourceHandler, id: InstanceId) -> set[InstanceState]:
    """The state as described and as listed; absent if it is not listed."""
    owned = {each.id: each.state for each in handler.list_owned(Owner(harness.installation))}
    return {handler.describe([id])[id].state, owned.get(id, InstanceState.ABSENT)}
