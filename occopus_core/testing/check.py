"""Runs the conformance suite of an installed plugin with the harness in its distribution, and prints a report.

A distribution names the harness of each of its plugins by an entry point of the group ``occopus.harness``, whose name
is ``KIND.TYPE``: an object that makes a new harness when it is called without arguments. ``occopus-plugins check``
starts this module as a program.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import reprlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from occopus_core.error_place import TO_ITS_AUTHOR, import_failure, place, place_of
from occopus_core.sound_errors import sound_text
from occopus_core.testing.standing import Unavailable, end_all

GROUP = "occopus.harness"
OK, FAILED, BAD_INPUT, NOT_FOUND, UNAVAILABLE = 0, 1, 2, 3, 4
"""Exit codes, the same as those of the commands."""
_SUITES = {
    "resource": ("occopus_core.testing.conformance", "ResourceHandlerConformance", "ResourceHarness"),
    "config": ("occopus_core.testing.config", "ConfigManagerConformance", "ConfigHarness"),
    "health": ("occopus_core.testing.health", "HealthCheckerConformance", "HealthHarness"),
    "context": ("occopus_core.testing.context", "ContextualiserConformance", "ContextHarness"),
    "notify": ("occopus_core.testing.notify", "NotifierConformance", "NotifyHarness"),
}
"""The module of each kind of plugin, its suite, and the class of its harnesses."""
Begun = Callable[[str], object]
"""Called with what is done next, such as ``in the clause schema_is_valid``."""


def main(argv: Sequence[str]) -> int:
    """Check one plugin; return the exit code."""
    made = argparse.ArgumentParser(prog="occopus-plugins check", description="Run the conformance suite of a plugin.")
    made.add_argument("kind", choices=_SUITES)
    made.add_argument("type")
    made.add_argument("--clause", action="append", metavar="NAME", help="run this clause alone; may be repeated")
    made.add_argument("--steps", type=int, metavar="FD", help="write there what is done next, in a line for each step")
    options = made.parse_args(argv)
    begun = _steps(options.steps)
    code = _checked(options, begun)
    begun("")
    return code


def _steps(descriptor: int | None) -> Begun:
    """Writes steps to a file descriptor, which no program started here gets."""
    if descriptor is None:
        return lambda _step: None
    os.set_inheritable(descriptor, False)

    def write(step: str) -> None:
        with contextlib.suppress(OSError):  # code of the plugin may close it
            os.write(descriptor, f"{step}\n".encode())

    return write


def _checked(options: argparse.Namespace, begun: Begun) -> int:
    points = tuple(entry_points(group=GROUP, name=f"{options.kind}.{options.type}"))
    if len(points) != 1:
        count = f"{len(points)} harnesses" if points else "no harness"
        wanted = f"its distribution names one by the entry point {options.kind}.{options.type} of the group {GROUP}"
        return _refused(NOT_FOUND, f"there is {count} for {options.kind}/{options.type}: {wanted}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # stops the harness's servers
    title = f"{options.kind}/{options.type}"
    try:
        asked, kind_of_harness = _suite(options.kind)
        unknown = sorted(set(options.clause or ()) - set(_clauses(asked)))
        if unknown:
            return _refused(BAD_INPUT, f"no clause {', '.join(unknown)}; there are: {', '.join(_clauses(asked))}")
        begun("while loading its harness")
        harness, fault = _tried(points[0], asked, kind_of_harness)
        if fault:
            fault = f"its harness {points[0].value} {fault}; {TO_ITS_AUTHOR}"
            return _refused(FAILED, f"{title} cannot be checked: {fault}")
        return report(title, asked, harness, options.clause or _clauses(asked), begun)
    except ModuleNotFoundError as error:
        extra = f"the extra [testing] of {points[0].dist.name if points[0].dist else 'its distribution'}"
        return _refused(UNAVAILABLE, f"{title} cannot be checked: {error.name} is not installed: it comes with {extra}")
    except Unavailable as lacking:
        return _refused(UNAVAILABLE, f"{title} cannot be checked on this machine: {lacking}")
    finally:
        end_all()


def report(
    title: str, asked: Any, harness: Callable[[], Any], clauses: Sequence[str], begun: Begun = lambda _step: None
) -> int:
    """Run clauses of a suite, each with a new harness, and print a line for each; return the exit code.

    Raises `Unavailable`, and `ModuleNotFoundError` for a missing package, before the first line.
    """
    from occopus_core.testing.suite import failures  # noqa: PLC0415  # pytest may be missing

    started, counts = time.monotonic(), dict.fromkeys(("passed", "failed", "declined"), 0)
    for clause in clauses:
        begun(f"in the clause {clause}")
        declined: dict[str, str] = {}

        def noted(declined: dict[str, str] = declined) -> Any:
            stage = harness()
            declined.update(asked.left_out(stage))
            return stage

        try:
            failed = failures(asked, noted, [clause]).get(clause)
        except (Unavailable, ModuleNotFoundError):
            raise
        except Exception as error:  # noqa: BLE001 - the harness cannot be made, or not be closed
            failed = error
        outcome = "failed" if failed is not None else "declined" if clause in declined else "passed"
        text = _reason(failed) if failed is not None else declined.get(clause, "")
        counts[outcome] += 1
        _say(f"{outcome:8}  {clause}{f': {text}' if text else ''}")
    totals = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    _say(f"{title}: {totals} in {time.monotonic() - started:.1f} s")
    return FAILED if counts["failed"] else OK


def _clauses(asked: Any) -> Sequence[str]:
    from occopus_core.testing.suite import clauses  # noqa: PLC0415  # pytest may be missing

    return clauses(asked)


def _suite(kind: str) -> tuple[Any, type[Any]]:
    module, *names = _SUITES[kind]
    suite, harness = (getattr(import_module(module), name) for name in names)
    return suite, harness


def _tried(point: EntryPoint, asked: Any, expected: type[Any]) -> tuple[Callable[[], Any], str]:
    """What makes harnesses, and what is wrong with it: one is made, and closed again.

    Raises `Unavailable`, and `ModuleNotFoundError` for a package that is missing.
    """
    package = point.value.partition(":")[0].partition(".")[0]
    make: Any = None
    doing = "cannot be loaded"
    try:
        make = point.load()
        if not callable(make):
            return make, f"is {reprlib.repr(make)}, expected a {expected.__name__}, or a function that makes one"
        if lacking := _lacking(make):
            return make, f"has no {lacking}{place_of(make)}"
        doing = "makes no harness"
        made = make()
        if not isinstance(made, expected):
            return make, f"makes {type(made).__name__}, expected {expected.__name__}{place_of(make)}"
        doing = "cannot be used"
        with contextlib.closing(made):
            asked.left_out(made)
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != package:
            raise
        in_words = import_failure(error, package) if isinstance(error, SyntaxError) else _reason(error)
        at = "" if isinstance(error, SyntaxError) else place(error, package) or (make and place_of(make)) or ""
        return make, f"{doing}: {in_words}{at}"
    return make, ""


def _lacking(harness: Callable[[], Any]) -> str:
    """The required methods that the class of a harness lacks, as a list in a text."""
    return ", ".join(sorted(getattr(harness, "__abstractmethods__", ())))


def _reason(error: BaseException) -> str:
    text = sound_text(str(error).strip().partition("\n")[0])
    return text if text and isinstance(error, AssertionError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _refused(code: int, message: str) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for people
    return code


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for people


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
