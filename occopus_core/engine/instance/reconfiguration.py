"""Reconfigures ready instances whose configuration has changed, a few of each node at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from occopus_core.api.config import ConfigState
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.configuration_record import adopt, renounce
from occopus_core.engine.instance.leaving import Leaving
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.rolling import Rolling
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.preparation import Configuration
from occopus_core.events import EventKind
from occopus_core.store.configurations import Key


class Reconfiguration:
    """The ready instances that are being reconfigured. `done` gets each instance that is finished."""

    def __init__(
        self,
        runtime: Runtime,
        configuring: Configuring,
        leaving: Leaving,
        neighbours: Neighbours,
        done: Callable[[Work], None],
    ) -> None:
        self._runtime = runtime
        self._configuring = configuring
        self._leaving = leaving
        self._neighbours = neighbours
        self._done = done
        self._rolling = Rolling(self._renew, self._leave_as_it_is, self._await_turn)
        self._foreseen: set[Work] = set()
        """The instances that the plan reconfigures."""
        self._awaiting: set[Work] = set()
        """The instances among them that wait for their turn."""
        self.unconfigured: list[str] = []
        """The instances that could not be reconfigured, each with the reason."""

    def foresee(self, works: Iterable[Work]) -> None:
        """The plan reconfigures these: they are shown as waiting until their turn comes."""
        self._foreseen.update(works)

    def forgive(self, works: Iterable[Work]) -> None:
        """Ignore earlier failures of the nodes of these instances, which are about to be reconfigured."""
        self._rolling.forgive(works)

    def add(self, work: Work) -> None:
        """Reconfigure an instance in its turn, if its configuration has changed."""
        self._rolling.add(work)

    def withdraw(self, work: Work, *, failed: bool = False) -> None:
        """Its reconfiguration has ended, or it is to be dropped. Idempotent."""
        self._foreseen.discard(work)
        self._end_waiting(work)
        self._rolling.ended(work, failed=failed)
        self._done(work)

    def _await_turn(self, work: Work, at_once: int) -> None:
        if work in self._foreseen:
            self._render(work, functools.partial(self._announce, work, at_once))

    def _announce(self, work: Work, at_once: int, outcome: Outcome[Configuration | None]) -> None:
        """Show that it waits, if its configuration is to change: the plan names those for which it only may."""
        configuration = outcome.value
        if configuration is None or work.dropping or not self._rolling.awaits(work) or _has(work, configuration):
            return
        self._awaiting.add(work)
        self._configuring.wait(work, f"instances of '{work.node_name}' are reconfigured {at_once} at a time")

    def _end_waiting(self, work: Work) -> None:
        if work in self._awaiting:
            self._awaiting.remove(work)
            self._configuring.wait_no_more(work)

    def _renew(self, work: Work) -> None:
        self._end_waiting(work)
        self._render(work, functools.partial(self._rendered, work))

    def _render(self, work: Work, done: Callable[[Outcome[Configuration | None]], None]) -> None:
        subject, scope = self._neighbours.subject(work), self._runtime.scope
        self._runtime.rendering.submit(functools.partial(scope.configuration, subject), done)

    def _rendered(self, work: Work, outcome: Outcome[Configuration | None]) -> None:
        configuration, record = outcome.value, work.configuration
        if work.dropping or outcome.error is not None:
            self._renewed(work, reason(outcome.error) if outcome.error is not None else "")
        elif configuration is None:
            self._part(work, lambda: self._renounce(work))
        else:
            if _has(work, configuration):
                self._renewed(work, "")
                return
            known = record is not None and record.key == _key(work, configuration)
            new = not known or record is None or record.state is ConfigState.UNKNOWN
            self._runtime.emit(EventKind.NODE_RECONFIGURING, work, configuration.link.label)
            link, node = configuration.link, configuration.node

            def begin() -> None:
                if not work.dropping:
                    self._configuring.begin(work, link, node, self._reconfigured, register=new)

            register = functools.partial(adopt, self._runtime, work, configuration, begin)
            if known:
                register()
            else:
                self._part(work, register)

    def _part(self, work: Work, then: Callable[[], None]) -> None:
        """Have the former manager let it go, which deletes its data later."""
        self._leaving.begin(work, lambda: self._renewed(work, "") if work.dropping else then())

    def _renounce(self, work: Work) -> None:
        renounce(self._runtime, work)
        self._renewed(work, "")

    def _reconfigured(self, work: Work, why: str) -> None:
        if not why and not work.dropping and work.configuration is not None:
            self._runtime.emit(EventKind.NODE_RECONFIGURED, work, work.configuration.label)
        self._renewed(work, why)

    def _renewed(self, work: Work, why: str) -> None:
        """A ready instance has been reconfigured, or keeps its configuration."""
        if why and not work.dropping:
            text = f"not reconfigured: {why}"
            self._runtime.emit(EventKind.NODE_UNHEALTHY, work, text)
            self.unconfigured.append(f"node '{work.node_name}' ({work.implementation.label}): {text}")
        self.withdraw(work, failed=bool(why))

    def _leave_as_it_is(self, work: Work) -> None:
        text = "not reconfigured: another instance of the node could not be"
        self._end_waiting(work)
        self.unconfigured.append(f"node '{work.node_name}' ({work.implementation.label}): {text}")
        self._done(work)


def _key(work: Work, configuration: Configuration) -> Key:
    return work.node_id, configuration.kept.section["type"], configuration.settings


def _has(work: Work, configuration: Configuration) -> bool:
    """True if the instance has this configuration, from this manager."""
    record = work.configuration
    return record is not None and record.key == _key(work, configuration) and record.has(configuration.node.generation)
