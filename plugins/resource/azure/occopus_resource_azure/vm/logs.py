"""The serial console output of machines, as boot diagnostics store it."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api import InstanceId, NotFoundError, PermanentError, last_lines
from occopus_resource_azure.cloud import Cloud, raw_any
from occopus_resource_azure.tags import Thing
from occopus_resource_azure.vm.inventory import Inventory

_MOST_BYTES = 256 * 1024
"""The number of bytes kept of the end of a log."""
_OFF = "diagnostics is not enabled"


class Logs:
    """Reads logs of machines in one subscription."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory

    def last(self, ids: Sequence[InstanceId], lines: int) -> dict[InstanceId, str | None]:
        """Two requests for each; None without a machine, or without boot diagnostics. Raises `ProviderError`."""
        return {id: self._last(id, lines) for id in ids}

    def _last(self, id: InstanceId, lines: int) -> str | None:
        group, name = self._inventory.place(id)
        try:
            found: Thing = self._cloud.call(
                lambda clients: clients.compute.virtual_machines.retrieve_boot_diagnostics_data(
                    group, name, cls=raw_any
                )
            )
        except NotFoundError:
            return None
        except PermanentError as error:
            if _OFF in error.message.lower():
                return None
            raise
        url = found.get("serialConsoleLogBlobUri")
        if not url:
            return None
        return last_lines(self._cloud.text(str(url), _MOST_BYTES), lines)
