"""Tables of the measurements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from benchmarks.build import Built
from benchmarks.checks import Checked
from benchmarks.ec2 import Served
from benchmarks.passes import QUIET_INSTANCES, Passed
from benchmarks.peers import Lived
from benchmarks.service import Endured
from benchmarks.shapes import Shape
from benchmarks.ssh import Taken
from benchmarks.startup import Started
from benchmarks.terraform import Built as BuiltByTerraform
from benchmarks.ticks import Ticked

FACTOR, CONSTANT = 1.10, 1.0
BOUND = f"{FACTOR:.2f} times the critical path + {CONSTANT:g} s"


def holds(shape: Shape, wall: float) -> bool:
    """Whether a build was within the bound."""
    return wall <= FACTOR * shape.critical_path + CONSTANT


class Builds:
    """The table of builds; `broken` names the shapes for which Occopus exceeded the bound."""

    def __init__(self, title: str, *, bound: bool) -> None:
        self.broken: list[str] = []
        self._bound = bound
        beside = ("/ critical", "within bound") if bound else ("ms / node",)
        self.table = _table(
            title, "shape", "by", "critical s", "wall s", *beside, "cpu s", "MiB", "calls", "ticks", "no-op plan s",
            "destroy s",
        )  # fmt: skip

    def ours(self, shape: Shape, built: Built) -> None:
        """Add a build of Occopus, the first row of a shape."""
        self.table.add_section()
        if not holds(shape, built.build.wall):
            self.broken.append(shape.title)
        used = built.build
        self._row(
            shape, "occopus", used.wall, used.cpu, used.memory, built.calls, built.ticks, built.plan.wall,
            built.destroy.wall,
        )  # fmt: skip

    def terraform(self, shape: Shape, built: BuiltByTerraform, how: str) -> None:
        """Add a build by Terraform."""
        used = built.apply
        self._row(shape, f"terraform, {how}", used.wall, used.cpu, used.memory, None, None, built.plan.wall, None)

    def _row(self, shape: Shape, by: str, wall: float, *more: float | None) -> None:
        if self._bound:
            beside = [f"{wall / shape.critical_path:.2f}", "yes" if holds(shape, wall) else "[red]no"]
        else:
            beside = [f"{wall / len(shape.nodes) * 1000:.2f}"]
        cells = [_number(shape.critical_path), _number(wall), *beside, *map(_number, more)]
        self.table.add_row(
            shape.title,
            by,
            *cells,
        )


def passes(measured: Iterable[Passed]) -> Table:
    """The table of maintenance passes."""
    table = _table("Upkeep: one pass over 100 infrastructures", "instances", "cpu s", "ms / instance", "MiB", "calls")
    for each in measured:
        per_instance = f"{each.cpu / each.instances * 1000:.3f}"
        table.add_row(f"{each.instances:,}", _number(each.cpu), per_instance, _number(each.memory), f"{each.calls:g}")
    return table


def quiet(measured: Iterable[Passed]) -> Table:
    """The table of infrastructures without work to do."""
    table = _table(
        "Quiet infrastructures of 3 instances: one pass over all", "number", "cpu s", "ms / each", "MiB", "calls"
    )
    for each in measured:
        number = each.instances // QUIET_INSTANCES
        per_each = f"{each.cpu / number * 1000:.3f}"
        table.add_row(f"{number:,}", _number(each.cpu), per_each, _number(each.memory), f"{each.calls:g}")
    return table


def ticks(measured: Iterable[Ticked]) -> Table:
    """The table of infrastructures that are maintained while nothing happens."""
    table = _table(
        "Quiet infrastructures of 3 instances: continuous maintenance", "number", "store", "cpu ms / tick", "cores",
        "MiB", "calls / interval",
    )  # fmt: skip
    for each in measured:
        table.add_row(
            f"{each.infrastructures:,}", each.store, f"{each.milliseconds:.3f}", f"{each.cpu / each.wall:.3f}",
            _number(each.memory), f"{each.calls:.1f}",
        )  # fmt: skip
    return table


def checks(measured: Sequence[Checked]) -> Table:
    """The table of health checks over the network; each row of Occopus follows the one it is compared with."""
    table = _table("Health checks over the network", "check", "instances", "cpu ms / each", "/ asyncio")
    for bare, ours in zip(measured[::2], measured[1::2], strict=True):
        for each in (bare, ours):
            milliseconds = f"{each.cpu / each.instances * 1000:.2f}"
            table.add_row(each.what, f"{each.instances:,}", milliseconds, f"{each.cpu / bare.cpu:.1f}")
    return table


def ec2(measured: Iterable[Served], cloud: str = "EC2") -> Table:
    """The table of infrastructures on EC2, or on another cloud that counts its calls."""
    table = _table(
        f"{cloud}: one node of so many instances", "instances", "build s", "calls", "creations", "pass s", "calls",
        "destroy s", "calls",
    )  # fmt: skip
    for each in measured:
        build, upkeep, destroy = each.build, each.upkeep, each.destroy
        table.add_row(
            f"{each.instances:,}", _number(build.used.wall), f"{build.calls:,}", f"{build.creations:,}",
            _number(upkeep.used.wall), f"{upkeep.calls:,}", _number(destroy.used.wall), f"{destroy.calls:,}",
        )  # fmt: skip
    return table


def peers(lived: Sequence[Lived]) -> Table:
    """The table of building and destroying; each row of Occopus precedes that of the other tool."""
    table = _table(
        "Building and destroying at once, beside peers", "where", "tool", "instances", "build s", "destroy s",
        "cpu s", "build / peer", "destroy / peer",
    )  # fmt: skip
    for ours, peer in zip(lived[::2], lived[1::2], strict=True):
        for each in (ours, peer):
            table.add_row(
                each.where, each.tool, f"{each.instances:,}", _number(each.build.wall), _number(each.destroy.wall),
                _number(each.build.cpu + each.destroy.cpu), _number(each.build.wall / peer.build.wall),
                _number(each.destroy.wall / peer.destroy.wall),
            )  # fmt: skip
    return table


def service(endured: Endured) -> Table:
    """The table of a service under load, one row for each period."""
    table = _table(
        f"Service: {endured.infrastructures:,} infrastructures, {endured.seconds:g} s", "part", "reports", "median ms",
        "p99 ms", "scalings", "p99 ms", "MiB", "cores",
    )  # fmt: skip
    for number, part in enumerate(endured.parts, 1):
        table.add_row(
            str(number), f"{part.looks:,}", _number(part.median * 1000), _number(part.p99 * 1000),
            f"{part.scalings:,}", _number(part.scaling_p99 * 1000), _number(part.memory), _number(part.cpu),
        )  # fmt: skip
    return table


def starts(measured: Iterable[Started]) -> Table:
    """The table of start-up times."""
    table = _table("Start", "command", "median ms", "/ python -c pass")
    for each in measured:
        table.add_row(each.command, f"{each.seconds * 1000:.0f}", f"{each.ratio:.1f}")
    return table


def ssh(taken: Sequence[Taken]) -> Table:
    """The table of configuring hosts over SSH."""
    table = _table("SSH", "tool", "hosts", "wall s", "CPU s", "wall / occopus", "CPU / occopus")
    for each in taken:
        wall, cpu = each.wall / taken[0].wall, each.cpu / taken[0].cpu
        table.add_row(each.tool, str(each.hosts), f"{each.wall:.1f}", f"{each.cpu:.1f}", f"{wall:.1f}", f"{cpu:.1f}")
    return table


def _table(title: str, label: str, *headings: str) -> Table:
    table = Table(title=title)
    table.add_column(label)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "by" else "right")
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
