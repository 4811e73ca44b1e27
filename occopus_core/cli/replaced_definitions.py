"""Notices about node definitions that replace others in use."""

from __future__ import annotations

from occopus_core.cli.output import say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from typing import Any

    from occopus_core.store.definition_uses import Users


def say_replaced(replaced: Users) -> None:
    """Print a notice for each definition, by its name, with the infrastructures that use it."""
    for name, users in replaced.items():
        say(
            f"notice: the node definition '{name}' becomes another one, and is used by {', '.join(map(str, users))}: "
            "what runs there stays until it is built again, new instances are made from the new one; if it belongs to "
            "another project, give it another name in these files"
        )


def replaced_as_json(replaced: Users) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {"name": name, "used_by": [{"infraid": one.infra_id, "name": one.name} for one in users]}
        for name, users in replaced.items()
    ]
