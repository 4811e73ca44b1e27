"""Cleans up after a process that lost its lease: deletes instances that its last calls created.

A process may be suspended between the last check of its lease and the sending of a call. When it resumes, its call
creates an instance; if the process that took over has removed the row, that process knows nothing of the instance.
The process that made the call knows the token: it searches for the token once the provider must show the instance,
and deletes instances without a row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from occopus_core.api.resource import Instance, InstanceState, Owner, ResourceHandler
from occopus_core.engine.instance.id_owners import rows_of
from occopus_core.engine.instance.observe import ask_each, owned
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps, Waiting
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.sweeping import Stray, remove_strays
from occopus_core.store.records import LeaseLostError, Stage, StoreError

P = ParamSpec("P")
T = TypeVar("T")

CALL_SECONDS = 120.0
"""Seconds for which calls under way are waited for."""

LOOKS = 3
"""How often it looks again while the process that took over is still deleting instances."""


def cleaning_up(
    steps: Callable[Concatenate[PassContext, P], Steps[T]],
) -> Callable[Concatenate[PassContext, P], Steps[T]]:
    """Decorate a pass: after a `LeaseLostError` it removes instances created too late, then propagates the error."""

    @functools.wraps(steps)
    def guarded(context: PassContext, /, *arguments: P.args, **options: P.kwargs) -> Steps[T]:
        try:
            return (yield from steps(context, *arguments, **options))
        except LeaseLostError as error:
            try:
                found = yield from clean_up(context)
            except StoreError:
                found = "the store cannot be read"
            hint = "'occopus-maintain --sweep' finds what may be left"
            raise LeaseLostError(f"{error}; {found}; {hint}" if found else str(error)) from None

    return guarded


def clean_up(context: PassContext) -> Steps[str]:
    """Delete instances that calls of this process created for rows that are gone. Returns a message about them.

    Needs no lease: the providers are asked first and the store afterwards, so that an instance without a row will
    never get one. Raises `StoreError`.
    """
    works = context.works_called()
    if not works:
        return ""
    clock = context.resources.loop.clock
    given_up_at = clock.monotonic() + CALL_SECONDS
    context.resources.loop.after(CALL_SECONDS, lambda: None)
    yield Waiting(_nothing, lambda: not any(work.calling for work in works) or clock.monotonic() >= given_up_at)
    left: list[str] = []
    removed: list[Stray] = []
    for _ in range(LOOKS):
        yield from context.resources.loop.pause(max(work.handler.consistency_window for work in works))
        strays, waiting, silent = yield from _look(context, works)
        left = [*silent, *(yield from remove_strays(context.resources, strays))]
        removed += strays
        if not waiting:
            break
    return _summary(works, removed, left)


def _look(context: PassContext, works: Sequence[Work]) -> Steps[tuple[list[Stray], bool, list[str]]]:
    """Instances without a row; whether rows still have to be removed; and the providers that did not answer."""
    by_link: dict[OpenConnection[ResourceHandler], dict[str, Work]] = {}
    for work in works:
        if work.link is not None:
            by_link.setdefault(work.link, {})[work.record.token] = work
    owner = Owner(context.resources.store.installation, context.infra_id)
    answers = yield from ask_each(
        context.resources.loop, _nothing, list(by_link), "list_owned", lambda link: owned(link.plugin, owner)
    )
    known = context.resources.store.instances_by_token()
    strays: list[Stray] = []
    silent: list[str] = []
    for (link, mine), answer in zip(by_link.items(), answers, strict=True):
        label = next(iter(mine.values())).implementation.label
        found, fault = answer.value or ([], answer.error)
        if fault is not None:
            silent.append(f"{label} cannot be searched")
        late = [one for one in found if _is_late(one, mine, known)]
        resources = context.resources
        held = rows_of(resources.store, resources.connections, link, [one.id for one in late])
        strays += [_stray(link, mine, one) for one in late if one.id not in held]
    rows = [known.get(work.record.token) for work in works]
    return strays, any(row is not None and row.stage is Stage.DROPPING for row in rows), silent


def _is_late(instance: Instance, mine: Mapping[str, Work], known: Mapping[str, object]) -> bool:
    return instance.token in mine and instance.token not in known and instance.state is not InstanceState.ABSENT


def _stray(link: OpenConnection[ResourceHandler], mine: Mapping[str, Work], instance: Instance) -> Stray:
    return Stray(mine[instance.token].implementation, link, instance)


def _summary(works: Sequence[Work], removed: Sequence[Stray], left: Sequence[str]) -> str:
    asked = f"this process had asked for {len(works)} instance{'' if len(works) == 1 else 's'}"
    made = dict.fromkeys(str(stray) for stray in removed)
    what = f"instances without a row were deleted ({'; '.join(made)})" if made else "all of them are accounted for"
    return "; ".join([f"{asked}: {what}", *(f"not deleted: {line}" for line in left)])


def _nothing() -> None:
    return
