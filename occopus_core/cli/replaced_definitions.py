"""What is said where node definitions are imported, and those replaced that other infrastructures use."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

from occopus_core.cli.output import say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from typing import Any

    from occopus_core.descriptions.model import NodeDefinition
    from occopus_core.store.definition_uses import Users
    from occopus_core.store.repository import Store


class Importing:
    """The node definitions of the file that a build imports. Made before the build; raises `StoreError`."""

    def __init__(self, store: Store, definitions: Collection[NodeDefinition], infra_id: str) -> None:
        self._definitions = definitions
        self._uses = store.definition_uses
        self._known = frozenset(store.definition_names()) if definitions else frozenset()
        self._new = self._uses.not_stored(definitions) if definitions else []
        self.replaced = self._uses.replaced_by(definitions, infra_id) if definitions else {}
        """Which other infrastructures use those that become others."""

    def kept(self) -> Sequence[str]:
        """After a build that did not succeed: a line that names those that it has stored, if any."""
        from occopus_core.store.records import StoreError  # noqa: PLC0415  # takes long to import

        if not self._new:
            return []
        with contextlib.suppress(StoreError):  # the build has failed because of that
            missing = self._uses.not_stored(self._definitions)
            stay = [self._told(name) for name in self._new if name not in missing]
            return [f"the node definitions that the build has imported stay: {', '.join(stay)}"] if stay else []
        return []

    def _told(self, name: str) -> str:
        if name not in self._known:
            return name
        users = self.replaced.get(name, ())
        return f"{name} (replaced another one{', used by ' if users else ''}{', '.join(map(str, users))})"


def say_replaced(replaced: Users) -> None:
    """Print a notice for each definition, by its name, with the infrastructures that use it."""
    for name, users in replaced.items():
        say(
            f"notice: the node definition '{name}' becomes another one, and is used by {', '.join(map(str, users))}: "
            "what runs there stays until it is built again, new instances are made from the new one"
        )


def replaced_as_json(replaced: Users) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"name": name, "used_by": [{"infraid": one.infra_id, "name": one.name} for one in users]}
        for name, users in replaced.items()
    ]
