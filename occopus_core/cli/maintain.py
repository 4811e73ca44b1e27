"""``occopus-maintain``: list the infrastructures, report on one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from occopus_core.cli import common

_FORMS = ("json", "yaml", "table")


def main(argv: Sequence[str]) -> int:
    """Run the command; its exit code."""
    made = _parser()
    options = made.parse_args(argv)
    if options.list:
        return common.guarded(lambda: _list(options))
    if options.infra_id is None or not options.report:
        made.error("say -l to list the infrastructures, or -r -i INFRA_ID to report on one")
    return common.guarded(lambda: _report(options))


def _parser() -> argparse.ArgumentParser:
    made = common.parser("maintain", "List the infrastructures, or report on one.")
    made.add_argument("-l", "--list", action="store_true", help="list the infrastructures")
    made.add_argument("-r", "--report", action="store_true", help="report on an infrastructure")
    made.add_argument("-i", metavar="INFRA_ID", dest="infra_id", help="identifier of the infrastructure")
    made.add_argument(
        "-o",
        "--output",
        help="json, yaml or table: form of what is printed (default: table); anything else: a file to write as JSON",
    )
    made.add_argument("-f", "--filter", metavar="NODE", help="report on this node alone")
    return made


def _list(options: argparse.Namespace) -> int:
    from occopus_core.store.listing import list_infrastructures  # noqa: PLC0415  # help must not wait for all this

    summaries = list_infrastructures(common.load_settings(options.cfg).store)
    if options.output in {None, "table"}:
        for summary in summaries:
            common.result(f"{summary.id}\t{summary.name}\t{summary.state.value}\t{summary.instances} instances")
        return common.ExitCode.OK
    rows = [
        {
            "infraid": summary.id,
            "name": summary.name,
            "state": summary.state.value,
            "instances": summary.instances,
            "created_at": summary.created_at,
        }
        for summary in summaries
    ]
    return _deliver({"infrastructures": rows}, options.output)


def _report(options: argparse.Namespace) -> int:
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    manager = InfrastructureManager(common.load_settings(options.cfg), Credentials())
    nodes = manager.report(options.infra_id)
    if options.filter is not None:
        if options.filter not in nodes:
            common.say(f"error: '{options.infra_id}' has no node '{options.filter}'; it has: {', '.join(nodes)}")
            return common.ExitCode.NOT_FOUND
        nodes = {options.filter: nodes[options.filter]}
    return _deliver(nodes, options.output or "table")


def _deliver(value: Mapping[str, Any], output: str) -> int:
    """Print in one of the forms, or write a file."""
    if output in _FORMS:
        common.result(_text(value, output))
        return common.ExitCode.OK
    try:
        with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123  # the name is the user's, as it is
            file.write(_text(value, "json") + "\n")
    except OSError as error:
        common.say(f"error: {output}: the file cannot be written: {error.strerror}")
        return common.ExitCode.BAD_INPUT
    return common.ExitCode.OK


def _text(value: Mapping[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(value, indent=2)
    if form == "yaml":
        import yaml  # noqa: PLC0415

        return yaml.safe_dump(dict(value), sort_keys=False).rstrip("\n")
    return _table(value)


def _table(nodes: Mapping[str, Any]) -> str:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("NODE", "INSTANCE", "STATE", "ADDRESS", "SINCE", "NOTE", box=SIMPLE_HEAD, pad_edge=False)
    for name, node in nodes.items():
        scaling = node["scaling"]
        title = f"{name} {scaling['actual']}/{scaling['target']} ({scaling['min']}..{scaling['max']})"
        for number, (node_id, instance) in enumerate(node["instances"].items()):
            cells = (instance["state"], instance["resource_address"], instance["since"], instance["reason"])
            table.add_row("" if number else title, node_id, *cells)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table, markup=False)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n"))
