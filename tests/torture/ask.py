"""A request for another description, as the REST service records it; there is no command for that."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api.errors import ProviderError
from occopus_core.engine.passes.errors import BusyError
from occopus_core.manager import InfrastructureManager
from occopus_core.store.records import NoSuchInfrastructureError, WorkedOnError

from .acts import INFRA


def main(argv: Sequence[str]) -> int:
    """Request the description in the file; 1 where it is refused."""
    with InfrastructureManager() as manager:
        try:
            manager.submit_update(argv[0], INFRA, for_services=True)
        except (NoSuchInfrastructureError, WorkedOnError, BusyError, ProviderError) as error:
            print(error)
            return 1
    return 0
