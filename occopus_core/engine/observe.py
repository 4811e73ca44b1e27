"""What the providers say of instances: one call for each connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from occopus_core.api.errors import PermanentError, TransientError
from occopus_core.api.resource import Instance, InstanceId, InstanceState, ResourceHandler
from occopus_core.engine.connections import Link
from occopus_core.engine.loop import Loop, Outcome
from occopus_core.engine.pacing import FIRST_DELAY
from occopus_core.engine.work import Work

T = TypeVar("T")

TRIES = 5
"""How often a provider is asked before it counts as away."""


def ask_each(
    loop: Loop,
    settle: Callable[[], None],
    links: Sequence[Link[ResourceHandler]],
    question: Callable[[Link[ResourceHandler]], T],
) -> list[Outcome[T]]:
    """Ask every connection the same, side by side; what is only away for a moment is asked again."""
    answers: dict[int, Outcome[T]] = {}

    def ask(index: int, tries: int) -> None:
        links[index].gate.submit(lambda: question(links[index]), lambda outcome: answered(index, tries, outcome))

    def answered(index: int, tries: int, outcome: Outcome[Any]) -> None:
        if isinstance(outcome.error, TransientError) and tries < TRIES:
            loop.after(FIRST_DELAY * 2**tries, lambda: ask(index, tries + 1))
        else:
            answers[index] = outcome

    for index in range(len(links)):
        ask(index, 1)
    loop.run(settle, lambda: len(answers) == len(links))
    return [answers[index] for index in range(len(links))]


def describe(handler: ResourceHandler, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
    """What the provider says of these instances. Raises `ProviderError`."""
    found = handler.describe(ids)
    missing = [id for id in ids if id not in found]
    if missing:
        raise PermanentError(f"the plugin's describe left out '{missing[0]}', which its contract does not allow")
    return found


def observe(loop: Loop, settle: Callable[[], None], works: Sequence[Work]) -> Mapping[str, Instance]:
    """The instances as they are, by node id; those without an id, and those too young to be seen, are left out.

    Raises `ProviderError` where a provider cannot be asked.
    """
    by_link: dict[Link[ResourceHandler], list[Work]] = {}
    for work in works:
        if work.link is not None and work.record.instance_id is not None:
            by_link.setdefault(work.link, []).append(work)
    links = list(by_link)
    answers = ask_each(
        loop,
        settle,
        links,
        lambda link: describe(link.plugin, [w.record.instance_id for w in by_link[link] if w.record.instance_id]),
    )
    now = loop.clock.now()
    seen: dict[str, Instance] = {}
    for link, answer in zip(links, answers, strict=True):
        for work in by_link[link]:
            assert work.record.instance_id is not None, "only instances with an id were asked for"
            instance = answer.get()[work.record.instance_id]
            young = now - work.record.created_at <= link.plugin.consistency_window
            if not (instance.state is InstanceState.ABSENT and young):
                seen[work.node_id] = instance
    return seen
