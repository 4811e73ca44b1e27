"""What a requested replacement makes for nodes that depend on the replaced ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.differences.reconfiguring import Amended
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.planning.decision import Situation
from occopus_core.engine.planning.replacing import Replacing


def amend_with_needs(
    graph: Graph,
    works: Sequence[Work],
    situation: Situation,
    replacing: Replacing,
    amend: Callable[[Situation], Steps[Amended]],
    *,
    settled: bool,
) -> Steps[Amended]:
    """The situation of a build that `amend` has amended, with what is left to maintenance, see `Replacing.left`.

    Of a node that depends on those that are replaced, instances may have to be replaced, too, or their configuration
    cannot be rendered: the build makes what that node needs.
    """
    needing: set[str] = set()
    while True:
        left = replacing.left(situation, graph, needing, settled=settled)
        amended = yield from amend(dataclasses.replace(situation, left=left))
        concerned = {*amended.situation.unfit, *amended.problems}
        found = {work.node_name for work in works if work.node_id in concerned} & left.followers
        if found <= needing:
            return amended
        needing |= found


def unconfigured(works: Sequence[Work], amended: Amended) -> Iterator[str]:
    """A message for each node whose instances would keep the addresses of those that are replaced."""
    for work in works:
        if work.node_name in amended.situation.left.followers and work.node_id in amended.problems:
            yield f"node '{work.node_name}': its configuration cannot be rendered: {amended.problems[work.node_id]}"
