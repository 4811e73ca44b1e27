"""``occopus-import``: store node definitions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import parser
from occopus_core.cli.output import result, say
from occopus_core.cli.session import guarded, load_settings


def main(argv: Sequence[str]) -> int:
    """Run the command; its exit code."""
    made = parser("import", "Validate node definitions and store all of them, or none.")
    made.add_argument("datafile", help="file with the node definitions, or - for standard input")
    options = made.parse_args(argv)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    from occopus_core.credentials import Credentials  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with InfrastructureManager(load_settings(options.cfg), Credentials()) as manager:
        names = manager.import_node_definitions(options.datafile, lambda text: say(f"warning: {text}"))
    result(f"Successfully imported nodes: {', '.join(names)}")
    return ExitCode.OK
