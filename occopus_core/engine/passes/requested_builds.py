"""Builds that a maintenance pass carries out: requested ones, replacements, and what another process has begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from occopus_core.api.errors import ProviderError
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.building import build_leased
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.designing import design_candidate, design_of_replacement, park_if_cut_off
from occopus_core.engine.passes.errors import BuildError, Passed
from occopus_core.engine.passes.undoing import undo_leased
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.engine.planning.scaling import Scaled, scale
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureRecord, InstanceRecord, Lease

_WAITS = "requested build"
"""The key of what was reported about a build that waits."""


_REPLACEMENTS = "requested replacement"
"""The key of what was reported about replacements that wait."""


def carry_out_requests(context: PassContext, lease: Lease, record: InfrastructureRecord) -> Steps[list[str]]:
    """Build the candidate of the record, then replace the instances of nodes for which that is requested.

    Requests for numbers of instances are applied before a replacement: what is to go is not replaced.
    Returns why something of it was not done. Propagates the errors of `build`.
    """
    store, left = context.resources.store, []
    if record.candidate is not None:
        left.append((yield from build_requested(context, lease, record)))
        record = store.infrastructure(context.infra_id)
    if record.candidate is not None:  # replacements wait with it
        context.postpone_replacements()
    elif Replacing.of(store.pending_requests(context.infra_id), record).requests:
        # An instance that a request names would not be there any more afterwards.
        apply_scaling(context, lease, record, record.targets, store.instances(context.infra_id))
        record = store.infrastructure(context.infra_id)
        left.append((yield from _replace_requested(context, lease, record)))
    return [text for text in left if text]


def finish_rollback(context: PassContext, lease: Lease, record: InfrastructureRecord) -> Steps[Passed]:
    """Finish the rollback that another process has begun, if any. Returns why it was begun, and what is unconfirmed.

    Raises `BuildError` if it was the first build: nothing is left then.
    """
    if not record.rolling_back:
        return Passed()
    unconfirmed: Sequence[str] = ()
    try:
        yield from undo_leased(context, lease, record, [record.rolling_back])
    except BuildError as error:
        if record.description is None:
            raise
        unconfirmed = error.unconfirmed
    return Passed((f"the {record.undone} was rolled back: {record.rolling_back}",), tuple(unconfirmed))


def apply_scaling(
    context: PassContext,
    lease: Lease,
    record: InfrastructureRecord,
    targets: Mapping[str, int],
    records: Sequence[InstanceRecord],
) -> Scaled:
    """Record the results of the pending requests for more or fewer instances, which a plan then follows."""
    store = context.resources.store
    scaled = scale(store.pending_requests(context.infra_id), record.current, targets, records)
    if scaled.answers:
        with store.changing(lease) as change:
            change.put_targets(scaled.targets)
            change.condemn(scaled.condemned)
            context.answer(change, scaled.answers)
    return scaled


def _replace_requested(context: PassContext, lease: Lease, record: InfrastructureRecord) -> Steps[str]:
    """Build the description in force with other instances of the requested nodes. Returns why that was not done.

    It waits while a provider does not say which instances of these nodes there are, unless it has begun. Other nodes
    that cannot be made, or whose provider does not answer, are left as they are.
    """
    store = context.resources.store
    begun = any(one.provisional for one in store.instances(context.infra_id))
    planned: list[None] = []
    scope = context.scope(record.current)
    try:
        replacing = Replacing.of(store.pending_requests(context.infra_id), record)
        design = yield from design_of_replacement(context, scope, replacing)
        yield from build_leased(context, design, lease, record, planned=lambda: planned.append(None), alone=True)
    except InvalidDesignError as error:
        park_if_cut_off(context, lease, scope)
        if begun:
            yield from undo_leased(context, lease, record, error.problems)
        why = "; ".join(error.problems)
        pending = store.pending_requests(context.infra_id)
        with store.changing(lease) as change:
            context.answer(change, Replacing.of(pending, record).refusals(why))
        return f"the requested replacement was not made: {why}"
    except ProviderError as error:
        if begun or planned:
            raise
        context.postpone_replacements()
        return _waiting(context, lease, _REPLACEMENTS, f"for a provider, to replace instances as requested: {error}")
    context.reported.pop(_REPLACEMENTS, None)
    return ""


def build_requested(context: PassContext, lease: Lease, record: InfrastructureRecord) -> Steps[str]:
    """Build the candidate of the record. Returns why it is not in force; empty if it is.

    An update whose description has become invalid is undone. One that has created nothing yet does not keep maintenance
    from the infrastructure: it is dropped then, and waits while a provider does not say which instances there are.

    Propagates the errors of `build`, and of `design_candidate` for a first build.
    """
    store = context.resources.store
    begun = record.description is None or any(one.provisional for one in store.instances(context.infra_id))
    planned: list[None] = []
    try:
        design = yield from design_candidate(context, lease, record)
        yield from build_leased(context, design, lease, record, planned=lambda: planned.append(None))
    except InvalidDesignError as error:
        if record.description is None or store.infrastructure(context.infra_id).parked:
            raise
        if begun:
            yield from undo_leased(context, lease, record, error.problems)
        return _drop(context, lease, record, "; ".join(error.problems))
    except ProviderError as error:
        if begun or planned:
            raise
        return _postpone(context, lease, record, str(error))
    context.reported.pop(_WAITS, None)
    return ""


def _drop(context: PassContext, lease: Lease, record: InfrastructureRecord, why: str) -> str:
    """Undo the request, unless another one has replaced it."""
    with context.resources.store.changing(lease) as change:
        if change.replace_candidate(None, record.candidate):
            context.record(change, EventKind.ROLLING_BACK, why)
    return f"the requested description was not built: {why}"


def _postpone(context: PassContext, lease: Lease, record: InfrastructureRecord, why: str) -> str:
    """Let the request wait for the next pass."""
    assert record.candidate is not None, "a requested description waits"
    context.postpone(record.candidate)
    return _waiting(context, lease, _WAITS, f"for a provider, to build the requested description: {why}")


def _waiting(context: PassContext, lease: Lease, about: str, text: str) -> str:
    if context.reported.get(about) != text:
        context.reported[about] = text
        with context.resources.store.changing(lease) as change:
            context.record(change, EventKind.WAITING, text)
    return f"waiting {text}"
