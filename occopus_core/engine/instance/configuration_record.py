"""Records the configuration of an instance: the one that it should have, its manager, and what that reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from occopus_core.api.config import ConfigNode, ConfigStatus
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.planning.preparation import Configuration
from occopus_core.store.configurations import ConfigurationRecord


def adopt(runtime: Runtime, work: Work, configuration: Configuration, then: Callable[[], None]) -> None:
    """Record the intended registration, and the data that a former manager has to delete; then call `then`."""
    former, now = work.configuration, runtime.clock.now()
    record = _record(configuration)
    if former is not None and former.key == record.key:
        # What was applied before another one was begun is not known to be applied any more.
        is_taken_back = former.applied == record.wanted != former.wanted
        record = dataclasses.replace(
            record,
            applied="" if is_taken_back else former.applied,
            published=former.published,
            state=former.state,
            reason=former.reason,
            served=former.served,
        )
    elif former is not None:
        runtime.journal.configure(dataclasses.replace(former, forget_since=now))
    work.configuration = record
    runtime.journal.configure(record, then)


def renounce(runtime: Runtime, work: Work) -> None:
    """The instance has no configuration manager any more: have the former one delete its data."""
    if work.configuration is not None:
        record = dataclasses.replace(work.configuration, forget_since=runtime.clock.now())
        work.configuration = None
        runtime.journal.configure(record)


def note(runtime: Runtime, work: Work, then: Callable[[], None] | None = None, /, **changes: Any) -> None:
    """Store changes of an instance's configuration, if there are any; call `then` after they are committed."""
    record = work.configuration
    if record is not None and any(getattr(record, name) != value for name, value in changes.items()):
        work.configuration = dataclasses.replace(record, **changes)
        runtime.journal.configure(work.configuration, then)
    elif then is not None:
        then()


def note_status(runtime: Runtime, work: Work, status: ConfigStatus) -> None:
    """Store the status that a manager reports."""
    note(runtime, work, state=status.state, reason=status.reason, published=dict(status.attributes))


def _record(configuration: Configuration) -> ConfigurationRecord:
    kept = configuration.kept
    return ConfigurationRecord(
        node_id=kept.node_id,
        type=kept.section["type"],
        settings=configuration.settings,
        infra_id=kept.infra_id,
        infra_name=kept.infra_name,
        node_name=kept.node_name,
        token=kept.token,
        section=dict(kept.section),
        attributes=dict(kept.attributes),
        mapped=dict(kept.mapped),
        variables=dict(kept.variables),
        wanted=kept.generation,
    )


def unexplained(link: ManagerConnection, node: ConfigNode, status: ConfigStatus) -> str:
    """What is known of a configuration whose status has no reason."""
    current = status.generation in ("", node.generation)
    end = "and gives no reason" if current else "for another generation than the one that was asked for"
    return f"{link.label} reports {status.state.name} {end}"
