"""The plain model that the engine is compared with: what one infrastructure should be, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .conftest import infrastructure, node

DESCRIPTIONS = (
    infrastructure("a", node("b", min=2, max=4, port=1), edges=[("b", "a")]),
    infrastructure("a", node("b", min=2, max=4, port=2), "c", edges=[("b", "a"), ("c", "b")]),
    infrastructure(node("a", min=1, max=3), node("d", min=2, max=3)),
    infrastructure("a", node("bad"), edges=[("bad", "a")]),
)
"""By number. The last one cannot be built."""


@dataclass(frozen=True)
class Infra:
    """What is recorded of an infrastructure. `settled` and `candidate` are descriptions by number."""

    settled: int | None
    candidate: int | None
    wanted: bool
    targets: tuple[tuple[str, int], ...]
    pending: tuple[tuple[str, int], ...] = ()
    """The scaling requests that are still to be applied: node and number."""

    def counts(self) -> dict[str, int]:
        """How many instances of each node should run."""
        return dict(self.targets)


State = Infra | None
"""None where there is no such infrastructure."""


def _targets(number: int, present: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (each.name, min(max(present.get(each.name, each.scaling.min), each.scaling.min), each.scaling.max))
        for each in DESCRIPTIONS[number].nodes
    )


def begun(state: State, number: int) -> State:
    """A build of this description is under way."""
    if state is None:
        return Infra(None, number, True, _targets(number, {}))
    return dataclasses.replace(state, candidate=number) if state.wanted else state


def built(state: State, number: int) -> State:
    """It has succeeded."""
    state = begun(state, number)
    if not state.wanted:
        return state
    return dataclasses.replace(state, settled=number, candidate=None, targets=_targets(number, state.counts()))


def undone(state: State) -> Iterator[State]:
    """It has failed: what there may be then."""
    if state is None or not state.wanted:
        yield state
    elif state.settled is not None:
        yield dataclasses.replace(state, candidate=None)
    else:
        yield None
        yield dataclasses.replace(state, wanted=False)  # what it left is not seen to be gone


def applied(state: State) -> State:
    """The scaling requests have been seen to."""
    if state is None or state.settled is None or not state.wanted:
        return state
    limits = {each.name: each.scaling for each in DESCRIPTIONS[state.settled].nodes}
    targets = state.counts()
    for name, count in state.pending:
        if name in targets:
            targets[name] = min(max(count, limits[name].min), limits[name].max)
    return dataclasses.replace(state, targets=tuple(targets.items()), pending=())


def unwanted(state: State) -> State:
    """Its destruction was asked for."""
    return None if state is None else dataclasses.replace(state, wanted=False)


def build_may_end(states: Iterable[State], number: int) -> set[State]:
    """Whatever a build may leave, however it ends."""
    found = set()
    for state in states:
        found |= {state, begun(state, number), built(state, number), *undone(begun(state, number))}
    return found


def maintain_may_end(states: Iterable[State]) -> set[State]:
    """Whatever a pass may leave, however it ends."""
    found = set()
    for state in states:
        found |= {state, applied(state)}
        if state is not None and not state.wanted:
            found.add(None)
        elif state is not None and state.candidate is not None:
            after = built(state, state.candidate)
            found |= {after, applied(after), *undone(state)}
    return found


def destroy_may_end(states: Iterable[State]) -> set[State]:
    """Whatever a destruction may leave, however it ends."""
    return {each for state in states for each in (state, unwanted(state), None)}
