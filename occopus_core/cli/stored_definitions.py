"""The actions of `occopus-import` on stored node definitions: list, show, delete."""

from __future__ import annotations

import json
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import columns
from occopus_core.cli.output import on_terminal, result, say
from occopus_core.descriptions.definition_text import definition_text
from occopus_core.manager import InfrastructureManager
from occopus_core.report.tables import table_text
from occopus_core.store.definition_uses import User


def show_all(manager: InfrastructureManager, form: str) -> int:
    """Print the node definitions with the types of their resources and the infrastructures that use them.

    A table on a terminal, else a line for each, with its name first and tabs between the fields.
    """
    names = manager.store.definition_names()
    users = manager.store.definition_uses.all()
    types = {
        name: list(dict.fromkeys(str(one.resource["type"]) for one in definition.implementations))
        for name, definition in manager.store.definitions(names).items()
    }
    if form == "json":
        rows = [
            {
                "name": name,
                "resources": types.get(name, []),
                "used_by": [{"infraid": one.infra_id, "name": one.name} for one in users.get(name, [])],
            }
            for name in names
        ]
        result(json.dumps({"node_definitions": rows}, indent=2))
        return ExitCode.OK
    rows_of_text = [(name, ", ".join(types.get(name, [])), ", ".join(map(str, users.get(name, [])))) for name in names]
    _print(rows_of_text)
    return ExitCode.OK


def _print(rows: Sequence[Sequence[str]]) -> None:
    if not on_terminal():
        for row in rows:
            result("\t".join(row).rstrip("\t"))
    elif rows:
        shown = [(name, types, used or "-") for name, types, used in rows]
        result(table_text(("NAME", "RESOURCES", "USED BY"), shown, columns()))
    else:
        say("there are no node definitions")


def show(manager: InfrastructureManager, name: str) -> int:
    """Print one as YAML, after a comment with the infrastructures that use it."""
    definition = manager.node_definition(name)
    users: list[User] = manager.store.definition_uses.all().get(name, [])
    result(f"# used by: {', '.join(map(str, users)) or '-'}")
    result(definition_text(definition).rstrip("\n"))
    return ExitCode.OK


def delete(manager: InfrastructureManager, name: str) -> int:
    """Delete one that no infrastructure uses."""
    manager.remove_node_definition(name)
    say(f"deleted the node definition '{name}'")
    return ExitCode.OK
