"""What one installation has, and what passes are given of it."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar

from occopus_core.credentials import Credentials
from occopus_core.engine.instance.checks import HealthChecks
from occopus_core.engine.instance.observe import Observatory
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.engine.passes.context import Resources
from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.events import Observer
from occopus_core.notify.delivery import Delivery, make_delivery
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store

T = TypeVar("T")

Strategy = Literal["sequential", "parallel"]
"""Independent nodes one step at a time, or side by side."""

WORKERS = {"sequential": 4, "parallel": 64}
"""Threads for calls that block. Even one step at a time may look at several things at once."""

MOST_WARNINGS = 1000
"""How many warnings are remembered so that each is given once."""

FINISH_SECONDS = 3.0
"""How long the end of a process may be put off by notifications that are still to be delivered."""


@dataclass
class Installation:
    """Its store, its plugins, its credentials. The store is opened, and notifiers are told, when that is first needed.

    `observer` is told what happens while it happens, `warn` what is wrong with a notifier or was put right in
    a template, `meter` how calls and passes fare.
    """

    settings: Settings
    credentials: Credentials
    registry: Registry
    strategy: Strategy
    observer: Observer
    warn: Callable[[str], None]
    meter: CallMetrics | None
    _warned: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def store(self) -> Store:
        """What is known; any thread may use it. Raises `StoreError`."""
        return Store(open_database(self.settings.store))

    @cached_property
    def delivery(self) -> Delivery:
        """Tells notifiers what is in the log."""
        return make_delivery(self.settings.notify, self.registry, self.credentials, self.store.outbox, self.warn)

    @cached_property
    def asking(self) -> Connections:
        """Connections for questions that are asked in the caller's thread."""
        return Connections(self.registry, self.credentials, Loop(SystemClock(), self.executor(), self.meter), 1)

    def close(self) -> None:
        """Deliver the last notifications, and let go of the store. Idempotent."""
        delivery: Delivery | None = self.__dict__.pop("delivery", None)
        if delivery is not None:
            delivery.finish(FINISH_SECONDS)
        if "store" in self.__dict__:
            self.store.close()

    def run(self, steps: Callable[[Resources], Steps[T]]) -> T:
        """Go these steps to their end; what they answer. Raises what they raise."""
        executor = self.executor()
        resources = self._resources(executor)
        try:
            return resources.loop.run(steps(resources))
        finally:
            # Calls that nobody waits for any more must not begin.
            executor.shutdown(wait=False, cancel_futures=True)

    def rounds(
        self, executor: ThreadPoolExecutor, interval: float, told: Callable[[str, str], None]
    ) -> MaintenanceLoop:
        """Maintenance to be run in the caller's thread: attach infrastructures, then `run`."""
        return MaintenanceLoop(self._resources(executor), interval, told)

    def executor(self) -> ThreadPoolExecutor:
        """A pool for calls that block."""
        return ThreadPoolExecutor(WORKERS[self.strategy], thread_name_prefix="occopus")

    def _resources(self, executor: ThreadPoolExecutor) -> Resources:
        self.delivery.start()  # before anything happens that it is to tell
        loop = Loop(SystemClock(), executor, self.meter)
        workers = WORKERS[self.strategy]
        connections = Connections(self.registry, self.credentials, loop, workers, self.store.host_keys)
        return Resources(
            store=self.store,
            registry=self.registry,
            connections=connections,
            observatory=Observatory(loop),
            checks=HealthChecks(loop, connections),
            loop=loop,
            rng=random.Random(),
            width=1 if self.strategy == "sequential" else None,
            observer=self.observer,
            holder=holder(),
            former=self.settings.former,
            warn=self.warn_once,
        )

    def warn_once(self, text: str) -> None:
        """Pass on a warning that has not been given lately."""
        if text not in self._warned:
            if len(self._warned) >= MOST_WARNINGS:
                self._warned.clear()
            self._warned.add(text)
            self.warn(text)


def holder() -> str:
    """How this process signs a lease."""
    return f"process {os.getpid()} on {socket.gethostname()}"
