"""The results of the steps of an instance: of its creation, and of its deletion."""

from __future__ import annotations

from typing import Protocol

from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import Instance
from occopus_core.engine.instance.work import Work


class Progress(Protocol):
    """Receives the results of the steps of creations. It decides what follows."""

    def created(self, work: Work, instance: Instance) -> None:
        """The provider has the instance, in a state other than PROVISIONING."""

    def declined(self, work: Work, error: ProviderError) -> None:
        """The provider has no room for it, or cannot be reached while another implementation is left."""

    def ready(self, work: Work) -> None:
        """It is configured, and all its checks hold."""

    def failed(self, work: Work, reason: str) -> None:
        """It cannot be created, or cannot become ready."""

    def halted(self, work: Work) -> None:
        """The instance is to be dropped, and no call for it is under way any more."""


class DeletionProgress(Protocol):
    """Receives the results of deletions."""

    def gone(self, work: Work) -> None:
        """The instance is gone, and its row is removed."""

    def unconfirmed_deletion(self, work: Work, why: Exception | str) -> None:
        """The provider does not confirm the deletion now; the row stays for a later pass."""
