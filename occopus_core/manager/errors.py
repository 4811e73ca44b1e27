"""Errors of `InfrastructureManager`."""

from __future__ import annotations

from occopus_core.store.records import NoSuchInfrastructureError
from occopus_core.store.repository import InfrastructureTakenError


class NoSuchNodeError(LookupError):
    """The infrastructure has no node of this name."""


class ChangedMeanwhileError(Exception):
    """The description is not the one that the caller has read; the message says so."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"the description of '{infra_id}' has changed since it was read: read it again")


class ProvisionedError(InfrastructureTakenError):
    """The infrastructure is maintained by the manager already."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(infra_id)
        self.args = (f"the infrastructure '{infra_id}' is being provisioned already",)


class NotProvisionedError(NoSuchInfrastructureError):
    """The infrastructure is not maintained by the manager."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(infra_id)
        self.args = (f"the infrastructure '{infra_id}' is not being provisioned",)
