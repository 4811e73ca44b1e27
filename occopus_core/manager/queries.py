"""Queries on an installation: its definitions, infrastructures, instances, costs, logs and events."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.text import description_text
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.passes.costing import costs
from occopus_core.engine.passes.outputs import InstanceOutput
from occopus_core.engine.planning.scaling import Answer
from occopus_core.manager.describing import Description, described
from occopus_core.manager.ids import refuse_impossible
from occopus_core.manager.installation import Installation
from occopus_core.manager.instance_logs import read_logs
from occopus_core.manager.scaling import preview_request, refuse_unscalable
from occopus_core.manager.updating import wanted_description
from occopus_core.report import Snapshot, outputs_of, report_of
from occopus_core.store.records import (
    InfrastructureRecord,
    NoSuchDefinitionError,
    ScaleKind,
    ScaleRequest,
    StoredEvent,
)
from occopus_core.store.repository import Store


def _ignore(*_: object) -> None:
    return


class Queries:
    """The methods of `occopus_core.manager.InfrastructureManager` that change nothing."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    @property
    def store(self) -> Store:
        """The store. Thread-safe. Raises `StoreError`."""
        return self._installation.store

    def load(self, description: Description, warn: Callable[[str], None] = _ignore) -> Infrastructure:
        """The model of a description: a file, a text, a mapping or the model itself. Raises `DescriptionError`."""
        return described(description, warn)

    def description(self, infra_id: str) -> str:
        """The description of an infrastructure as YAML: the one requested last, or that of its last build.

        It is written from what is stored: comments, aliases and imports are not kept. It may hold secrets. Raises
        `NoSuchInfrastructureError`, `StoreError`.
        """
        return description_text(wanted_description(self.get(infra_id)))

    def node_definitions(self) -> dict[str, list[str]]:
        """The ids of the infrastructures that use each stored node definition, by its name. Raises `StoreError`."""
        users = self.store.definition_uses.all()
        return {name: [one.infra_id for one in users.get(name, [])] for name in self.store.definition_names()}

    def node_definition(self, name: str) -> NodeDefinition:
        """A stored node definition. Raises `NoSuchDefinitionError`, `StoreError`."""
        found = self.store.definitions([name]).get(name)
        if found is None:
            raise NoSuchDefinitionError(name)
        return found

    def preview_scaling(
        self, infra_id: str, node_name: str, kind: ScaleKind, amount: int, instance: str = ""
    ) -> Answer:
        """The result of such a request after the pending ones. Changes nothing. Raises the errors of `scale_to`."""
        wish = ScaleRequest(0, infra_id, node_name, kind, amount, instance, SystemClock().now())
        record = self.get(infra_id)
        refuse_unscalable(record, node_name)
        return preview_request(self.store, record, wish)

    def costs(self, infra_id: str, tell: Callable[[str], object] | None = None) -> dict[str, dict[str, Decimal | None]]:
        """The cost of each instance so far, by node and node id; None if its provider reports none.

        With `tell`, a cost is also None if the provider cannot be asked, and `tell` gets the reason; otherwise that is
        raised.

        Raises `ProviderError`, `NoSuchInfrastructureError`, `StoreError`.
        """
        refuse_impossible(infra_id)
        self.store.infrastructure(infra_id)
        return costs(self._installation.asking, self.store, self.store.instances(infra_id), tell)

    def logs(
        self, infra_id: str, wanted: str = "", lines: int = 100, since: float | None = None
    ) -> list[InstanceOutput]:
        """The last lines that instances have printed: of a node, of one instance (by its id or address), or of all.

        For failed instances that are gone, the lines that were kept; after the others those of failed reconfigurations.
        Blocks as `outputs` does. Raises `NoSuchInfrastructureError`, `NoSuchInstanceError`, `StoreError`.
        """
        refuse_impossible(infra_id)
        return read_logs(self.store, self._installation.asking, infra_id, wanted, lines, since)

    def get(self, infra_id: str) -> InfrastructureRecord:
        """The stored record of an infrastructure. Raises `NoSuchInfrastructureError`, `StoreError`."""
        refuse_impossible(infra_id)
        return self.store.infrastructure(infra_id)

    def report(self, infra_id: str) -> dict[str, dict[str, Any]]:
        """See `occopus_core.report.report_of`. Raises `NoSuchInfrastructureError`, `StoreError`."""
        return report_of(self.snapshot(infra_id))

    def snapshot(self, infra_id: str) -> Snapshot:
        """The stored state of an infrastructure, for the formats of `occopus_core.report`.

        Raises `NoSuchInfrastructureError`, `StoreError`.
        """
        store = self.store
        refuse_impossible(infra_id)
        record, instances = store.infrastructure(infra_id), store.instances(infra_id)
        used = store.implementations({instance.implementation for instance in instances})
        maintainer = store.maintainers.of(infra_id)
        requests, configurations = store.pending_requests(infra_id), store.configurations.of(infra_id)
        holding, now = store.holding(infra_id), SystemClock().now()
        return Snapshot.of(record, instances, requests, used, now, configurations, maintainer, holding)

    def outputs(self, infra_id: str) -> dict[str, str | None]:
        """The outputs of its description by name, without secrets; None where one has no value at present.

        Raises `NoSuchInfrastructureError`, `StoreError`.
        """
        return outputs_of(self.snapshot(infra_id))

    def events(self, infra_id: str, after: int = 0, most: int | None = None) -> list[StoredEvent]:
        """At most `most` events after the event `after`, even of an infrastructure that is gone.

        Raises `StoreError`.
        """
        refuse_impossible(infra_id)
        return self.store.events(infra_id, after, most)

    def redact(self, text: str) -> str:
        """The text without the secrets of the credentials, in whatever form providers repeat them."""
        return self._installation.redact(text)
