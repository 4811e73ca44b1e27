"""Has configuration managers delete the data of instances and infrastructures that are gone."""

from __future__ import annotations

from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup, summary
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.context import PassContext
from occopus_core.events import EventKind

FORGET_SECONDS = 60.0
"""How often, in seconds, a configuration manager is asked again to delete data of gone instances."""


def forget(context: PassContext, execution: Execution, runtime: Runtime) -> Steps[None]:
    """Have managers delete the data of an infrastructure without instances. Failures stay recorded.

    They delete the data of its instances first, then that of the infrastructure. Raises `LeaseLostError`, `StoreError`.
    """
    rows, journal, cleanup = context.resources.store.configurations, runtime.journal, execution.cleanup
    journal.flush()
    records, managers = rows.of(context.infra_id), rows.managers(context.infra_id)
    left = yield from cleanup.all(records, journal.commit_due, journal.forgotten)
    holding = {(record.type, record.settings) for record in left}
    asked = [each for each in managers if (each.type, each.settings) not in holding]
    kept = yield from cleanup.infrastructures(asked, journal.commit_due, rows.infrastructure_forgotten)
    for line in summary([*left, *(each for each in managers if each in kept)], cleanup.away):
        runtime.tell(EventKind.NOT_FORGOTTEN, line)
    journal.flush()


def forget_left(context: PassContext, runtime: Runtime) -> Steps[None]:
    """Have managers delete data of gone instances. Unreachable managers are left for later."""
    clock, rows = context.resources.loop.clock, context.resources.store.configurations
    if clock.monotonic() < context.forget_at:
        return
    records = [record for record in rows.of(context.infra_id) if record.forget_since is not None]
    if not records:
        return
    scope, journal = runtime.scope, runtime.journal
    cleanup = ManagerCleanup(runtime.loop, scope.connections, scope.installation, journal.refuse_if_lost)
    left = yield from cleanup.all(records, journal.commit_due, journal.forgotten)
    journal.flush()
    text = "; ".join(summary(left, cleanup.away))
    if left:
        context.forget_at = clock.monotonic() + FORGET_SECONDS
    if text and context.reported.get("forgetting") != text:
        runtime.tell(EventKind.NOT_FORGOTTEN, text)
        journal.flush()
    context.reported["forgetting"] = text
