"""The infrastructure that the option `-i` means: its id, its name, or a unique beginning of its id."""

from __future__ import annotations

from occopus_core.cli.confirmation import can_ask
from occopus_core.cli.exits import NameOnlyError

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


def meant(manager: InfrastructureManager, text: str) -> str:
    """The id of the infrastructure that is meant; the text itself where there is none.

    Raises `AmbiguousNameError`, `StoreError`.
    """
    return manager.store.meant(text) or text


def meant_by_a_person(
    manager: InfrastructureManager, settings: Settings, text: str, *, yes: bool, is_there: bool = False
) -> str:
    """The same for what cannot be undone: without a terminal and without `--yes`, only an id counts.

    A script that names by its id what is gone already must not meet another infrastructure of this name. With
    `is_there`, raises `NameOnlyError` for what would be taken otherwise.
    """
    if yes or can_ask(settings):
        return meant(manager, text)
    if is_there and (found := meant(manager, text)) != text:
        raise NameOnlyError(text, found)
    return text


def meant_instance(manager: InfrastructureManager, infra_id: str, text: str) -> str:
    """The node id of the instance whose id begins so, where there is exactly one; else the text itself."""
    from occopus_core.store.records import SHORTEST_BEGINNING  # noqa: PLC0415  # help is to be fast

    if len(text) < SHORTEST_BEGINNING:
        return text
    found = [one.node_id for one in manager.store.instances(infra_id) if one.node_id.startswith(text)]
    return found[0] if len(found) == 1 else text
