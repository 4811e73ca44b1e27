"""One installation: its store, plugins and credentials, and the resources that passes get from it."""

from __future__ import annotations

import random
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
from occopus_core.engine.kernel.holder import holder
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.engine.passes.resources import Resources
from occopus_core.events import Observer
from occopus_core.notify.delivery import Delivery, make_delivery
from occopus_core.redaction import Redactor
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store

T = TypeVar("T")

Strategy = Literal["sequential", "parallel"]
"""Independent nodes one after another, or in parallel."""

WORKERS = {"sequential": 4, "parallel": 64}
"""The most calls at once on one connection. Even the sequential strategy may observe several instances at once."""

THREADS = max(WORKERS.values())
"""Threads for blocking calls: more than those on one connection, which may never return."""

MOST_WARNINGS = 1000
"""How many warnings are remembered, to print each of them once."""

FINISH_SECONDS = 3.0
"""How long the end of a process waits for the delivery of notifications."""


@dataclass
class Installation:
    """The store, plugins and credentials. The store is opened, and notifications are delivered, from the first use on.

    `observer` receives events as they happen, `warn` problems of notifiers and corrections in templates, `meter` the
    durations of calls and passes.
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
        """The store. Thread-safe. Raises `StoreError`."""
        return Store(open_database(self.settings.store))

    @cached_property
    def redact(self) -> Redactor:
        """Removes the secrets of the credentials from a text."""
        return Redactor(self.credentials.secrets())

    @cached_property
    def delivery(self) -> Delivery:
        """The delivery of the log to notifiers."""
        return make_delivery(self.settings.notify, self.registry, self.credentials, self.store.outbox, self.warn)

    @cached_property
    def asking(self) -> Connections:
        """Connections for calls in the caller's thread."""
        return Connections(self.registry, self.credentials, Loop(SystemClock(), self.executor(), self.meter), 1)

    def close(self) -> None:
        """Deliver the last notifications, and close the store. Idempotent."""
        delivery: Delivery | None = self.__dict__.pop("delivery", None)
        if delivery is not None:
            delivery.finish(FINISH_SECONDS)
        if "store" in self.__dict__:
            self.store.close()

    def run(self, steps: Callable[[Resources], Steps[T]]) -> T:
        """Run these steps to their end. Returns their result; propagates their errors."""
        executor = self.executor()
        resources = self._resources(executor)
        try:
            return resources.loop.run(steps(resources))
        finally:
            # Queued calls that no pass waits for must not start.
            executor.shutdown(wait=False, cancel_futures=True)

    def rounds(
        self, executor: ThreadPoolExecutor, interval: float, on_error: Callable[[str, str], None]
    ) -> MaintenanceLoop:
        """A maintenance loop for the caller's thread: attach infrastructures, then `run`."""
        return MaintenanceLoop(self._resources(executor), interval, on_error)

    def executor(self) -> ThreadPoolExecutor:
        """A pool for calls that block."""
        return ThreadPoolExecutor(THREADS, thread_name_prefix="occopus")

    def _resources(self, executor: ThreadPoolExecutor) -> Resources:
        self.delivery.start()  # before the first event to deliver
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
        """Pass on a warning, unless it was given recently."""
        if text not in self._warned:
            if len(self._warned) >= MOST_WARNINGS:
                self._warned.clear()
            self._warned.add(text)
            self.warn(text)
