"""The output of the instances that a user names, from their providers or, for deleted ones, from the log."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api.config import ConfigState
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.passes.outputs import InstanceOutput, failed_jobs, kept, outputs
from occopus_core.manager.logins import NoSuchInstanceError, is_meant
from occopus_core.store.records import InstanceRecord, NoSuchInfrastructureError
from occopus_core.store.repository import Store


def read_logs(
    store: Store, connections: Connections, infra_id: str, wanted: str, lines: int, since: float | None
) -> list[InstanceOutput]:
    """See `InfrastructureManager.logs`."""
    records = _instances(store, infra_id)
    meant = [record for record in records if not wanted or is_meant(record, wanted)]
    if meant:
        jobs = _printed_since(_failed_jobs(store, infra_id, meant), since)
        return [*outputs(connections, store, meant, lines, since), *jobs]
    gone = [one for one in kept(store.events(infra_id)) if wanted in ("", one.node_name, one.node_id, one.node_id[:8])]
    if not gone:
        if not wanted:
            store.infrastructure(infra_id)
            return []
        raise NoSuchInstanceError(_refusal(infra_id, wanted, records))
    return _printed_since(gone, since)


def _failed_jobs(store: Store, infra_id: str, records: Sequence[InstanceRecord]) -> list[InstanceOutput]:
    """What the jobs have printed that could not reconfigure some of these instances, which stay."""
    unconfigured = {one.node_id for one in store.configurations.of(infra_id) if one.state is ConfigState.FAILED}
    failed = [record.node_id for record in records if record.node_id in unconfigured]
    printed = failed_jobs(store.events(infra_id)) if failed else {}
    return [printed[node_id] for node_id in failed if node_id in printed]


def _printed_since(found: Sequence[InstanceOutput], since: float | None) -> list[InstanceOutput]:
    return [one for one in found if since is None or (one.kept_at or 0.0) >= since]


def _instances(store: Store, infra_id: str) -> Sequence[InstanceRecord]:
    """The instances of an infrastructure, in the order of a report; none if it is gone and has a log."""
    try:
        store.infrastructure(infra_id)
    except NoSuchInfrastructureError:
        if not store.events(infra_id, 0, 1):
            raise
        return ()
    return sorted(store.instances(infra_id), key=lambda one: (one.node_name, one.position, one.node_id))


def _refusal(infra_id: str, wanted: str, records: Sequence[InstanceRecord]) -> str:
    names = ", ".join(f"{record.node_name} {record.node_id}" for record in records) or "no instance"
    return f"'{infra_id}' has no node and no instance called '{wanted}', nor output of one; it has: {names}"
