"""Resolves the option `-i`: the id of an infrastructure, its name, or a unique beginning of its id."""

from __future__ import annotations

import contextlib

from occopus_core.cli.confirmation import can_ask
from occopus_core.cli.exits import NameOnlyError
from occopus_core.cli.output import say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings
    from occopus_core.store.records import NoSuchInfrastructureError


def meant(manager: InfrastructureManager, text: str, *, gone: bool = False) -> str:
    """The id of the infrastructure that the text names; with `gone`, also of one that is gone and has a log.

    Raises `NoSuchInfrastructureError` with what the text may mean, `AmbiguousNameError`, `StoreError`.
    """
    found = manager.store.meant(text) or (manager.store.gone.meant(text) if gone else None)
    if found is None:
        raise _unknown(manager, text)
    return found


def _unknown(manager: InfrastructureManager, text: str) -> NoSuchInfrastructureError:
    """The error for a text that names no infrastructure, with the commands that know one that is gone, or a hint."""
    from occopus_core.api.spelling import did_you_mean  # noqa: PLC0415  # only after a mistake
    from occopus_core.store.records import AmbiguousNameError, NoSuchInfrastructureError  # noqa: PLC0415

    error = NoSuchInfrastructureError(text)
    with contextlib.suppress(AmbiguousNameError):
        if manager.store.gone.meant(text) is not None:
            error.add_note(
                f"it was there: occopus-maintain --events -i {text} shows what happened, occopus-logs -i {text} what "
                "its failed instances printed"
            )
            return error
    present = manager.store.overview.all()
    hint = did_you_mean(text, dict.fromkeys([*(one.name for one in present), *(one.id for one in present)]))
    if hint:
        error.add_note(hint.removeprefix(": "))
    return error


def meant_by_a_person(
    manager: InfrastructureManager, settings: Settings, text: str, *, yes: bool, new: bool = False
) -> str:
    """The same for actions that a wrong name makes irreversible: without a terminal and without `--yes`, only an id.

    A script with the id of a deleted infrastructure must not affect another one of this name. With `new`, a text that
    names none is the id of a new one. Raises `NameOnlyError` for anything but an id that names an infrastructure.
    """
    found = manager.store.meant(text)
    if found is None:
        return text if new else meant(manager, text)
    if found != text and not (yes or can_ask(settings)):
        raise NameOnlyError(text, found, new=new)
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


def meant_instance(manager: InfrastructureManager, infra_id: str, text: str) -> str:
    """The node id of the only instance whose id begins with the text; otherwise the text itself."""
    from occopus_core.store.records import SHORTEST_BEGINNING  # noqa: PLC0415  # help is to be fast

    if len(text) < SHORTEST_BEGINNING:
        return text
    found = [one.node_id for one in manager.store.instances(infra_id) if one.node_id.startswith(text)]
    return found[0] if len(found) == 1 else text
