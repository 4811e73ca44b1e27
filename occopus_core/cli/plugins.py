"""``occopus-plugins``: list, show, check and make plugins, and write the schemas for editors."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import Formatter, add_output, parser
from occopus_core.cli.output import result, say
from occopus_core.cli.session import guarded

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from pathlib import Path

    from occopus_core.installed import Details, InstalledPlugin, Key

KINDS = ("resource", "config", "health", "context", "notify")
_HEADS = ("KIND", "TYPE", "DISTRIBUTION", "VERSION", "CONTRACT", "STATE")


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    options = _parser().parse_args(argv)
    return guarded(lambda: int(options.run(options)))


def _parser() -> argparse.ArgumentParser:
    made = parser("plugins", "List, show, check and make plugins, and write the schemas for editors.")
    actions = made.add_subparsers(dest="action", required=True, metavar="{list,show,schema,check,new}")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text, formatter_class=Formatter)
        action.set_defaults(run=run)
        return action

    listing = add("list", _list, "list the installed plugins, and why one cannot be used")
    add_output(listing, "table", "json")
    show = add("show", _show, "show a plugin: its keys, powers, context formats, requirements")
    _add_type(show)
    add_output(show, "text", "json")
    schema = add("schema", _schema, "write the schemas for editors with a catalogue, or print that of one plugin")
    schema.add_argument("type", nargs="?", metavar="TYPE", help="print the schema of this plugin (or KIND/TYPE) alone")
    schema.add_argument("--output", metavar="DIR", help="folder for the files (default: ~/.occopus/schemas)")
    schema.add_argument("--relative", action="store_true", help="name the files in the catalogue without the folder")
    check = add("check", _check, "run the conformance suite with the harness that the plugin ships")
    _add_type(check)
    check.add_argument("--clause", action="append", metavar="NAME", help="run this clause alone; may be repeated")
    new = add("new", _new, "make a plugin package from the template")
    new.add_argument("kind", choices=KINDS, help="kind of the plugin")
    new.add_argument("name", type=_name, help="name of the plugin in descriptions: lower-case letters, digits and _")
    new.add_argument("--output", metavar="DIR", help="folder to create (default: occopus-KIND-NAME)")
    return made


def _add_type(action: argparse.ArgumentParser) -> None:
    action.add_argument("type", metavar="TYPE", help="type of the plugin, or KIND/TYPE")


def _name(text: str) -> str:
    if not (text.isascii() and text.isidentifier() and text == text.lower() and not text.startswith("_")):
        raise argparse.ArgumentTypeError(f"'{text}' is not a name of lower-case letters, digits and _")
    return text


def _installed(kind: str | None = None, type: str | None = None) -> Sequence[InstalledPlugin]:
    """The installed plugins, or those of a kind or a type. Output of their modules is not part of the result."""
    from occopus_core.installed import SLOW_SECONDS, installed_plugins  # noqa: PLC0415  # help must not wait for this
    from occopus_core.plugin_import import IMPORT_SECONDS  # noqa: PLC0415

    def waiting(what: str) -> None:
        say(f"the import of {what} has not ended for {SLOW_SECONDS:g} s; given up after {IMPORT_SECONDS:g} s")

    with contextlib.redirect_stdout(sys.stderr):
        return installed_plugins(kind, type, waiting)


def _called(text: str) -> Sequence[InstalledPlugin]:
    """The plugins of a type, or of KIND/TYPE; prints an error if there are none."""
    from occopus_core.installed import installed_types  # noqa: PLC0415

    kind, _, name = text.rpartition("/")
    found = _installed(kind or None, name)
    if not found:
        say(f"error: no plugin '{text}' is installed; installed are: {', '.join(installed_types())}")
    return found


# list and show


def _list(options: argparse.Namespace) -> int:
    plugins = _installed()
    if options.output == "json":
        _print_json({"plugins": [one.summary() for one in plugins]})
        return ExitCode.OK
    rows = [_HEADS, *map(_cells, plugins)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    reasons = ["", *(one.reason or one.note for one in plugins)]
    for cells, reason in zip(rows, reasons, strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        result(f"{line}  {reason}".rstrip())
    return ExitCode.OK


def _cells(one: InstalledPlugin) -> tuple[str, ...]:
    contract = "-" if one.contract_version is None else str(one.contract_version)
    return (one.kind, one.type, one.distribution, one.version or "-", contract, one.state.value)


def _show(options: argparse.Namespace) -> int:
    found = _called(options.type)
    if options.output == "json" and found:
        _print_json({"plugins": [_as_data(one) for one in found]})
    elif found:
        result("\n\n".join("\n".join(_shown(one)) for one in found))
    return ExitCode.OK if found else ExitCode.NOT_FOUND


def _print_json(value: object) -> None:
    import json  # noqa: PLC0415  # help is to be fast

    result(json.dumps(value, indent=2, ensure_ascii=False))


def _details(one: InstalledPlugin) -> Details:
    from occopus_core.installed import details  # noqa: PLC0415

    with contextlib.redirect_stdout(sys.stderr):
        return details(one)


def _as_data(one: InstalledPlugin) -> dict[str, object]:
    import dataclasses  # noqa: PLC0415

    from occopus_core.installed import needs  # noqa: PLC0415

    about: dict[str, object] = {} if one.plugin is None else dataclasses.asdict(_details(one))
    return {**one.summary(), **about, "needs": [dataclasses.asdict(need) for need in needs(one.distribution)]}


def _shown(one: InstalledPlugin) -> list[str]:
    from occopus_core.installed import needs  # noqa: PLC0415
    from occopus_core.registry import WORDS  # noqa: PLC0415

    contract = "-" if one.contract_version is None else str(one.contract_version)
    facts = {
        "distribution": f"{one.distribution} {one.version}".rstrip(),
        "contract": f"version {contract}",
        "state": f"{one.state.value}: {one.reason}" if one.reason else one.state.value,
        "needs": ", ".join(map(str, needs(one.distribution))),
    }
    if one.plugin is None:
        return [f"{WORDS[one.kind]} {one.type}", *_facts(facts)]
    about = _details(one)
    facts |= {
        "description": str(one.schema.get("description", "")),
        "context forms": ", ".join(about.forms),
        "features": ", ".join(about.features),
        "connection keys": ", ".join(about.connection_keys),
        "powers": "; ".join(about.powers),
    }
    keys = [line for key in about.keys for line in _key_lines(key)]
    return [f"{WORDS[one.kind]} {one.type}", *_facts(facts), *(["  keys", *keys] if keys else [])]


def _facts(facts: dict[str, str]) -> list[str]:
    return [f"  {name.ljust(15)}  {text}" for name, text in facts.items() if text]


def _key_lines(key: Key) -> list[str]:
    marks = ", ".join([*([key.types] if key.types else []), *(["required"] if key.required else [])])
    return [
        f"    {key.name}{f' ({marks})' if marks else ''}",
        *([f"        {key.description}"] if key.description else []),
        *(f"        power: {power}" for power in key.powers),
    ]


# schema


def _schema(options: argparse.Namespace) -> int:
    if options.type is None:
        return _write_schemas(options)
    found = _called(options.type)
    if not found:
        return ExitCode.NOT_FOUND
    kinds = sorted({one.kind for one in found})
    if len(kinds) > 1:
        names = " or ".join(f"{kind}/{options.type}" for kind in kinds)
        say(f"error: {len(kinds)} plugins are called '{options.type}': say {names}")
        return ExitCode.BAD_INPUT
    if found[0].reason:
        say(f"error: {found[0].reason}")
        return ExitCode.FAILED
    _print_json(found[0].schema)
    return ExitCode.OK


def _write_schemas(options: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415

    from occopus_core.descriptions.export import CATALOG, catalog, documents  # noqa: PLC0415
    from occopus_core.installed import usable_schemas  # noqa: PLC0415

    folder = Path(options.output or "~/.occopus/schemas").expanduser().absolute()
    plugins = _installed()
    for reason in dict.fromkeys(one.reason for one in plugins if one.reason):
        say(f"warning: left out: {reason}")
    texts = documents(usable_schemas(plugins))
    texts[CATALOG] = catalog(lambda name: name if options.relative else (folder / name).as_uri())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(folder / name, text)
            result(str(folder / name))
    except OSError as error:
        say(f"error: {error.filename or folder} cannot be written: {error.strerror}")
        return ExitCode.BAD_INPUT
    return ExitCode.OK


def _write(path: Path, text: str) -> None:
    """Write the file atomically: an editor that watches it never reads an incomplete one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, "utf-8")
    draft.replace(path)


# check and new


def _check(options: argparse.Namespace) -> int:
    from occopus_core.cli.suite_process import run_suite  # noqa: PLC0415
    from occopus_core.registry import PluginState  # noqa: PLC0415

    found = _called(options.type)
    if not found:
        return ExitCode.NOT_FOUND
    codes = []
    for one in found:
        if one.state is PluginState.USABLE:
            codes.append(run_suite(one.kind, one.type, options.clause or ()))
        else:
            say(f"error: {one.reason}")
            codes.append(ExitCode.FAILED)
    return max(codes)


def _new(options: argparse.Namespace) -> int:
    from importlib.resources import as_file, files  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    try:
        from copier import run_copy  # noqa: PLC0415
        from copier.errors import CopierError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = f"the extra [template] of occopus-core{_template_extra()}"
        say(f"error: {error.name} is not installed: it comes with {extra}")
        return ExitCode.UNAVAILABLE
    folder = Path(options.output or f"occopus-{options.kind}-{options.name.replace('_', '-')}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        say(f"error: {folder} exists and is not an empty folder: give another one with --output")
        return ExitCode.BAD_INPUT
    try:
        with as_file(files("occopus_core") / "plugin_template") as template:
            run_copy(str(template), folder, {"kind": options.kind, "name": options.name}, defaults=True, quiet=True)
    except (CopierError, OSError) as error:
        say(f"error: {folder} cannot be made: {' '.join(str(error).split())}")
        return ExitCode.BAD_INPUT
    result(str(folder))
    say(f"next: {_next_steps(folder)}")
    return ExitCode.OK


def _template_extra() -> str:
    """How to install the template's requirements, if the source of the core's installation is known."""
    from occopus_core.installed import source  # noqa: PLC0415

    flag, _, path = source("occopus-core").rpartition(" ")
    words = [sys.executable, "-m", "pip", "install", *([flag] if flag else []), f"{path}[template]"]
    return f": {shlex.join(words)}" if path else ""


def _next_steps(folder: Path) -> str:
    """The commands that install a new plugin into this environment, and test it."""
    from occopus_core.installed import source  # noqa: PLC0415

    core = source("occopus-core").removeprefix("-e ")
    install = shlex.join([".venv/bin/pip", "install", core, "-e", ".[testing]"])
    if not core:
        install = ".venv/bin/pip install CORE -e '.[testing]'"
    where = "" if core else " (CORE is the path of a checkout of Occopus, or of the wheel of occopus-core)"
    return f"cd {shlex.quote(str(folder))} && python3 -m venv .venv && {install} && .venv/bin/pytest{where}"
