"""Output of the commands: results on stdout, messages for people on stderr, secrets replaced in messages."""

from __future__ import annotations

import os
import re
import shlex
import sys

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TextIO


class OutputError(Exception):
    """A result cannot be written where it should go."""


_HINT = re.compile(r"\boccopus-(?:build|destroy|maintain|scale)(?= (?:-i|--sweep))")
_repeated: dict[str, str] = {}
"""The options of this command that another one needs as well, by name."""


def with_options(text: str) -> str:
    """The text, in which each command that can be run has the options and the store that this one was given."""
    if not _repeated:
        return text
    store, options = _repeated.get("store", ""), " ".join(value for key, value in _repeated.items() if key != "store")
    return _HINT.sub(lambda match: " ".join(filter(None, (store, match[0], options))), text)


def repeat_option(name: str, value: str | None) -> None:
    """Have messages that name a command name this option, too."""
    if value is not None:
        _repeated[name] = f"--{name} {shlex.quote(value)}"


def repeat_store(url: str) -> None:
    """The same for the store that a variable names, unless its URL may hold a password."""
    if url.startswith("sqlite:"):
        _repeated["store"] = f"OCCOPUS_STORE={shlex.quote(url)}"


_redactors: list[Callable[[str], str]] = []


def redact_with(redactor: Callable[[str], str]) -> None:
    """Pass every message from now on through `redactor`, too."""
    _redactors.append(redactor)


def redacted(text: str) -> str:
    """The text without the secrets of the credentials that were loaded."""
    for redactor in _redactors:
        text = redactor(text)
    return text


def say(text: str) -> None:
    """A line for people, on stderr: stdout belongs to results. A vanished terminal is no reason to fail."""
    try:
        print(redacted(with_options(text)), file=sys.stderr, flush=True)
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


def leave(code: int) -> NoReturn:
    """End now, whatever calls are still under way."""
    sys.stdout.flush()
    os._exit(code)
