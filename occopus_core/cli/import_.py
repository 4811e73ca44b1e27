"""``occopus-import``: store node definitions; list, show and delete stored ones."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import add_auth_data_path, add_output, parser
from occopus_core.cli.output import redact_with, result, say
from occopus_core.cli.replaced_definitions import replaced_as_json, say_replaced
from occopus_core.cli.session import both, guarded, load_settings

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.credentials import Credentials
    from occopus_core.store.definition_uses import User


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = _parser()
    options = made.parse_args(argv)
    stored = options.list or any(name is not None for name in (options.show, options.delete, options.example))
    if stored and options.datafile is not None:
        made.error("--list, --show, --delete and --example read no file: leave out DATAFILE")
    if not stored and options.datafile is None:
        made.error("name the file with the node definitions: DATAFILE, or - for standard input")
    if options.output != "text" and not options.list and (stored or options.check or options.check_1x):
        made.error("-o is for --list, and for importing a file")
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "import",
        "Validate node definitions and store all of them, or none. Or list, show and delete stored ones.",
    )
    add_auth_data_path(made)
    what = made.add_mutually_exclusive_group()
    what.add_argument(
        "--check-1x",
        action="store_true",
        help="store nothing: list the differences from Occopus 1.x in the files of the folder DATAFILE",
    )
    what.add_argument(
        "--check", action="store_true", help="store nothing: only say what is wrong with the node definitions"
    )
    what.add_argument(
        "--list", action="store_true", help="list the stored node definitions, and the infrastructures that use them"
    )
    what.add_argument(
        "--show", metavar="NAME", help="print a stored node definition in full, so that it can be imported again"
    )
    what.add_argument("--delete", metavar="NAME", help="delete a stored node definition that no infrastructure uses")
    what.add_argument(
        "--example",
        metavar="TYPE",
        help="write a commented node definition and a description for an installed type of resource, such as docker: "
        "TYPE.nodes.yaml and TYPE.infra.yaml in the present folder",
    )
    add_output(made, "text", "json")
    made.add_argument("datafile", nargs="?", help="file with the node definitions, or - for standard input")
    return made


def _run(options: argparse.Namespace) -> int:
    if options.check_1x:
        return _check_1x(options.datafile)
    if options.check:
        return _validate(options)
    if options.example is not None:
        return _write_example(options.example)
    return _import(options) if options.datafile is not None else _about_stored(options)


def _about_stored(options: argparse.Namespace) -> int:
    from occopus_core.cli import stored_definitions  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with InfrastructureManager(load_settings(options.cfg), Credentials()) as manager:
        if options.list:
            return stored_definitions.show_all(manager, options.output)
        if options.show is not None:
            return stored_definitions.show(manager, options.show)
        return stored_definitions.delete(manager, options.delete)


def _validate(options: argparse.Namespace) -> int:
    from occopus_core.manager.checked_definitions import checked_definitions  # noqa: PLC0415  # help is to be fast
    from occopus_core.registry import Registry  # noqa: PLC0415

    settings, credentials = both(lambda: load_settings(options.cfg), lambda: _credentials(options.auth_data_path))
    found = checked_definitions(
        options.datafile, Registry(), credentials, lambda text: say(f"warning: {text}"), former=settings.former
    )
    result(f"Valid node definitions: {', '.join(definition.name for definition in found)}")
    return ExitCode.OK


def _import(options: argparse.Namespace) -> int:
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415  # help must not wait for all this

    settings, credentials = both(lambda: load_settings(options.cfg), lambda: _credentials(options.auth_data_path))
    replaced: dict[str, Sequence[User]] = {}
    with InfrastructureManager(settings, credentials) as manager:
        names = manager.import_node_definitions(options.datafile, lambda text: say(f"warning: {text}"), replaced.update)
    say_replaced(replaced)
    if options.output == "json":
        import json  # noqa: PLC0415

        shown = {"node_definitions": names, "replaced_definitions": replaced_as_json(replaced)}
        result(json.dumps(shown, indent=2))
    else:
        result(f"Successfully imported nodes: {', '.join(names)}")
    return ExitCode.OK


def _write_example(resource_type: str) -> int:
    from occopus_core.manager.example_files import example_files  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.registry import Registry  # noqa: PLC0415

    made = example_files(Registry(), resource_type)
    texts = {made.nodes_file: made.nodes, made.infrastructure_file: made.infrastructure}
    written: list[str] = []
    try:
        for name, text in texts.items():
            with open(name, "x", encoding="utf-8") as file:  # noqa: PTH123  # pathlib takes long to import
                written.append(name)
                file.write(text)
    except BaseException as error:
        for made_before in written:
            os.unlink(made_before)  # noqa: PTH108
        if not isinstance(error, OSError):
            raise
        is_there = isinstance(error, FileExistsError)
        why = (
            "it is there already, and is not replaced" if is_there else f"the file cannot be written: {error.strerror}"
        )
        say(f"error: {name}: {why}")
        return ExitCode.BAD_INPUT
    for name in texts:
        result(name)
    say(f"next: change them to your needs, then occopus-build --nodes {' '.join(texts)}")
    return ExitCode.OK


def _check_1x(folder: str) -> int:
    from occopus_core.manager.checking import check_folder  # noqa: PLC0415  # help must not wait for all this

    found = check_folder(folder)
    for line in found.lines:
        result(line)
    refused = f", {found.refused} of them refused" if found.refused else ""
    say(f"{found.files} files of Occopus read: {len(found.lines)} differences{refused}")
    return ExitCode.BAD_INPUT if found.refused or not found.files else ExitCode.OK


def _credentials(path: str | None) -> Credentials:
    """The credentials; if their file cannot be read, none, with a warning: the import does not need them.

    Other warnings about the file are left to the commands that use it.
    """
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.descriptions.problems import DescriptionError  # noqa: PLC0415
    from occopus_core.redaction import Redactor  # noqa: PLC0415

    try:
        credentials = Credentials.load(path)
    except DescriptionError as error:
        if path is not None:
            raise
        for problem in error.problems:
            say(f"warning: {problem}")
        return Credentials()
    redact_with(Redactor(credentials.secrets()))
    return credentials
