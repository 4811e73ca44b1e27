"""``python -m benchmarks``: see README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from benchmarks import build, child, report, shapes, startup, terraform
from benchmarks.shapes import Shape

SEED = 1
WIDTH = 150


def main() -> int:
    """Measure what was asked for; 1 where a build broke the bound or a command failed."""
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    within = True
    try:
        if options.what != "startup":
            within = builds(console, chosen(options.quick, options.full), ours=options.what != "terraform")
        if options.what in ("all", "startup"):
            console.print(report.starts(startup.measure(runs=5 if options.quick else 20)))
    except child.ChildError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return 0 if within else 1


def arguments() -> argparse.Namespace:
    """What the user wants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure builds and start-up times.")
    parser.add_argument("what", nargs="?", choices=["all", "build", "startup", "terraform"], default="all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small shapes and few runs")
    size.add_argument("--full", action="store_true", help="5,000 nodes as well: Terraform needs minutes for them")
    return parser.parse_args()


def chosen(quick: bool, full: bool) -> Sequence[Shape]:
    """The shapes to build."""
    if quick:
        return [shapes.independent(100, 0.1), shapes.uneven(0.1), shapes.random_graph(50, 0.2, SEED)]
    return [
        shapes.independent(100, 0.1),
        shapes.independent(1000, 0.1),
        *([shapes.independent(5000, 0.1)] if full else []),
        shapes.chain(20, 0.2),
        shapes.uneven(0.25),
        shapes.random_graph(200, 0.3, SEED),
    ]


def builds(console: Console, wanted: Sequence[Shape], *, ours: bool) -> bool:
    """Build every shape, with Terraform too where there is one; whether every build of ours kept the bound."""
    rows = report.Builds()
    for shape in wanted:
        if ours:
            rows.ours(shape, build.build(shape))
        if terraform.installed():
            rows.terraform(shape, terraform.build(shape))
    console.print(rows.table)
    if ours:
        outcome = f"broken by {', '.join(rows.broken)}" if rows.broken else "kept by every build"
        console.print(f"Our bound, {report.BOUND}: {outcome}.")
    if not terraform.installed():
        console.print("There is no terraform on the PATH to compare with.")
    return not rows.broken


if __name__ == "__main__":
    sys.exit(main())
