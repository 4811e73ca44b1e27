"""Deletes data that configuration managers still hold for infrastructures and nodes that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.config import ConfigManager, ConfigNode, Registered
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup, summary
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome, Steps, Waiting
from occopus_core.engine.passes.resources import Resources
from occopus_core.store.configurations import ConfigurationRecord, ManagerRecord

PATIENCE = 60.0
"""Seconds for which a sweep waits for a manager's list."""


def forget_abandoned(resources: Resources) -> Steps[list[str]]:
    """Have managers delete data of infrastructures that are gone. Returns a message for each failure.

    It takes no lease: each row belongs to a node or an infrastructure that no process works on any more. If another
    infrastructure with the same id is built at this time, its manager may delete its data; maintenance registers its
    nodes again. Raises `StoreError`.
    """
    rows = resources.store.configurations
    records, managers = rows.abandoned(), rows.abandoned_managers()
    if not records and not managers:
        return []
    cleanup = ManagerCleanup(resources.loop, resources.connections, resources.store.installation)
    left = yield from cleanup.all(records, _nothing, lambda record: rows.forgotten([record]))
    holding = {(record.infra_id, record.type, record.settings) for record in left}
    asked = [each for each in managers if (each.infra_id, each.type, each.settings) not in holding]
    kept = yield from cleanup.infrastructures(asked, _nothing, rows.abandoned_infrastructure_forgotten)
    return summary([*left, *kept], cleanup.away)


@dataclass(frozen=True, slots=True)
class Listed:
    """Nodes registered at managers without a row, each with its manager; and the managers that did not answer."""

    strays: Sequence[tuple[ManagerRecord, Registered]]
    silent: Sequence[str]


def find_registered(resources: Resources) -> Steps[Listed]:
    """Ask every manager ever used for the nodes it holds for this installation. Raises `StoreError`."""
    links: dict[ManagerConnection, ManagerRecord] = {}
    silent: list[str] = []
    for record in resources.store.configurations.all_managers():
        try:
            links.setdefault(resources.connections.config(record.section), record)
        except Exception as error:  # noqa: BLE001  # the plugin, or its credentials, are gone
            silent.append(_silent(record, reason(error)))
    answers: dict[ManagerConnection, Outcome[list[Registered]]] = {}
    installation = resources.store.installation

    def ask(manager: ConfigManager, _: Sequence[ConfigNode]) -> list[Registered]:
        return list(manager.list_registered(installation))

    def ask_link(link: ManagerConnection) -> None:
        link.ask("list_registered", ask, lambda outcome: answers.update({link: outcome}))

    for link in links:
        ask_link(link)
    late: list[bool] = []
    resources.loop.after(PATIENCE, lambda: late.append(True))
    yield Waiting(_nothing, lambda: len(answers) == len(links) or bool(late))
    known = resources.store.configurations.node_ids()
    strays = []
    for link, record in links.items():
        outcome = answers.get(link)
        found = outcome.value if outcome is not None else None
        if outcome is None or found is None or not all(isinstance(each, Registered) for each in found):
            why = reason(outcome.error) if outcome is not None and outcome.error is not None else "no valid answer"
            silent.append(_silent(record, why))
        else:
            strays += [(record, each) for each in found if each.node_id not in known]
    return Listed(strays, silent)


def forget_registered(resources: Resources, listed: Listed) -> Steps[list[str]]:
    """Have managers delete nodes without a row. Returns a message for each failure.

    A late call that registered a node of an infrastructure that is gone may also have created the data of the whole
    infrastructure again: that is deleted, too. Raises `StoreError`.
    """
    cleanup = ManagerCleanup(resources.loop, resources.connections, resources.store.installation)
    records = [_record(manager, each) for manager, each in listed.strays]
    left = yield from cleanup.all(records, _nothing, lambda _record: None)
    holding = {(record.infra_id, record.type, record.settings) for record in left}
    gone = resources.store.configurations.gone({record.infra_id for record in records})
    managers = {
        (record.infra_id, record.type, record.settings): ManagerRecord(
            record.infra_id, record.type, record.settings, record.section
        )
        for record in records
        if record.infra_id in gone
    }
    asked = [manager for key, manager in managers.items() if key not in holding]
    kept = yield from cleanup.infrastructures(asked, _nothing, lambda _record: None)
    return summary([*left, *kept], cleanup.away)


def _record(manager: ManagerRecord, each: Registered) -> ConfigurationRecord:
    return ConfigurationRecord(
        node_id=each.node_id,
        type=manager.type,
        settings=manager.settings,
        infra_id=each.infra_id,
        infra_name="",
        node_name=each.node_name,
        token=f"occopus-{each.node_id}",
        section=manager.section,
    )


def described(strays: Sequence[tuple[ManagerRecord, Registered]]) -> list[Mapping[str, str]]:
    """The strays as mappings, for people and programs."""
    return [
        {"manager": manager.label, "infra_id": each.infra_id, "node_name": each.node_name, "node_id": each.node_id}
        for manager, each in strays
    ]


def _silent(record: ManagerRecord, why: str) -> str:
    return f"configuration manager '{record.label}' cannot list its nodes: {why}"


def _nothing() -> None:
    return
