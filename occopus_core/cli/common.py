"""What the commands share: options, messages, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import enum
import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

if TYPE_CHECKING:
    from occopus_core.credentials import Credentials
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


class ExitCode(enum.IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """It could not be done, and what was begun has been undone; or maintenance left something for its next pass."""
    BAD_INPUT = 2
    """The command line or a file is wrong; nothing was done."""
    NOT_FOUND = 3
    """There is no such infrastructure, or no such node or instance in it."""
    UNAVAILABLE = 4
    """The store or the output cannot be used, or another process is working on the infrastructure."""
    UNCONFIRMED = 5
    """Done, but a provider has not confirmed every deletion, or could not be asked how instances are."""
    INTERRUPTED = 130
    """Ended by SIGINT, after undoing what was begun."""
    TERMINATED = 143
    """The same by SIGTERM."""


_EPILOG = """exit codes: 0 done; 1 failed and undone; 2 wrong input, nothing was done; 3 no such infrastructure, node or
instance; 4 the store or the output is away, or the infrastructure is busy; 5 done, but deletions are unconfirmed or a
provider could not be asked; 130 and 143 interrupted and undone"""
_SHELLS = ("bash", "zsh", "tcsh")
_FILES = ("cfg", "auth_data_path", "infra_def", "datafile")


class _PrintCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, _namespace: object, shell: Any, *_: object) -> None:
        import shtab  # noqa: PLC0415  # only for this

        for action in parser._actions:  # noqa: SLF001  # argparse has no other way to list them
            if action.dest in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell))
        parser.exit()


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The parser of a command with the options all commands have."""
    made = argparse.ArgumentParser(prog=f"occopus-{name}", description=description, epilog=_EPILOG)
    made.add_argument("--cfg", metavar="CFG_PATH", help="configuration file (default: ~/.occopus/occopus_config.yaml)")
    made.add_argument(
        "--print-completion", action=_PrintCompletion, choices=_SHELLS, help="print the completion for a shell and exit"
    )
    return made


def add_auth_data_path(made: argparse.ArgumentParser) -> None:
    """The option for the credentials file."""
    made.add_argument(
        "--auth_data_path",
        metavar="AUTH_DATA_PATH",
        help="file with the credentials (default: ~/.occopus/auth_data.yaml)",
    )


def add_parallelize(made: argparse.ArgumentParser) -> None:
    """The option to work side by side."""
    made.add_argument(
        "--parallelize", action="store_true", help="make independent nodes side by side (default: one after another)"
    )


def whole_number(text: str) -> int:
    """The number that an option was given. Raises `argparse.ArgumentTypeError`."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a whole number is wanted, not '{text}'") from None


def number(text: str) -> float:
    """The same, with decimals if need be."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number is wanted, not '{text}'") from None


class OutputError(Exception):
    """A result cannot be written where it should go."""


_redactors: list[Callable[[str], str]] = []


def redacted(text: str) -> str:
    """The text without the secrets of the credentials that were loaded."""
    for redactor in _redactors:
        text = redactor(text)
    return text


def say(text: str) -> None:
    """A line for people, on stderr: stdout belongs to results. A vanished terminal is no reason to fail."""
    try:
        print(redacted(text), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def result(text: str) -> None:
    """A result, on stdout. Nobody may be listening any more. Raises `OutputError`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError as error:
        discard(sys.stdout)
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def discard(stream: TextIO) -> None:
    """Let go of a stream that takes nothing more: the interpreter would complain once more when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def load_settings(path: str | None) -> Settings:
    """The configuration, with its warnings said and its logging set up. Raises `DescriptionError`."""
    from occopus_core.settings import Settings  # noqa: PLC0415  # after the options are known to be right

    settings = Settings.load(path)
    for warning in settings.warnings:
        say(f"warning: {warning}")
    settings.apply_logging()
    return settings


def load_credentials(path: str | None) -> Credentials:
    """The credentials, with their warnings said; what is said from now on holds none. Raises `DescriptionError`."""
    from occopus_core.credentials import Credentials, Redactor  # noqa: PLC0415

    credentials = Credentials.load(path)
    _redactors.append(Redactor(credentials.secrets()))
    for warning in credentials.warnings:
        say(f"warning: {warning}")
    return credentials


def guarded(run: Callable[[], int]) -> int:
    """Run a command; an error that users can meet becomes its message and its exit code."""
    try:
        return run()
    except Exception as error:
        from occopus_core.cli.failures import exit_code, lines  # noqa: PLC0415  # only when something went wrong

        code = exit_code(error)
        if code is None:
            raise
        for line in lines(error):
            say(line)
        return code


@contextlib.contextmanager
def watched(
    settings: Settings,
    credentials: Credentials,
    *,
    parallel: bool,
    told: Callable[[str, str], None] | None = None,
    lasting: bool = False,
) -> Iterator[InfrastructureManager]:
    """A manager whose progress is shown (see `progress.shown`), or logged where the configuration says how."""
    from occopus_core.cli.progress import logged, shown  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with shown(lasting=lasting) if settings.logging is None else logged(credentials.secrets()) as observer:
        strategy: Literal["parallel", "sequential"] = "parallel" if parallel else "sequential"
        with InfrastructureManager(
            settings,
            credentials,
            process_strategy=strategy,
            observer=observer,
            told=told or _quiet,
            warn=lambda text: say(f"warning: {text}"),
        ) as manager:
            gc.freeze()  # what was imported is never garbage
            gc.enable()
            yield manager


def _quiet(_infra_id: str, _text: str) -> None:
    return


def leave(code: int) -> NoReturn:
    """End now, whatever calls are still under way."""
    sys.stdout.flush()
    os._exit(code)
