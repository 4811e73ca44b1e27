"""A page for each command, generated from its parser."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib import import_module, metadata
from typing import NoReturn
from unittest.mock import patch

_ENTRIES = "occopus_core.cli.entry"
_USAGE = "usage: "
_COLUMNS = "90"


@cache
def pages() -> dict[str, str]:
    """The Markdown of each page, by its path in the site."""
    return {f"reference/commands/{made.prog}.md": _page(made) for made in _parsers()}


class _Caught(Exception):  # noqa: N818  # no error
    """Carries the parser out of a command."""

    def __init__(self, made: argparse.ArgumentParser) -> None:
        super().__init__(made.prog)
        self.made = made


def _catch(made: argparse.ArgumentParser, *_: object) -> NoReturn:
    raise _Caught(made)


def _parsers() -> Iterator[argparse.ArgumentParser]:
    """The parser of every command of the core: each command first parses its arguments."""
    points = metadata.distribution("occopus-core").entry_points.select(group="console_scripts")
    catching = patch.object(argparse.ArgumentParser, "parse_args", _catch)
    for command in (import_module(f"occopus_core.cli.{point.attr}") for point in points if point.module == _ENTRIES):
        with catching:
            try:
                command.main([])
            except _Caught as caught:
                yield caught.made


def _page(made: argparse.ArgumentParser) -> str:
    parts = [f"# {made.prog}", *_described(made, 2)]
    if made.epilog:
        name, _, codes = made.epilog.partition(":")
        parts += [f"## {name.capitalize()}", *[f"- {_text(code)}" for code in codes.replace("\n", " ").split(";")]]
    parts.append(f"\n[The guide](../../docs/usage.md) says how {made.prog} is used.")
    return "\n".join(parts) + "\n"


def _described(made: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"\n{_text(made.description or '')}\n"
    with patch.dict(os.environ, COLUMNS=_COLUMNS):
        usage = made.format_usage().replace("\n" + " " * len(_USAGE), "\n")
    yield f"```text\n{usage.removeprefix(_USAGE).strip()}\n```\n"
    actions = [one for one in made._actions if one.help != argparse.SUPPRESS]  # noqa: SLF001  # argparse has no list
    below = [one for one in actions if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    plain = [one for one in actions if one not in below]
    yield from _table("argument", [one for one in plain if not one.option_strings])
    yield from _table("option", [one for one in plain if one.option_strings])
    for action in below:
        helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001
        for name, parser in action.choices.items():
            parser.description = parser.description or helps.get(name)
            yield f"{'#' * level} {parser.prog}\n"
            yield from _described(parser, level + 1)


def _table(head: str, actions: list[argparse.Action]) -> Iterator[str]:
    if actions:
        yield f"| {head} | |\n|---|---|"
        for action in actions:
            yield f"| {_invocation(action)} | {_help(action)} |"
        yield ""


def _invocation(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    value = metavar or ("" if action.choices else action.dest)
    if not action.option_strings:
        return f"`{value or action.dest}`"
    if action.nargs == 0:
        value = ""
    elif not value:
        value = "{" + ",".join(map(str, action.choices or ())) + "}"
    elif metavar is None:
        value = value.upper()
    return ", ".join(f"`{f'{option} {value}'.strip()}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    parts = ["**Required.**"] if action.required and action.option_strings else []
    parts.append(_text((action.help or "") % {**vars(action), "prog": ""}))
    if not action.option_strings:
        parts += [f"`{choice}`" for choice in action.choices or ()]
    return " ".join(part for part in parts if part)


def _text(text: str) -> str:
    return escape(" ".join(text.split()), quote=False).replace("|", r"\|")
