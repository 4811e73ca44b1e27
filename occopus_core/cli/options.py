"""Command-line options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math
import os
import sys

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

_EPILOG = """exit codes: 0 done; 1 failed and undone; 2 wrong input, nothing was done; 3 no such infrastructure, node or
instance; 4 the store or the output is away, or the infrastructure is busy; 5 done, but deletions are unconfirmed or a
provider could not be asked; 130 and 143 interrupted and undone"""
_COLUMNS = 80
"""The width if there is no terminal."""

NAMED = "its id, its name, or a unique beginning of its id"
"""The identifiers of an infrastructure."""
_SEARCHED = "~/.occopus/, ./ or /etc/occopus/"
_SHELLS = ("bash", "zsh", "tcsh")


class Formatter(argparse.HelpFormatter):
    """Help as wide as the terminal. argparse would import shutil to find the width, and shutil imports much."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """The width of the terminal in characters, as `shutil.get_terminal_size` finds it."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns > 0:
        return columns
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS if sys.__stdout__ else _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one line."""

    _words: Sequence[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of any parser."""
        self._words = sys.argv[1:] if args is None else args
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit with 2."""
        self.exit(2, f"error: {message}{self._hint(message)} ({self.prog} --help lists the options)\n")

    def _hint(self, message: str) -> str:
        """The option that an unknown one probably means, or how to specify `-i`; may be empty."""
        if not message.startswith(("the following arguments are required: -i", "unrecognized arguments: ")):
            return ""
        words = self._free_words()
        unknown = [word.partition("=")[0] for word in words if word.startswith("-") and not self._is_known(word)]
        if unknown:  # another word may be the value of an unknown option
            return self._similar_options(unknown[0])
        option = self._option_string_actions.get("-i")
        if option is None or not {*option.option_strings}.isdisjoint(self._words):
            return ""
        loose = [word for word in words if not word.startswith("-")]
        return f": did you mean -i {loose[0]}?" if loose else ""

    def _similar_options(self, unknown: str) -> str:
        """The options that are spelt like an unknown one; of a single letter those that begin with it."""
        longer = [option[2:] for option in self._option_string_actions if option.startswith("--")]
        if len(unknown) > len("-x"):
            from occopus_core.api.spelling import did_you_mean  # noqa: PLC0415  # only after a mistake

            return did_you_mean(unknown.lstrip("-"), longer).replace("'", "'--", 1)
        swapped = unknown.swapcase()
        if swapped in self._option_string_actions:
            return f": did you mean '{swapped}'?"
        meant = [f"'--{option}'" for option in longer if option[0] == unknown[1:]]
        return f": did you mean {' or '.join(meant)}?" if meant else ""

    def _free_words(self) -> list[str]:
        """The words that are no values of options, up to ``--``."""
        words = [*self._words[: self._words.index("--")]] if "--" in self._words else [*self._words]
        return [word for word, last in zip(words, [None, *words], strict=False) if not self._takes_value(last)]

    def _is_known(self, word: str) -> bool:
        """True for an option, also one that is abbreviated or contains its value, and for a number."""
        name = word.partition("=")[0]
        if not name.startswith("--"):
            return name[:2] in self._option_string_actions or name[1:2].isdigit() or name == "-"
        return any(option.startswith(name) for option in self._option_string_actions)

    def _takes_value(self, word: str | None) -> bool:
        action = self._option_string_actions.get(word or "")
        return action is not None and action.nargs != 0


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415  # takes a while to import

        print(f"{parser.prog} {version('occopus-core')}")
        parser.exit()


class _PrintCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, _namespace: object, shell: Any, *_: object) -> None:
        from occopus_core.cli.completion import script  # noqa: PLC0415  # only for this
        from occopus_core.cli.output import result  # noqa: PLC0415

        result(script(parser, shell))
        parser.exit()


def add_infra_id(made: argparse.ArgumentParser, text: str, *, required: bool = True) -> None:
    """The option ``-i``, with the longer names that 1.x gave it."""
    names = ("-i", "--infra_id", "--infraid")
    made.add_argument(*names, metavar="INFRA_ID", dest="infra_id", required=required, help=text)


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The parser of a command, with the options that all commands have."""
    made = Parser(prog=f"occopus-{name}", description=description, epilog=_EPILOG, formatter_class=Formatter)
    made.add_argument(
        "--cfg", metavar="CFG_PATH", help=f"configuration file (default: occopus_config.yaml in {_SEARCHED})"
    )
    made.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version of Occopus and exit")
    made.add_argument(
        "--print-completion", action=_PrintCompletion, choices=_SHELLS, help="print the completion for a shell and exit"
    )
    return made


def add_auth_data_path(made: argparse.ArgumentParser) -> None:
    """Add the option for the credentials file."""
    made.add_argument(
        "--auth_data_path",
        metavar="AUTH_DATA_PATH",
        help=f"file with the credentials (default: auth_data.yaml in {_SEARCHED})",
    )


def add_verbose(made: argparse.ArgumentParser) -> None:
    """Add the option to print each call of a provider."""
    made.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print a line on standard error for each call of a cloud or a configuration manager",
    )


def add_output(made: argparse.ArgumentParser, *forms: str) -> None:
    """The option for the form of the result; the first form is the default."""
    made.add_argument(
        "-o", "--output", choices=forms, default=forms[0], help=f"form of the result (default: {forms[0]})"
    )


def add_parallelize(made: argparse.ArgumentParser) -> None:
    """Add the option to work in parallel."""
    made.add_argument(
        "--parallelize", action="store_true", help="create independent nodes in parallel (default: one after another)"
    )


def whole_number(text: str) -> int:
    """The integer in the value of an option. Raises `argparse.ArgumentTypeError`."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, got '{text}'") from None


def number(text: str) -> float:
    """The finite number in the value of an option, decimals allowed. Raises `argparse.ArgumentTypeError`."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'")
    return found


SHORTEST_INTERVAL = 1
"""Seconds between two passes: with fewer, a quiet infrastructure would keep a processor and its provider busy."""

LONGEST_INTERVAL = 7 * 24 * 3600
"""Seconds between two passes."""


def interval(text: str) -> float:
    """The seconds between two passes in the value of an option. Raises `argparse.ArgumentTypeError`."""
    return _bounded(text, SHORTEST_INTERVAL, LONGEST_INTERVAL)


def login_seconds(text: str) -> float:
    """The seconds of a command over SSH in the value of an option. Raises `argparse.ArgumentTypeError`."""
    from occopus_core.api.seconds import MOST_LOGIN_SECONDS  # noqa: PLC0415  # help must not wait for all this

    return _bounded(text, 0, MOST_LOGIN_SECONDS)


def _bounded(text: str, least: int, most: int) -> float:
    seconds = number(text)
    if not least <= seconds <= most:
        raise argparse.ArgumentTypeError(f"a number of seconds is between {least} and {most:,}, got '{text}'")
    return seconds
