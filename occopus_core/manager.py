"""What every front end calls: import node definitions, build, plan, destroy, report."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Literal

from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.engine.clock import SystemClock
from occopus_core.engine.convergence import Convergence, Resources
from occopus_core.engine.plan import Plan
from occopus_core.events import Event, Observer
from occopus_core.registry import Registry
from occopus_core.report import report
from occopus_core.settings import Settings
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store

WORKERS = {"sequential": 4, "parallel": 64}
"""Threads for calls that block. Even one step at a time may look at several things at once."""

_INFRA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class InfraIdError(ValueError):
    """An id that somebody chose cannot be one."""


def _ignore(_event: Event) -> None:
    return


class InfrastructureManager:
    """One installation: its store, its plugins, its credentials.

    `process_strategy` says whether independent nodes are made side by side ("parallel") or one step at a time.
    `observer` is told what happens while it happens.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        credentials: Credentials | None = None,
        *,
        process_strategy: Literal["sequential", "parallel"] = "sequential",
        observer: Observer = _ignore,
        registry: Registry | None = None,
    ) -> None:
        self._settings = settings or Settings.load()
        self._credentials = credentials if credentials is not None else Credentials.load()
        self._strategy = process_strategy
        self._observer = observer
        self._registry = registry or Registry()
        self._running: Convergence | None = None

    @cached_property
    def _store(self) -> Store:
        return Store(open_database(self._settings.store))

    def open(self) -> None:
        """Open the store now rather than when it is needed. Idempotent. Raises `StoreError`."""
        self._store.installation  # noqa: B018  # the property opens it

    def import_node_definitions(self, path: str) -> list[str]:
        """Validate a file of node definitions and store all of it, or nothing; the names of the definitions.

        Idempotent. Raises `DescriptionError`, `StoreError`.
        """
        definitions = load_node_definitions(path, self._registry)
        self._store.put_definitions(definitions)
        return [definition.name for definition in definitions]

    def load(self, path: str, warn: Callable[[str], None] = lambda _text: None) -> Infrastructure:
        """The infrastructure that a file describes. Raises `DescriptionError`."""
        return load_infrastructure(path, warn=lambda problem: warn(str(problem)))

    def build(self, infrastructure: Infrastructure, infra_id: str | None = None) -> str:
        """Build a new infrastructure, or bring an existing one to this description; its id.

        On failure what was made is undone. `infra_id` may name an infrastructure that does not exist yet. Raises
        `InfraIdError` and what `Convergence.build` raises.
        """
        infra_id = self.new_id(infra_id)
        with self._converging(infra_id) as convergence:
            convergence.build(infrastructure)
        return infra_id

    def plan(self, infrastructure: Infrastructure, infra_id: str | None = None) -> Plan:
        """What `build` would do. Changes nothing. Raises what `Convergence.plan` raises."""
        with self._converging(self.new_id(infra_id)) as convergence:
            return convergence.plan(infrastructure)

    def destroy(self, infra_id: str) -> None:
        """Destroy an infrastructure with all of its instances. Raises what `Convergence.destroy` raises."""
        with self._converging(infra_id) as convergence:
            convergence.destroy()

    def report(self, infra_id: str) -> dict[str, dict[str, Any]]:
        """See `occopus_core.report.report`. Raises `NoSuchInfrastructureError`, `StoreError`."""
        return report(self._store.infrastructure(infra_id), self._store.instances(infra_id))

    def interrupt(self, reason: str) -> None:
        """Have a running build undo itself; a second time: stop at once. Safe in a signal handler."""
        if self._running is not None:
            self._running.interrupt(reason)

    @staticmethod
    def new_id(chosen: str | None = None) -> str:
        """The chosen id, checked, or a new one. Raises `InfraIdError`."""
        if chosen is None:
            return str(uuid.uuid4())
        if not _INFRA_ID.fullmatch(chosen):
            raise InfraIdError(
                f"{chosen!r} cannot be the id of an infrastructure: at most 128 letters, digits, '.', '_' and '-', "
                "beginning with a letter or a digit"
            )
        return chosen

    @contextlib.contextmanager
    def _converging(self, infra_id: str) -> Iterator[Convergence]:
        workers = WORKERS[self._strategy]
        executor = ThreadPoolExecutor(workers, thread_name_prefix="occopus")
        resources = Resources(
            store=self._store,
            registry=self._registry,
            credentials=self._credentials,
            clock=SystemClock(),
            rng=random.Random(),
            executor=executor,
            workers=workers,
            width=1 if self._strategy == "sequential" else None,
            observer=self._observer,
            holder=f"process {os.getpid()} on {socket.gethostname()}",
        )
        self._running = Convergence(resources, infra_id)
        try:
            yield self._running
        finally:
            self._running = None
            # Calls that nobody waits for any more must not begin.
            executor.shutdown(wait=False, cancel_futures=True)
