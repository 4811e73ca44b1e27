"""``occopus-maintain``: maintain an infrastructure; list, report, draw, show events."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from occopus_core.cli.completion import KINDS, words
from occopus_core.cli.exits import ExitCode, UsageError
from occopus_core.cli.naming import meant
from occopus_core.cli.options import (
    NAMED,
    add_auth_data_path,
    add_infra_id,
    add_parallelize,
    add_verbose,
    columns,
    interval,
    parser,
)
from occopus_core.cli.output import on_terminal, result, say
from occopus_core.cli.session import guarded, load_credentials, load_settings

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.report import Snapshot
    from occopus_core.settings import Settings
    from occopus_core.store.records import InfrastructureSummary

_LIST_FORMS = ("json", "yaml", "table")
_FORMS = (*_LIST_FORMS, "ansible-inventory", "ssh-config", "hosts")
_GRAPHS = ("mermaid", "dot")
_OTHER_FORMS = (
    "csv",
    "dot",
    "html",
    "ini",
    "jsonl",
    "jsonpath",
    "mermaid",
    "text",
    "toml",
    "tsv",
    "wide",
    "xml",
    "yml",
)
"""Names of unknown output formats: a file without a dot in its name would be a surprise."""
_CLOSE = 0.75


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = _parser()
    options = made.parse_args(argv)
    if options.complete:
        return guarded(lambda: _complete(options))
    problem = _misuse(options)
    if problem:
        made.error(problem)
    return guarded(lambda: _chosen(options)(options))


def _chosen(options: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if options.list:
        return _list
    if options.report or options.graph:
        return _report
    if options.description:
        return _describe
    from occopus_core.cli import upkeep  # noqa: PLC0415

    chosen: dict[Callable[[argparse.Namespace], int], bool] = {
        upkeep.sweep: options.sweep,
        upkeep.extend: options.extend is not None,
        upkeep.forget: options.forget is not None,
        upkeep.events: options.events,
        upkeep.cyclic: options.cyclic,
    }
    return next((command for command, is_chosen in chosen.items() if is_chosen), upkeep.one_pass)


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "maintain",
        "Maintain an infrastructure: check, heal, apply scaling requests. Or list, report, draw.",
    )
    add_auth_data_path(made)
    add_parallelize(made)
    add_verbose(made)
    what = made.add_mutually_exclusive_group()
    what.add_argument("-l", "--list", action="store_true", help="list the infrastructures")
    what.add_argument("-r", "--report", action="store_true", help="report on an infrastructure")
    what.add_argument("--graph", choices=_GRAPHS, help="draw the graph of an infrastructure with its states")
    what.add_argument(
        "--description", action="store_true", help="print the stored description of an infrastructure, in YAML"
    )
    what.add_argument("--events", action="store_true", help="show the events of an infrastructure")
    what.add_argument("-c", "--cyclic", action="store_true", help="maintain periodically (default: one pass)")
    what.add_argument(
        "--sweep",
        action="store_true",
        help="search every cloud ever used for instances of this installation that its store does not know, and delete "
        "them",
    )
    what.add_argument(
        "--forget",
        metavar="CLOUD",
        help="never search this cloud again, named as in the output of --sweep: it does not exist any more",
    )
    what.add_argument(
        "--extend",
        metavar="TIME",
        help="move the end of its life time: by 90m, 8h, 1d12h, ..., to a time such as 2026-12-24T18:00Z, or never",
    )
    made.add_argument(
        "--cost", action="store_true", help="with -r: ask the providers what each instance has cost so far"
    )
    made.add_argument("--plan", action="store_true", help="with --sweep: only show what would be deleted")
    made.add_argument("--follow", action="store_true", help="with --events: continue with new events")
    made.add_argument(
        "-t",
        "--interval",
        metavar="INTERVAL",
        dest="interval",
        type=interval,
        default=10.0,
        help="with -c: seconds between two passes (default: 10)",
    )
    add_infra_id(made, f"infrastructure: {NAMED}", required=False)
    made.add_argument(
        "-o",
        "--output",
        help=f"{', '.join(_FORMS[:-1])} or {_FORMS[-1]}: form of what is printed (default: table); or a file for the "
        "report, written as YAML where its name ends in .yaml or .yml and as JSON otherwise, or for the graph",
    )
    made.add_argument("-f", "--filter", metavar="NODE", help="report on, or draw, only this node")
    made.add_argument("--complete", choices=KINDS, help=argparse.SUPPRESS)  # for scripts of --print-completion
    return made


def _misuse(options: argparse.Namespace) -> str:
    """The error in a combination of options; empty if they fit."""
    if options.list:
        of_one = {*_FORMS} - {*_LIST_FORMS}
        return f"-o {options.output} needs an infrastructure: add -r -i INFRA_ID" if options.output in of_one else ""
    if options.sweep or options.plan or options.forget is not None:
        return _sweep_misuse(options)
    return _misuse_of_one(options)


def _misuse_of_one(options: argparse.Namespace) -> str:
    if options.infra_id is None:
        return "name the infrastructure with -i INFRA_ID; or -l to list them all"
    if options.follow and not options.events:
        return "--follow needs --events"
    if options.cost and (not options.report or options.output in {*_FORMS} - {*_LIST_FORMS}):
        return f"--cost needs -r, with the form {', '.join(_LIST_FORMS[:-1])} or {_LIST_FORMS[-1]}"
    if options.output and not (options.report or options.graph or (options.events and options.output == "json")):
        return "-o needs -r or --graph; '-o json' works with -l and --events, too"
    if options.graph and options.output in _FORMS:
        return f"--graph sets the format: '-o {options.output}' must be a file, such as ./{options.output}"
    return ""


def _sweep_misuse(options: argparse.Namespace) -> str:
    if options.plan and not options.sweep:
        return "--plan needs --sweep"
    if options.infra_id is not None:
        return f"{'--sweep' if options.sweep else '--forget'} applies to the whole installation: leave out -i"
    if options.output and not options.sweep:
        return "-o works with --sweep, not with --forget"
    return "" if options.output in {None, "json"} else "--sweep supports only '-o json'"


def _complete(options: argparse.Namespace) -> int:
    """Print words for the completion of a shell."""
    for word in words(options.complete, load_settings(options.cfg, notifies=False).store, options.infra_id):
        result(word)
    return ExitCode.OK


def _list(options: argparse.Namespace) -> int:
    from occopus_core.store.listing import list_infrastructures  # noqa: PLC0415  # help must not wait for all this

    settings = load_settings(options.cfg, notifies=False)
    _refuse_unknown_form(options.output, _LIST_FORMS, settings)
    missing: list[str] = []
    summaries = list_infrastructures(settings.store, missing.append)
    for text in missing:
        say(f"warning: {text}")
    if settings.former and options.output is None:
        for summary in summaries:
            result(summary.id)
        return ExitCode.OK
    if options.output in {None, "table"}:
        return _show_list(summaries, known=not missing)
    from occopus_core.report.forms import as_json, as_yaml  # noqa: PLC0415
    from occopus_core.report.listing import listed_rows  # noqa: PLC0415

    write = as_yaml if options.output == "yaml" or options.output.endswith((".yaml", ".yml")) else as_json
    text = write({"infrastructures": listed_rows(summaries)})
    if options.output not in _LIST_FORMS:
        return _write(options.output, text)
    result(text)
    return ExitCode.OK


def _show_list(summaries: Sequence[InfrastructureSummary], *, known: bool) -> int:
    """A table on a terminal, else a line for each infrastructure."""
    from occopus_core.report.listing import listed_lines, listed_table  # noqa: PLC0415

    if not on_terminal():
        for line in listed_lines(summaries):
            result(line)
    elif summaries:
        result(listed_table(summaries, columns()))
    elif known:
        say("there are no infrastructures")
    return ExitCode.OK


def _report(options: argparse.Namespace) -> int:
    from occopus_core.report.forms import written  # noqa: PLC0415
    from occopus_core.report.tables import WIDEST  # noqa: PLC0415

    settings = load_settings(options.cfg, notifies=False)
    _refuse_unknown_form(options.output, () if options.graph else _FORMS, settings)
    snapshot = _snapshot(options, settings)
    if options.filter is not None:
        chosen = [node for node in snapshot.nodes if _matches(node, options.filter, settings)]
        if not chosen:
            names = ", ".join(snapshot.nodes)
            say(f"error: '{options.infra_id}' has no node '{options.filter}'; it has: {names}")
            return ExitCode.NOT_FOUND
        snapshot = snapshot.only(*chosen)
    if options.output is None or options.output in _FORMS:
        width = columns() if on_terminal() else WIDEST
        result(written(snapshot, options.graph or options.output or "table", width))
        return ExitCode.OK
    if settings.former and not options.graph:
        from occopus_core.report.forms_1x import addresses  # noqa: PLC0415

        return _write(options.output, addresses(snapshot))
    form = "yaml" if options.output.endswith((".yaml", ".yml")) else "json"
    return _write(options.output, written(snapshot, options.graph or form))


def _describe(options: argparse.Namespace) -> int:
    """Print the description: the one requested last, or that of the last build."""
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with InfrastructureManager(load_settings(options.cfg, notifies=False), Credentials()) as manager:
        result(manager.description(meant(manager, options.infra_id)).rstrip("\n"))
    return ExitCode.OK


def _refuse_unknown_form(output: str | None, forms: Sequence[str], settings: Settings) -> None:
    """Raises `UsageError` for the name of an unknown format; in 1.x every word was a file."""
    if output is None or output in forms or settings.former or not output.isalpha():
        return
    from difflib import get_close_matches  # noqa: PLC0415

    if output.lower() in _OTHER_FORMS or get_close_matches(output.lower(), _FORMS, 1, _CLOSE):
        known = f"; the forms are: {', '.join(forms)}" if forms else ""
        raise UsageError(f"there is no form '{output}'{known}; for a file of this name: -o ./{output}")


def _matches(node: str, wanted: str, settings: Settings) -> bool:
    """True for the node of this name; with `compatibility: 1.x` also if its name contains `wanted`."""
    return node == wanted or (settings.former and wanted in node)


def _snapshot(options: argparse.Namespace, settings: Settings) -> Snapshot:
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    credentials = load_credentials(options.auth_data_path) if options.cost else Credentials()
    with InfrastructureManager(settings, credentials) as manager:
        infra_id = meant(manager, options.infra_id)
        snapshot = manager.snapshot(infra_id)
        if not options.cost:
            return snapshot
        problems: list[str] = []
        costs = manager.costs(infra_id, problems.append)
        for problem in problems:
            say(f"warning: {problem}")
        return snapshot.with_costs({node_id: one for node in costs.values() for node_id, one in node.items()})


def _write(path: str, text: str) -> int:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123  # the name is the user's, as it is
            file.write(text + "\n")
    except OSError as error:
        say(f"error: {path}: the file cannot be written: {error.strerror}")
        return ExitCode.BAD_INPUT
    return ExitCode.OK
