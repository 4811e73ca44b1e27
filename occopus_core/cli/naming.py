"""Resolves the option `-i`: the id of an infrastructure, its name, or a unique beginning of its id."""

from __future__ import annotations

import contextlib

from occopus_core.cli.confirmation import can_ask
from occopus_core.cli.exits import NameOnlyError
from occopus_core.cli.output import say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Iterator

    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


def meant(manager: InfrastructureManager, text: str) -> str:
    """The id of the infrastructure that the text names; the text itself if there is none.

    Raises `AmbiguousNameError`, `StoreError`.
    """
    return manager.store.meant(text) or text


def meant_by_a_person(
    manager: InfrastructureManager, settings: Settings, text: str, *, yes: bool, otherwise: str = ""
) -> str:
    """The same for actions that a wrong name makes irreversible: without a terminal and without `--yes`, only an id.

    A script with the id of a deleted infrastructure must not affect another one of this name. Raises `NameOnlyError`
    for anything else that names an infrastructure; `otherwise` ends its message.
    """
    found = meant(manager, text)
    if found != text and not (yes or can_ask(settings)):
        raise NameOnlyError(text, found, otherwise)
    return found


def say_namesakes(settings: Settings, name: str, infra_id: str, *, only_plan: bool) -> None:
    """Print a notice if this id is new and there are infrastructures of this name: the build makes another one."""
    from occopus_core.report.tables import shortened  # noqa: PLC0415  # help is to be fast
    from occopus_core.store.listing import list_infrastructures  # noqa: PLC0415
    from occopus_core.store.records import InfrastructureState, StoreError  # noqa: PLC0415

    with contextlib.suppress(StoreError):  # the following code reports it
        found = list_infrastructures(settings.store)
        namesakes = [one.id for one in found if one.name == name and one.state is not InfrastructureState.DROPPING]
        if not namesakes or any(one.id == infra_id for one in found):
            return
        newest = namesakes[-1]
        if can_ask(settings):  # without a terminal, a build accepts only whole ids
            newest = shortened(one.id for one in found).get(newest, newest)
        there, which = f"is already an infrastructure '{name}'", "it"
        if len(namesakes) > 1:
            there, which = f"are already {len(namesakes)} infrastructures '{name}'", "the newest"
        this = "this is the plan of" if only_plan else "this build makes"
        say(f"notice: there {there}: {this} another one; -i {newest} updates {which}")


@contextlib.contextmanager
def pointing_to_events(manager: InfrastructureManager) -> Iterator[None]:
    """Add a note to the error for a deleted infrastructure: which commands still know it."""
    from occopus_core.store.records import NoSuchInfrastructureError, StoreError  # noqa: PLC0415

    try:
        yield
    except NoSuchInfrastructureError as error:
        with contextlib.suppress(NoSuchInfrastructureError, StoreError):
            if manager.events(error.infra_id, most=1):
                error.add_note(
                    f"it was there: occopus-maintain --events -i {error.infra_id} shows what happened, occopus-logs -i "
                    f"{error.infra_id} what its failed instances printed"
                )
        raise


def meant_instance(manager: InfrastructureManager, infra_id: str, text: str) -> str:
    """The node id of the only instance whose id begins with the text; otherwise the text itself."""
    from occopus_core.store.records import SHORTEST_BEGINNING  # noqa: PLC0415  # help is to be fast

    if len(text) < SHORTEST_BEGINNING:
        return text
    found = [one.node_id for one in manager.store.instances(infra_id) if one.node_id.startswith(text)]
    return found[0] if len(found) == 1 else text
