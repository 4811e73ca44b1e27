"""Output of the commands: results on stdout, messages on stderr; secrets in messages are redacted."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn, TextIO


class OutputError(Exception):
    """A result cannot be written."""


class _Printed(io.TextIOBase):
    """Standard output while a command runs: output of plugins and libraries goes to stderr, redacted."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stderr.encoding

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(redacted(text))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


_results: list[TextIO] = []
"""The standard output of this command while `only_results` holds."""


@contextlib.contextmanager
def only_results() -> Iterator[None]:
    """While the block runs, only `result` writes on stdout, which scripts read; other prints go to stderr, redacted."""
    _results.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(_Printed()):
            yield
    finally:
        _results.pop()


def _stdout() -> TextIO:
    """The standard output of this process, also within `only_results`."""
    return _results[-1] if _results else sys.stdout


_HINT = re.compile(r"\boccopus-(?:build|destroy|logs|maintain|scale)(?= (?:-i|--sweep|--forget))")
_repeated: dict[str, str] = {}
"""Options of this command to repeat in suggested commands, by name."""


def with_options(text: str) -> str:
    """The text, with the options and the store of this command added to each suggested command."""
    if not _repeated:
        return text
    store, options = _repeated.get("store", ""), " ".join(value for key, value in _repeated.items() if key != "store")
    return _HINT.sub(lambda match: " ".join(filter(None, (store, match[0], options))), text)


def repeat_option(name: str, value: str | None) -> None:
    """Add this option to suggested commands."""
    if value is not None:
        _repeated[name] = f"--{name} {shlex.quote(value)}"


def repeat_store(url: str) -> None:
    """Add the store that a variable names to suggested commands, unless its URL may hold a password."""
    if url.startswith("sqlite:"):
        _repeated["store"] = f"OCCOPUS_STORE={shlex.quote(url)}"


_redactors: list[Callable[[str], str]] = []


def redact_with(redactor: Callable[[str], str]) -> None:
    """Pass every later message through `redactor`, too."""
    _redactors.append(redactor)


def redacted(text: str) -> str:
    """The text without the secrets of the loaded credentials."""
    for redactor in _redactors:
        text = redactor(text)
    return text


def say(text: str) -> None:
    """Print a message on stderr; stdout is for results. Does not fail if the terminal is gone."""
    try:
        print(redacted(with_options(text)), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def result(text: str) -> None:
    """Print a result on stdout; the reader may have closed it. Raises `OutputError`."""
    try:
        print(text, file=_stdout(), flush=True)
    except BrokenPipeError:
        discard(_stdout())
    except OSError as error:
        discard(_stdout())
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def on_terminal() -> bool:
    """True if results are shown on a terminal, to a person."""
    try:
        return _stdout().isatty()
    except ValueError:  # it is closed
        return False


def discard(stream: TextIO) -> None:
    """Drop a stream that cannot be written: the interpreter would print another error when it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def leave(code: int) -> NoReturn:
    """End the process now, with all calls in progress."""
    _stdout().flush()
    os._exit(code)
