"""Designs for passes: templates are rendered in the pool, so that no other infrastructure waits for them."""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.planning.design import (
    Definitions,
    Design,
    InvalidDesignError,
    Overlay,
    make_design,
    make_partial_design,
)
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.events import EventKind
from occopus_core.store.records import PARKED, InfrastructureRecord, Lease


def design_in_pool(
    context: PassContext,
    scope: Scope,
    definitions: Definitions | None = None,
    *,
    with_outputs: bool = False,
) -> Steps[Design]:
    """The design of what `scope` describes, with the definitions of the store by default.

    Propagates the errors of `make_design`.
    """
    known = definitions or context.resources.store

    def make() -> Design:
        return make_design(scope, known, with_outputs=with_outputs)

    return (yield from context.resources.loop.in_pool(make))


def partial_design_in_pool(
    context: PassContext, scope: Scope, commit_due: Callable[[], None] | None = None
) -> Steps[Design]:
    """See `make_partial_design`, whose errors it propagates."""
    store = context.resources.store
    return (yield from context.resources.loop.in_pool(lambda: make_partial_design(scope, store), commit_due))


def design_of_replacement(context: PassContext, scope: Scope, replacing: Replacing) -> Steps[Design]:
    """The design in which the requested nodes can be made; others may have faults.

    Raises `InvalidDesignError`, and the errors of `make_partial_design`.
    """
    design = yield from partial_design_in_pool(context, scope)
    faults = [text for one in replacing.requests for text in design.faulty.get(one.node_name, ())]
    if faults:
        raise InvalidDesignError(list(dict.fromkeys(faults)))
    return design


def design_candidate(context: PassContext, lease: Lease, record: InfrastructureRecord) -> Steps[Design]:
    """The design of a build that is continued, with the definitions that it has brought.

    If its rendering is cut off, the infrastructure is parked.
    """
    assert record.candidate is not None, "there is a build to carry on"
    scope = context.scope(record.candidate)
    definitions = Overlay(record.candidate_definitions, context.resources.store)
    try:
        return (yield from design_in_pool(context, scope, definitions=definitions))
    except InvalidDesignError:
        park_if_cut_off(context, lease, scope)
        raise


def park_if_cut_off(context: PassContext, lease: Lease, scope: Scope) -> str:
    """Park the infrastructure if rendering was cut off in this pass. Returns the reason, else an empty text."""
    if not scope.allowance.cut_off:
        return ""
    resources = context.resources
    text = f"{PARKED}{scope.allowance.cut_off}: change that, then {_way_out(context.infra_id)}"
    reason = resources.connections.redact(text)
    with resources.store.changing(lease) as change:
        change.put_frozen(reason)
        context.record(change, EventKind.FROZEN, reason)
    return reason


def _way_out(infra_id: str) -> str:
    return f"build it with -i {infra_id}, attach it, or run occopus-maintain -i {infra_id}"
