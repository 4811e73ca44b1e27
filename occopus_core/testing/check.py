"""Runs the conformance suite of an installed plugin with the harness that its distribution ships, as a report.

A distribution names the harness of each of its plugins by an entry point of the group ``occopus.harness``, whose name
is ``KIND.TYPE``: an object that makes a new harness when it is called without arguments. ``occopus-plugins check``
starts this module as a program.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "occopus.harness"
OK, FAILED, NOT_FOUND, UNAVAILABLE = 0, 1, 3, 4
"""Exit codes, as those of the commands."""
_SUITES = {
    "resource": "occopus_core.testing.conformance:ResourceHandlerConformance",
    "config": "occopus_core.testing.config:ConfigManagerConformance",
    "health": "occopus_core.testing.health:HealthCheckerConformance",
    "context": "occopus_core.testing.context:ContextualiserConformance",
    "notify": "occopus_core.testing.notify:NotifierConformance",
}


def main(argv: Sequence[str]) -> int:
    """Check one plugin; the exit code."""
    made = argparse.ArgumentParser(prog="occopus-plugins check", description="Run the conformance suite of a plugin.")
    made.add_argument("kind", choices=_SUITES)
    made.add_argument("type")
    options = made.parse_args(argv)
    points = tuple(entry_points(group=GROUP, name=f"{options.kind}.{options.type}"))
    if len(points) != 1:
        count = f"{len(points)} harnesses" if points else "no harness"
        wanted = f"its distribution names one by the entry point {options.kind}.{options.type} of the group {GROUP}"
        return _refused(NOT_FOUND, f"there is {count} for {options.kind}/{options.type}: {wanted}")
    try:
        return report(f"{options.kind}/{options.type}", _suite(options.kind), _harness(points[0]))
    except ModuleNotFoundError as error:
        wanted = "a harness needs the extra [testing] of occopus-core, and that of its own distribution, if it has one"
        return _refused(UNAVAILABLE, f"{error.name} is not installed: {wanted}")


def report(title: str, asked: Any, harness: Callable[[], Any]) -> int:
    """Run every clause of a suite on a harness of its own, with a line for each; the exit code."""
    from occopus_core.testing.suite import clauses, failures  # noqa: PLC0415  # pytest may be missing

    started, counts = time.monotonic(), dict.fromkeys(("passed", "failed", "declined"), 0)
    for clause in clauses(asked):
        said: dict[str, str] = {}

        def noted(said: dict[str, str] = said) -> Any:
            stage = harness()
            said.update(asked.left_out(stage))
            return stage

        try:
            failed = failures(asked, noted, [clause]).get(clause)
        except Exception as error:  # noqa: BLE001 - the harness cannot be made, or not be closed
            failed = error
        outcome = "failed" if failed is not None else "declined" if clause in said else "passed"
        text = _told(failed) if failed is not None else said.get(clause, "")
        counts[outcome] += 1
        _say(f"{outcome:8}  {clause}{f': {text}' if text else ''}")
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    _say(f"{title}: {told} in {time.monotonic() - started:.1f} s")
    return FAILED if counts["failed"] else OK


def _suite(kind: str) -> Any:
    module, _, name = _SUITES[kind].partition(":")
    return getattr(import_module(module), name)


def _harness(point: EntryPoint) -> Callable[[], Any]:
    made: Callable[[], Any] = point.load()
    return made


def _told(error: Exception) -> str:
    said = str(error).strip().partition("\n")[0]
    return said if said and isinstance(error, AssertionError) else f"{type(error).__name__}: {said}".rstrip(": ")


def _refused(code: int, message: str) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for people
    return code


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for people


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
