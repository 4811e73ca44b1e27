"""Opens the connections to the providers of recorded instances."""

from __future__ import annotations

from collections.abc import Iterable

from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.connections import Connections
from occopus_core.registry import PluginError
from occopus_core.store.records import Stage


def connect(connections: Connections, works: Iterable[Work]) -> None:
    """Open the connections of these instances.

    An instance whose plugin cannot be loaded, or for which the credentials file is wrong, gets the reason instead of a
    connection; the next call tries again.
    """
    unloadable: dict[str, str] = {}  # by type: each plugin is tried once
    for work in works:
        if work.stage is Stage.RESERVED or work.link is not None:
            continue
        kind = work.implementation.resource["type"]
        work.unreachable = unloadable.get(kind, "")
        try:
            if not work.unreachable:
                work.link = connections.resource(work.implementation, work.record.connection)
        except PluginError as error:
            work.unreachable = unloadable[kind] = str(error)
        except DescriptionError as error:
            work.unreachable = "; ".join(map(str, error.problems))
