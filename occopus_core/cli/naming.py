"""The infrastructure that the option `-i` means: its id, its name, or a unique beginning of its id."""

from __future__ import annotations

from occopus_core.cli.confirmation import can_ask

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


def meant(manager: InfrastructureManager, text: str) -> str:
    """The id of the infrastructure that is meant; the text itself where there is none.

    Raises `AmbiguousNameError`, `StoreError`.
    """
    return manager.store.meant(text) or text


def meant_by_a_person(manager: InfrastructureManager, settings: Settings, text: str, *, yes: bool) -> str:
    """The same for what cannot be undone: only an id counts where nobody can be asked and nobody has confirmed.

    A script that names by its id what is gone already must not meet another infrastructure of this name.
    """
    return meant(manager, text) if yes or can_ask(settings) else text


def meant_instance(manager: InfrastructureManager, infra_id: str, text: str) -> str:
    """The node id of the instance whose id begins so, where there is exactly one; else the text itself."""
    from occopus_core.store.records import SHORTEST_BEGINNING  # noqa: PLC0415  # help is to be fast

    if len(text) < SHORTEST_BEGINNING:
        return text
    found = [one.node_id for one in manager.store.instances(infra_id) if one.node_id.startswith(text)]
    return found[0] if len(found) == 1 else text
