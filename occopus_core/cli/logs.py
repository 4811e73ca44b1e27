"""``occopus-logs``: print the output of instances."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.naming import meant
from occopus_core.cli.options import NAMED, add_auth_data_path, add_infra_id, parser, whole_number
from occopus_core.cli.output import result, say
from occopus_core.cli.session import guarded, load_credentials, load_settings

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.engine.passes.outputs import InstanceOutput
    from occopus_core.manager import InfrastructureManager

LINES = 100
FOLLOW_SECONDS = 2.0
"""The interval between two queries with --follow, in seconds."""
FOLLOW_LINES = 1000
"""The lines of each instance that a query reads: if more are printed in between, some are lost."""


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    options = _parser().parse_args(argv)
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "logs",
        "Print what instances have printed, as their providers keep it; of instances that failed and are gone, the "
        "last lines that were kept; of failed reconfigurations those of the job.",
    )
    add_auth_data_path(made)
    add_infra_id(made, f"infrastructure: {NAMED}")
    made.add_argument(
        "node", nargs="?", default="", metavar="NODE", help="node, node id or address (default: all instances)"
    )
    made.add_argument(
        "-n", "--lines", type=_lines, default=LINES, help=f"the most lines of each instance (default: {LINES})"
    )
    made.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        help="only what was printed since a time, or in the last 90s, 10m, 2h, ...",
    )
    made.add_argument("-f", "--follow", action="store_true", help="go on with what is printed from now on")
    made.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="form of the result (default: text)"
    )
    return made


def _lines(text: str) -> int:
    from occopus_core.engine.passes.outputs import MOST_LINES  # noqa: PLC0415  # help must not wait for all this

    lines = whole_number(text)
    if not 1 <= lines <= MOST_LINES:
        raise argparse.ArgumentTypeError(f"1 to {MOST_LINES:,} lines")
    return lines


def _since(text: str) -> float:
    from occopus_core.descriptions.times import since  # noqa: PLC0415

    try:
        return since(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(options: argparse.Namespace) -> int:
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    settings, credentials = load_settings(options.cfg, notifies=False), load_credentials(options.auth_data_path)
    with InfrastructureManager(settings, credentials) as manager:
        options.infra_id = meant(manager, options.infra_id, gone=True)
        lines = max(options.lines, FOLLOW_LINES) if options.follow else options.lines
        found = manager.logs(options.infra_id, options.node, lines, options.since)
        printer = _Printer(options.output, several=len({one.node_id for one in found}) > 1)
        printer.show(found, options.lines)
        if options.follow:
            _follow(manager, options, printer)
    if not found:
        say("no instance has any output")
    return ExitCode.UNCONFIRMED if any(one.failed for one in found) else ExitCode.OK


def _follow(manager: InfrastructureManager, options: argparse.Namespace, printer: _Printer) -> None:
    """Print new output until the infrastructure is deleted."""
    from occopus_core.manager.logins import NoSuchInstanceError  # noqa: PLC0415
    from occopus_core.store.records import NoSuchInfrastructureError  # noqa: PLC0415

    lines = max(options.lines, FOLLOW_LINES)
    printer.several = printer.several or not options.node
    while True:
        time.sleep(FOLLOW_SECONDS)
        try:
            manager.get(options.infra_id)
            printer.show(manager.logs(options.infra_id, options.node, lines, options.since))
        except NoSuchInfrastructureError:
            say(f"the infrastructure '{options.infra_id}' is gone")
            return
        except NoSuchInstanceError:  # it is being replaced
            continue


class _Printer:
    """Prints only the output that was not printed before."""

    def __init__(self, form: str, *, several: bool) -> None:
        self._form = form
        self.several = several
        self._seen: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._said: dict[str, str] = {}

    def show(self, found: Sequence[InstanceOutput], most: int | None = None) -> None:
        """Print the new lines of each instance, at most the last `most`; a problem is printed once."""
        for one in found:
            name = f"{one.node_name}/{one.node_id[:8]}"
            if one.problem:
                if self._said.get(one.node_id) != one.problem:
                    say(f"{name}: {'error: ' if one.failed else ''}{one.problem}")
                self._said[one.node_id] = one.problem
                continue
            key = one.node_id, one.of_job
            fresh = added(self._seen.get(key, ()), one.lines)
            if one.kept_at is not None and fresh:
                from occopus_core.descriptions.times import written  # noqa: PLC0415

                what = "its configuration manager has failed" if one.of_job else "it failed and is gone"
                say(f"{name}: {what}; what was kept at {written(one.kept_at)}:")
            for line in fresh if most is None else fresh[-most:]:
                self._print(one, name, line)
            self._seen[key] = one.lines or self._seen.get(key, ())

    def _print(self, one: InstanceOutput, name: str, line: str) -> None:
        if self._form == "json":
            import json  # noqa: PLC0415

            job = {"job": True} if one.of_job else {}
            result(json.dumps({"node": one.node_name, "nodeid": one.node_id, **job, "line": line}))
        else:
            result(f"{name}: {line}" if self.several else line)


def added(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """The lines that follow `before`, which is the end of an earlier output; all lines if they do not overlap."""
    for count in range(min(len(before), len(now)), 0, -1):
        if tuple(before[len(before) - count :]) == tuple(now[:count]):
            return now[count:]
    return now
