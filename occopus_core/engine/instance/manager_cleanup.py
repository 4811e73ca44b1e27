"""Has configuration managers delete the data of instances and infrastructures that are gone.

Unconfirmed requests stay recorded and are repeated later; they are reported under the manager's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from occopus_core.api.config import ConfigNode
from occopus_core.api.errors import TransientError
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import FIRST_DELAY
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting
from occopus_core.store.configurations import ConfigurationRecord, ManagerRecord

R = TypeVar("R")
Answered = Callable[[Outcome[None]], None]
Ask = Callable[[ManagerConnection, Answered], None]

PATIENCE = 20.0
"""Seconds for which a manager may fail or hang before it is skipped for the rest of the pass."""


@dataclass(slots=True)
class ManagerCleanup:
    """The managers called in one pass, and those that do not answer. `before` raises if the lease was lost."""

    loop: Loop
    connections: Connections
    installation: str
    before: Callable[[], None] = lambda: None
    away: dict[str, str] = field(default_factory=dict)
    """By label of a manager: why it has not deleted its data."""

    def node(self, record: ConfigurationRecord, done: Callable[[bool], None]) -> None:
        """Have the data of an instance deleted; `done` gets the result, after at most `PATIENCE` seconds."""
        node = registered_node(record, self.installation)

        def ask(link: ManagerConnection, answered: Answered) -> None:
            link.ask("forget", lambda manager, nodes: manager.forget(*nodes), answered, self.before, nodes=[node])

        self._ask(record, ask, done)

    def infrastructure(self, record: ManagerRecord, done: Callable[[bool], None]) -> None:
        """The same for an infrastructure."""

        def ask(link: ManagerConnection, answered: Answered) -> None:
            call = lambda manager, _: manager.forget_infrastructure(record.infra_id)  # noqa: E731
            link.ask("forget_infrastructure", call, answered, self.before)

        self._ask(record, ask, done)

    def all(
        self,
        records: Sequence[ConfigurationRecord],
        commit_due: Callable[[], None],
        forgotten: Callable[[ConfigurationRecord], None],
    ) -> Steps[list[ConfigurationRecord]]:
        """Process all these instances concurrently. Returns those that failed; `forgotten` gets each success."""
        return (yield from self._each(records, self.node, commit_due, forgotten))

    def infrastructures(
        self,
        records: Sequence[ManagerRecord],
        commit_due: Callable[[], None],
        forgotten: Callable[[ManagerRecord], None],
    ) -> Steps[list[ManagerRecord]]:
        """The same for infrastructures."""
        return (yield from self._each(records, self.infrastructure, commit_due, forgotten))

    def _each(
        self,
        records: Sequence[R],
        ask: Callable[[R, Callable[[bool], None]], None],
        commit_due: Callable[[], None],
        forgotten: Callable[[R], None],
    ) -> Steps[list[R]]:
        left: list[R] = []
        answers: list[bool] = []

        def done(record: R, *, well: bool) -> None:
            (forgotten if well else left.append)(record)
            answers.append(well)

        for record in records:
            ask(record, lambda well, record=record: done(record, well=well))  # type: ignore[misc]
        yield Waiting(commit_due, lambda: len(answers) == len(records))
        return left

    def _ask(
        self,
        record: ConfigurationRecord | ManagerRecord,
        ask: Ask,
        done: Callable[[bool], None],
    ) -> None:
        answered: list[bool] = []

        def end(why: str) -> None:
            if not answered:
                answered.append(True)
                if why:
                    self.away.setdefault(record.label, why)
                done(not why)

        if record.label in self.away:
            end(self.away[record.label])
            return
        try:
            link = self.connections.config(record.section)
        except Exception as error:  # noqa: BLE001  # the plugin, or its credentials, are gone
            end(reason(error))
            return
        given_up_at = self.loop.clock.monotonic() + PATIENCE
        self.loop.after(PATIENCE, lambda: end("it has not answered"))
        self._try(link, ask, end, given_up_at, FIRST_DELAY)

    def _try(
        self,
        link: ManagerConnection,
        ask: Ask,
        end: Callable[[str], None],
        given_up_at: float,
        delay: float,
    ) -> None:
        def answered(outcome: Outcome[None]) -> None:
            late = self.loop.clock.monotonic() + delay >= given_up_at
            if isinstance(outcome.error, TransientError) and not late:
                again = lambda: self._try(link, ask, end, given_up_at, delay * 2)  # noqa: E731
                self.loop.after(delay, again)
            else:
                end("" if outcome.error is None else reason(outcome.error))

        ask(link, answered)


def registered_node(record: ConfigurationRecord, installation: str) -> ConfigNode:
    """The node with the values it was registered with."""
    return ConfigNode(
        installation=installation,
        infra_id=record.infra_id,
        infra_name=record.infra_name,
        node_name=record.node_name,
        node_id=record.node_id,
        token=record.token,
        section=record.section,
        attributes=record.attributes,
        mapped=record.mapped,
        variables=record.variables,
        generation=record.wanted,
    )


def summary(left: Iterable[ConfigurationRecord | ManagerRecord], away: dict[str, str]) -> list[str]:
    """A line for each manager with data left to delete."""
    counts: dict[str, int] = {}
    for record in left:
        counts[record.label] = counts.get(record.label, 0) + isinstance(record, ConfigurationRecord)
    lines = []
    for name, count in counts.items():
        what = f"{count} nodes" if count > 1 else "a node" if count else "the infrastructure"
        lines.append(f"configuration manager '{name}' has not forgotten {what}: {away.get(name, 'not asked yet')}")
    return lines
