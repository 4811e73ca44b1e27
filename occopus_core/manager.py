"""What every front end calls, and the Python API: describe, build, maintain, scale, report, destroy."""

from __future__ import annotations

import os
import random
import re
import socket
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.engine import building, destroying
from occopus_core.engine.clinic import Clinic
from occopus_core.engine.clock import SystemClock
from occopus_core.engine.connections import Connections
from occopus_core.engine.costing import costs
from occopus_core.engine.courier import Courier, make_courier
from occopus_core.engine.loop import Loop, Steps
from occopus_core.engine.maintaining import maintain
from occopus_core.engine.meter import Meter
from occopus_core.engine.observe import Observatory
from occopus_core.engine.plan import Plan
from occopus_core.engine.rounds import Rounds
from occopus_core.engine.site import Resources, Site
from occopus_core.engine.subscribing import address_of
from occopus_core.engine.sweeping import Swept, sweep
from occopus_core.engine.trust import refuse_powers
from occopus_core.events import Observer
from occopus_core.registry import Registry
from occopus_core.report import Snapshot, report_of
from occopus_core.settings import Settings
from occopus_core.store.database import open_database
from occopus_core.store.records import (
    InfrastructureRecord,
    NoSuchInfrastructureError,
    ScaleKind,
    ScaleRequest,
    StoredEvent,
)
from occopus_core.store.repository import Store

T = TypeVar("T")

WORKERS = {"sequential": 4, "parallel": 64}
"""Threads for calls that block. Even one step at a time may look at several things at once."""

INTERVAL = 10.0
"""Seconds between two maintenance passes, where nothing else is said."""

FINISH_SECONDS = 3.0
"""How long the end of a process may be put off by notifications that are still to be delivered."""

_INFRA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class InfraIdError(ValueError):
    """An id that somebody chose cannot be one."""


class NoSuchNodeError(LookupError):
    """The infrastructure has no node of this name."""


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Background:
    """Maintenance in a thread of its own."""

    rounds: Rounds
    thread: threading.Thread
    executor: ThreadPoolExecutor


class InfrastructureManager:
    """One installation: its store, its plugins, its credentials.

    `process_strategy` says whether independent nodes are made side by side ("parallel") or one step at a time.
    `observer` is told what happens while it happens, in the thread that works. The methods may be called from any
    thread, but one at a time. Use it in a ``with`` block, or `close` it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        credentials: Credentials | None = None,
        *,
        process_strategy: Literal["sequential", "parallel"] = "sequential",
        observer: Observer = _ignore,
        registry: Registry | None = None,
        interval: float = INTERVAL,
        told: Callable[[str, str], None] = _ignore,
        warn: Callable[[str], None] = _ignore,
        meter: Meter | None = None,
    ) -> None:
        """`interval` is in seconds; `told` gets an id and the error of its passes, when that changes.

        `warn` gets what is wrong with a notifier, once, in a thread of its own. `meter` is told how calls and passes
        fare.
        """
        self._settings = settings or Settings.load()
        self._credentials = credentials if credentials is not None else Credentials.load()
        self._strategy = process_strategy
        self._observer = observer
        self._registry = registry or Registry()
        self._interval = interval
        self._told = told
        self._warn = warn
        self._meter = meter
        self._running: Site | None = None
        self._background: _Background | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def store(self) -> Store:
        """What is known; any thread may use it. Raises `StoreError`."""
        return self._store

    @cached_property
    def _store(self) -> Store:
        return Store(open_database(self._settings.store))

    @cached_property
    def _courier(self) -> Courier:
        return make_courier(self._settings.notify, self._registry, self._credentials, self._store.outbox, self._warn)

    def open(self) -> None:
        """Open the store now rather than when it is needed. Idempotent. Raises `StoreError`."""
        self._store.installation  # noqa: B018  # the property opens it

    def close(self) -> None:
        """Stop maintaining, deliver the last notifications, and let go of the store. Idempotent."""
        if self._background is not None:
            self._background.rounds.stop()
            self._background.thread.join()
            self._background.executor.shutdown(wait=False, cancel_futures=True)
            self._background = None
        courier: Courier | None = self.__dict__.pop("_courier", None)
        if courier is not None:
            courier.finish(FINISH_SECONDS)
        if "_store" in self.__dict__:
            self._store.close()

    # Descriptions

    def import_node_definitions(self, path: str, warn: Callable[[str], None] = _ignore) -> list[str]:
        """Validate a file of node definitions and store all of it, or nothing; the names of the definitions.

        Idempotent. Raises `DescriptionError`, `StoreError`.
        """
        definitions = load_node_definitions(path, self._registry, warn=lambda problem: warn(str(problem)))
        self._store.put_definitions(definitions)
        return [definition.name for definition in definitions]

    def load_untrusted(self, text: bytes) -> Infrastructure:
        """The infrastructure that a text from the network describes: it can name no file. Raises `DescriptionError`."""
        return load_infrastructure(text, name="request", imports=False)

    def import_untrusted(self, text: bytes, endpoints: Collection[str] = ()) -> list[str]:
        """The same as `import_node_definitions` for a text from the network.

        It can name no file, nor have anything done on machines that are not its nodes, nor have any endpoint called but
        these and those that the credentials are for. Raises `DescriptionError`, `StoreError`.
        """
        definitions = load_node_definitions(text, self._registry, name="request", imports=False)
        refuse_powers(definitions, self._registry, {*endpoints, *self._credentials.endpoints})
        self._store.put_definitions(definitions)
        return [definition.name for definition in definitions]

    def load(self, path: str, warn: Callable[[str], None] = _ignore) -> Infrastructure:
        """The infrastructure that a file describes. Raises `DescriptionError`."""
        return load_infrastructure(path, warn=lambda problem: warn(str(problem)))

    # One pass, now

    def build(self, infrastructure: Infrastructure, infra_id: str | None = None) -> str:
        """Build a new infrastructure, or bring an existing one to this description; its id.

        On failure what was made is undone. `infra_id` may name an infrastructure that does not exist yet. Raises
        `InfraIdError` and what `occopus_core.engine.building.build` raises.
        """
        infra_id = self.new_id(infra_id)
        self._pass(infra_id, lambda site: building.build(site, infrastructure))
        return infra_id

    def plan(self, infrastructure: Infrastructure, infra_id: str | None = None) -> Plan:
        """What `build` would do. Changes nothing. Raises what `occopus_core.engine.building.plan` raises."""
        return self._pass(self.new_id(infra_id), lambda site: building.plan(site, infrastructure))

    def maintain(self, infra_id: str) -> None:
        """One maintenance pass. Raises what `occopus_core.engine.maintaining.maintain` raises."""
        self._pass(infra_id, maintain)

    def tear_down(self, infra_id: str) -> None:
        """Destroy an infrastructure with all of its instances.

        Raises `ValueError` while this manager maintains it, and what `occopus_core.engine.destroying.destroy` raises.
        """
        if infra_id in self.maintained:
            raise ValueError(f"the infrastructure '{infra_id}' is being maintained: stop that first")
        self._pass(infra_id, destroying.destroy)

    def sweep(self, *, remove: bool = False) -> Swept:
        """What providers have of this installation that its store does not know; with `remove` it is deleted.

        Searches every connection ever used. Can be repeated, and runs beside builds. Raises `StoreError`.
        """
        return self._run(lambda resources: sweep(resources, remove=remove))

    def interrupt(self, reason: str) -> None:
        """Have a running pass end: a build undoes itself, a second time it stops at once. Safe in a signal handler."""
        if self._running is not None:
            self._running.interrupt(reason)

    # Maintenance in the background

    def add(self, infrastructure: Infrastructure, infra_id: str | None = None, *, for_services: bool = False) -> str:
        """Record a new infrastructure without building it: the first maintenance pass does; its id.

        With `for_services` that pass is one of the services on this store. Raises `InfraIdError`,
        `InfrastructureTakenError`, `StoreError`.
        """
        infra_id = self.new_id(infra_id)
        targets = building.targets_of(infrastructure, {})
        now = SystemClock().now()
        store, holder = self._store, _holder()
        store.release(store.add_infrastructure(infra_id, infrastructure, targets, holder, now, maintained=for_services))
        return infra_id

    def submit_infrastructure(self, infrastructure: Infrastructure, infra_id: str | None = None) -> str:
        """`add` an infrastructure, and `start_provisioning` it; its id."""
        infra_id = self.add(infrastructure, infra_id)
        self.start_provisioning(infra_id)
        return infra_id

    def start_provisioning(self, infra_id: str) -> None:
        """Build and maintain an infrastructure in the background from now on. Idempotent.

        All of them share one thread that decides and one bounded pool. Raises `NoSuchInfrastructureError`.
        """
        self._store.infrastructure(infra_id)
        if self._background is None:
            self._background = self._start_background()
        self._background.rounds.attach(infra_id)

    def stop_provisioning(self, infra_id: str, wait_timeout: float = 60.0) -> None:
        """Stop maintaining an infrastructure; it stays as it is. Idempotent.

        Waits at most `wait_timeout` seconds for the end of a pass under way, then raises `TimeoutError`.
        """
        if self._background is None:
            return
        ended = threading.Event()
        self._background.rounds.detach(infra_id, ended.set)
        if not ended.wait(wait_timeout):
            raise TimeoutError(f"the pass over '{infra_id}' has not ended within {wait_timeout:g} s")

    attach = start_provisioning
    detach = stop_provisioning

    @property
    def maintained(self) -> frozenset[str]:
        """The ids of the infrastructures that this manager maintains."""
        return self._background.rounds.attached if self._background is not None else frozenset()

    # Scaling

    def scale_to(self, infra_id: str, node_name: str, count: int) -> ScaleRequest:
        """Ask for so many instances of a node, within its limits. The next maintenance pass sees to it.

        Raises `NoSuchInfrastructureError`, `NoSuchNodeError`, `StoreError`.
        """
        return self._request(infra_id, node_name, ScaleKind.SET, count)

    def scale_by(self, infra_id: str, node_name: str, count: int, instance: str = "") -> ScaleRequest:
        """Ask for so many more instances, or fewer where `count` is negative; see `scale_to`.

        `instance`, a node id or an address, names one that is to go. Without it the youngest go.
        """
        return self._request(infra_id, node_name, ScaleKind.CHANGE, count, instance)

    # Telling the outside

    def subscribe(self, infra_id: str, type: str, properties: Mapping[str, Any]) -> None:
        """Have an infrastructure's events told to whom a client names. Idempotent; an earlier one is told no more.

        Raises what `occopus_core.engine.subscribing.address_of` raises, `NoSuchInfrastructureError`, `StoreError`.
        """
        self.get(infra_id)
        address = address_of(self._settings.notify, self._registry, self._credentials, type, properties)
        self._store.outbox.subscribe(infra_id, type, address, SystemClock().now())

    # What is known

    def costs(self, infra_id: str) -> dict[str, dict[str, Decimal]]:
        """What each instance has cost so far, by node and node id; 0 where its provider does not say.

        Raises `ProviderError`, `NoSuchInfrastructureError`, `StoreError`.
        """
        _refuse_impossible(infra_id)
        self._store.infrastructure(infra_id)
        return costs(self._asking, self._store, self._store.instances(infra_id))

    @cached_property
    def _asking(self) -> Connections:
        """Connections for questions that are asked in the caller's thread."""
        executor = self._executor()
        return Connections(self._registry, self._credentials, Loop(SystemClock(), executor, self._meter), 1)

    def get(self, infra_id: str) -> InfrastructureRecord:
        """An infrastructure as it is recorded. Raises `NoSuchInfrastructureError`, `StoreError`."""
        _refuse_impossible(infra_id)
        return self._store.infrastructure(infra_id)

    def report(self, infra_id: str) -> dict[str, dict[str, Any]]:
        """See `occopus_core.report.report_of`. Raises `NoSuchInfrastructureError`, `StoreError`."""
        return report_of(self.snapshot(infra_id))

    def snapshot(self, infra_id: str) -> Snapshot:
        """All that is recorded of an infrastructure, to be told in one of the forms of `occopus_core.report`.

        Raises `NoSuchInfrastructureError`, `StoreError`.
        """
        store = self._store
        _refuse_impossible(infra_id)
        record, instances = store.infrastructure(infra_id), store.instances(infra_id)
        used = store.implementations({instance.implementation for instance in instances})
        timeouts = {digest: implementation.health_check.timeout for digest, implementation in used.items()}
        return Snapshot.of(record, instances, store.pending_requests(infra_id), timeouts, SystemClock().now())

    def events(self, infra_id: str, after: int = 0, most: int | None = None) -> list[StoredEvent]:
        """What has happened since the event `after`, at the most so much; also to an infrastructure that is gone.

        Raises `StoreError`.
        """
        _refuse_impossible(infra_id)
        return self._store.events(infra_id, after, most)

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

    def _request(self, infra_id: str, node_name: str, kind: ScaleKind, amount: int, instance: str = "") -> ScaleRequest:
        nodes = [node.name for node in self.get(infra_id).current.nodes]
        if node_name not in nodes:
            raise NoSuchNodeError(f"'{infra_id}' has no node '{node_name}'; it has: {', '.join(nodes)}")
        instance = instance.encode(errors="replace").decode()  # no database takes half a character
        return self._store.request_scaling(infra_id, node_name, kind, amount, instance, SystemClock().now())

    def _pass(self, infra_id: str, steps: Callable[[Site], Steps[T]]) -> T:
        _refuse_impossible(infra_id)

        def attended(resources: Resources) -> Steps[T]:
            self._running = Site(resources, infra_id)
            return self._running.attended(steps(self._running))

        try:
            return self._run(attended)
        finally:
            self._running = None

    def _run(self, steps: Callable[[Resources], Steps[T]]) -> T:
        executor = self._executor()
        resources = self._resources(executor)
        try:
            return resources.loop.run(steps(resources))
        finally:
            # Calls that nobody waits for any more must not begin.
            executor.shutdown(wait=False, cancel_futures=True)

    def _start_background(self) -> _Background:
        executor = self._executor()
        rounds = Rounds(self._resources(executor), self._interval, self._told)
        thread = threading.Thread(target=rounds.run, name="occopus-maintenance", daemon=True)
        thread.start()
        return _Background(rounds, thread, executor)

    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(WORKERS[self._strategy], thread_name_prefix="occopus")

    def _resources(self, executor: ThreadPoolExecutor) -> Resources:
        self._courier.start()  # before anything happens that it is to tell
        loop = Loop(SystemClock(), executor, self._meter)
        connections = Connections(self._registry, self._credentials, loop, WORKERS[self._strategy])
        return Resources(
            store=self._store,
            registry=self._registry,
            connections=connections,
            observatory=Observatory(loop),
            clinic=Clinic(loop, connections),
            loop=loop,
            rng=random.Random(),
            width=1 if self._strategy == "sequential" else None,
            observer=self._observer,
            holder=_holder(),
        )

    def rounds(self, interval: float) -> Rounds:
        """Maintenance to be run in the caller's thread: attach infrastructures, then `run`."""
        return Rounds(self._resources(self._executor()), interval, self._told)


def _refuse_impossible(infra_id: str) -> None:
    """An id that none can have is not even asked for. Raises `NoSuchInfrastructureError`."""
    if not _INFRA_ID.fullmatch(infra_id):
        raise NoSuchInfrastructureError(infra_id)


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
