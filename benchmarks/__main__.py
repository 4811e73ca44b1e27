"""``python -m benchmarks``: see README.md."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console

from benchmarks import (
    azure,
    build,
    checks,
    child,
    ec2,
    passes,
    peers,
    report,
    service,
    shapes,
    ssh,
    startup,
    terraform,
    ticks,
)
from benchmarks.shapes import Shape

SEED = 1
WIDTH = 170
MOST_CALLING = 100
"""The most nodes that can each have a polling process without overloading the machine."""


def main() -> int:
    """Run the requested measurements; return 1 if a build exceeded the bound or a command failed."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # stops clouds and removes folders too
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    ours = options.what != "terraform"
    within = True
    try:
        if options.what not in ("startup", "passes", "ticks", "checks", "ec2", "azure", "service", "ssh", "peers"):
            within = near_the_bound(console, realistic(options.quick), ours=ours)
            grow(console, sizes(options.quick, options.full), ours=ours)
        keep(console, options.what, quick=options.quick, full=options.full)
        if options.what in ("all", "ec2"):
            wanted = [1, 10, 50] if options.quick else [1, 10, 50, 200, 1000]
            console.print(report.ec2(map(ec2.measure, announced(console, "EC2", wanted))))
        if options.what in ("all", "azure"):
            wanted = [1, 10] if options.quick else [1, 10, 50, 200]
            console.print(report.ec2(map(azure.measure, announced(console, "Azure", wanted)), "Azure"))
        if options.what in ("all", "service"):
            within = endure(console, *load(options.quick, options.full)) and within
        if options.what == "ssh":  # needs root, and tools from the package index
            console.print(report.ssh(ssh.measure(10 if options.quick else 100)))
        if options.what == "peers":  # the same
            console.print(report.peers(peers.measure([1, 10] if options.quick else [1, 10, 50], 20)))
        if options.what in ("all", "startup"):
            console.print(report.starts(startup.measure(runs=5 if options.quick else 20)))
    except child.ChildError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return 0 if within else 1


def keep(console: Console, what: str, *, quick: bool, full: bool) -> None:
    """Maintain infrastructures, and check the health of many instances."""
    if what in ("all", "passes"):
        wanted = [100, 1000] if quick else [100, 1000, 10_000]
        console.print(report.passes(map(passes.measure, announced(console, "upkeep", wanted))))
        numbers = [100] if quick else [100, 1000, 10_000] if full else [100, 1000]
        console.print(report.quiet(map(passes.quiet, announced(console, "quiet infrastructures", numbers))))
    if what in ("all", "ticks"):
        numbers = [100] if quick else [100, 1000, 10_000] if full else [100, 1000]
        stores = [(store, number) for store in ("SQLite", "PostgreSQL") for number in numbers]
        console.print(report.ticks(ticks.measure(number, store) for store, number in stores))
    if what in ("all", "checks"):
        console.print(report.checks(checks.measure()))


def arguments() -> argparse.Namespace:
    """The command-line arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure builds, upkeep, start-up times.")
    choices = [
        "all",
        "build",
        "passes",
        "ticks",
        "checks",
        "ec2",
        "azure",
        "service",
        "ssh",
        "peers",
        "startup",
        "terraform",
    ]
    parser.add_argument("what", nargs="?", choices=choices, default="all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small shapes and few runs")
    size.add_argument("--full", action="store_true", help="5,000 nodes as well, ten minutes of service")
    return parser.parse_args()


def announced(console: Console, what: str, sizes: Sequence[int]) -> Iterator[int]:
    """The sizes, each printed before it is measured: a large one takes minutes."""
    for size in sizes:
        console.print(f"{what}: {size:,}", style="dim")
        yield size


def realistic(quick: bool) -> Sequence[Shape]:
    """Shapes whose nodes boot for seconds, as machines do: the distance from the critical path."""
    if quick:
        return [
            shapes.independent(100, 3.0),
            shapes.chain(10, 0.5),
            shapes.uneven(0.25),
            shapes.random_graph(100, 0.5, SEED),
        ]
    return [
        shapes.independent(1000, 10.0),
        shapes.chain(50, 1.0),
        shapes.uneven(1.0),
        shapes.random_graph(1000, 2.0, SEED),
    ]


def sizes(quick: bool, full: bool) -> Sequence[tuple[Shape, bool]]:
    """More and more nodes that boot at once: the cost of each additional node, optionally with Terraform."""
    if quick:
        return [(shapes.independent(100, 0.1), True), (shapes.independent(500, 0.1), True)]
    return [
        (shapes.independent(100, 0.1), True),
        (shapes.independent(1000, 0.1), True),
        (shapes.independent(5000, 0.1), full),
    ]


def load(quick: bool, full: bool) -> tuple[int, float]:
    """The number of infrastructures of a service, and the duration in seconds."""
    return (100, 20.0) if quick else (1000, 600.0 if full else 60.0)


def endure(console: Console, infrastructures: int, seconds: float) -> bool:
    """Run a service under load; return whether every request was answered and applied."""
    endured = service.measure(infrastructures, seconds)
    console.print(report.service(endured))
    console.print(
        f"{len(endured.errors)} errors, {len(endured.missed)} missed.", *endured.errors[:5], *endured.missed[:5]
    )
    return endured.sound


def near_the_bound(console: Console, wanted: Sequence[Shape], *, ours: bool) -> bool:
    """Build every shape, also with Terraform if installed; return whether every build was within the bound."""
    rows = report.Builds("Builds beside the critical path", bound=True)
    measure(console, rows, [(shape, True) for shape in wanted], ours=ours)
    console.print(rows.table)
    if ours:
        outcome = f"broken by {', '.join(rows.broken)}" if rows.broken else "kept by every build"
        console.print(f"Our bound, {report.BOUND}: {outcome}.")
    if not terraform.installed():
        console.print("There is no terraform on the PATH to compare with.")
    return not rows.broken


def grow(console: Console, wanted: Sequence[tuple[Shape, bool]], *, ours: bool) -> None:
    """Build ever larger shapes."""
    rows = report.Builds("Growth: independent nodes of 0.1 s", bound=False)
    measure(console, rows, wanted, ours=ours)
    console.print(rows.table)


def measure(console: Console, rows: report.Builds, wanted: Sequence[tuple[Shape, bool]], *, ours: bool) -> None:
    """Measure one shape after another and fill the rows."""
    for shape, with_terraform in wanted:
        console.print(f"build: {shape.title}, {shape.critical_path:g} s", style="dim")
        if ours:
            rows.ours(shape, build.build(shape))
        if with_terraform and terraform.installed():
            rows.terraform(shape, terraform.build(shape), "sleeping")
        if with_terraform and terraform.can_call() and len(shape.nodes) <= MOST_CALLING:
            rows.terraform(shape, terraform.build_calling(shape), "calling")


if __name__ == "__main__":
    sys.exit(main())
