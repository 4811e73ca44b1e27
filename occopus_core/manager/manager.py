"""The facade of Occopus: its methods change the store, and run passes of the engine."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.engine.passes import building, destroying
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import Passed
from occopus_core.engine.passes.life_time import first_life_time, refuse_past_end, requested_life_time
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.engine.passes.previewing import preview
from occopus_core.engine.passes.resources import Resources
from occopus_core.engine.passes.sweeping import Swept, sweep
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.engine.planning.design import refuse_undefined
from occopus_core.engine.planning.plan import Plan
from occopus_core.engine.planning.scaling import targets_of
from occopus_core.engine.planning.trust import refuse_powers
from occopus_core.events import Observer
from occopus_core.manager.background import Background
from occopus_core.manager.checked_definitions import checked_definitions
from occopus_core.manager.describing import Description
from occopus_core.manager.dry_run import refuse_dry_run
from occopus_core.manager.errors import NotProvisionedError, ProvisionedError
from occopus_core.manager.ids import new_id, refuse_impossible
from occopus_core.manager.installation import WORKERS, Installation, Strategy
from occopus_core.manager.life_times import extend
from occopus_core.manager.looking import looking_by_build, record_look
from occopus_core.manager.queries import Queries
from occopus_core.manager.scaling import refuse_unscalable
from occopus_core.manager.updating import refuse_undescribed, refuse_update
from occopus_core.notify.subscribing import address_of
from occopus_core.registry import Registry
from occopus_core.render import expander
from occopus_core.settings import Settings
from occopus_core.store.definition_uses import Users
from occopus_core.store.records import (
    InfrastructureRecord,
    NoSuchInfrastructureError,
    ScaleKind,
    ScaleRequest,
)

T = TypeVar("T")

INTERVAL = 10.0
"""The default number of seconds between two maintenance passes."""


def _ignore(*_: object) -> None:
    return


class InfrastructureManager(Queries):
    """One installation: its store, its plugins, its credentials.

    `process_strategy` is "parallel" to create independent nodes in parallel, or "sequential" for one after another.
    `observer` receives events as they happen, in the working thread. The methods may be called from any thread, but
    one at a time. Use it in a ``with`` block, or `close` it. If the settings have `dry_run`, methods that change
    something raise `DryRunError`.
    """

    def __init__(
        self,
        settings: Settings | Strategy | None = None,
        credentials: Credentials | None = None,
        *,
        process_strategy: Strategy = "sequential",
        observer: Observer = _ignore,
        registry: Registry | None = None,
        interval: float = INTERVAL,
        on_error: Callable[[str, str], None] = _ignore,
        warn: Callable[[str], None] = _ignore,
        meter: CallMetrics | None = None,
    ) -> None:
        """`settings` are the user's by default; a strategy may be given instead of them.

        `interval` is in seconds; `on_error` gets an id and the error of its passes, empty once solved.

        `warn` gets each problem of a notifier and each correction in a template once, in another thread. `meter`
        receives the durations of calls and passes. Raises `DescriptionError`, and `ValueError` for an unknown strategy.
        """
        strategy = settings if isinstance(settings, str) else process_strategy
        if strategy not in WORKERS:
            raise ValueError(f"'{strategy}' is not a process strategy; allowed are {' and '.join(WORKERS)}")
        installation = Installation(
            settings if isinstance(settings, Settings) else Settings.load(),
            credentials if credentials is not None else Credentials.load(),
            registry or Registry(),
            strategy,
            observer,
            warn,
            meter,
        )
        super().__init__(installation)
        self._interval = interval
        self._on_error = on_error
        self._running: PassContext | None = None
        self._background: Background | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Open the store now, not at its first use. Idempotent. Raises `StoreError`."""
        self.store.installation  # noqa: B018  # the property opens it

    def close(self) -> None:
        """Stop maintaining, deliver the last notifications, and close the store. Idempotent."""
        if self._background is not None:
            self._background.close()
            self._background = None
        self._installation.close()

    # Descriptions

    def import_node_definitions(
        self, path: str, warn: Callable[[str], None] = _ignore, replacing: Callable[[Users], None] = _ignore
    ) -> list[str]:
        """Validate a file of node definitions and store all of them, or none. Returns their names.

        `replacing` is called before with the infrastructures that use definitions which become others, by their name.
        Idempotent. Raises `DescriptionError`, `StoreError`.
        """
        own = self._installation
        definitions = checked_definitions(path, own.registry, own.credentials, warn, former=own.settings.former)
        replacing(self.store.definition_uses.replaced_by(definitions))
        self.store.put_definitions(definitions)
        return [definition.name for definition in definitions]

    def load_untrusted(self, text: bytes) -> Infrastructure:
        """The infrastructure in a text from the network, which can name no files. Raises `DescriptionError`."""
        return load_infrastructure(text, name="request", imports=False, render=expander(), judge_outputs=output_faults)

    def import_untrusted(self, text: bytes, endpoints: Collection[str] = ()) -> list[str]:
        """Import node definitions from the network; see `import_node_definitions`.

        They can name no files and no machines other than their nodes. Of connection keys they can give only these
        values, and those of entries of the credentials file. Raises `DescriptionError`, `StoreError`.
        """
        definitions = load_node_definitions(text, self._installation.registry, name="request", imports=False)
        refuse_powers(definitions, self._installation.registry, endpoints, self._installation.credentials)
        self.store.put_definitions(definitions)
        return [definition.name for definition in definitions]

    def remove_node_definition(self, name: str) -> None:
        """Remove a stored node definition that no infrastructure uses.

        Raises `NoSuchDefinitionError`, `DefinitionInUseError`, `StoreError`.
        """
        refuse_dry_run(self._installation.settings)
        self.store.definition_uses.remove(name)

    # One pass

    def build(
        self,
        description: Description,
        infra_id: str | None = None,
        begun: Callable[[], None] = _ignore,
        end: float | None = None,
        replaced: Collection[str] = (),
        definitions: Collection[NodeDefinition] = (),
    ) -> str:
        """Build a new infrastructure, or update an existing one to this description. Returns its id.

        A failed build is rolled back. `infra_id` may be the id of a new infrastructure. `begun` is called after
        validation, before anything is recorded. `end` is the end of its life time (seconds since 1970), in place of the
        one of the description. All instances of the nodes `replaced` are replaced. Those of the node `definitions` that
        the description uses replace stored ones when the build has succeeded. Raises `DescriptionError`,
        `InfraIdError`, `NoSuchNodeError`, and the errors of `occopus_core.engine.passes.building.build`.
        """
        infra_id = self.new_id(infra_id)
        infrastructure = self.load(description)
        refuse_undescribed(infrastructure, replaced)
        refuse_dry_run(self._installation.settings)
        own = {definition.name: definition for definition in definitions}
        with looking_by_build(self.store, infra_id):
            self._pass(infra_id, lambda site: building.build(site, infrastructure, begun, end, replaced, own))
        return infra_id

    def plan(
        self,
        description: Description,
        infra_id: str | None = None,
        definitions: Mapping[str, NodeDefinition] | None = None,
        replaced: Collection[str] = (),
        end: float | None = None,
    ) -> Plan:
        """The plan of `build`. Changes nothing. Propagates the errors of `occopus_core.engine.passes.building.plan`.

        `definitions`, by name, replace stored ones. `replaced` and `end` are those of `build`. Raises
        `NoSuchNodeError`.
        """
        infrastructure = self.load(description)
        refuse_undescribed(infrastructure, replaced)
        return self._pass(
            self.new_id(infra_id), lambda site: building.plan(site, infrastructure, definitions, replaced, end)
        )

    def preview(self, infra_id: str) -> Plan:
        """The plan of the next pass. Changes nothing. Propagates the errors of `previewing.preview`."""
        return self._pass(infra_id, preview)

    def maintain(self, infra_id: str) -> Passed:
        """Run one maintenance pass. Returns the work it leaves. See `occopus_core.engine.passes.maintaining`.

        A parked infrastructure is tried again.
        """
        refuse_dry_run(self._installation.settings)
        refuse_impossible(infra_id)
        self.store.service.unpark(infra_id)
        began = SystemClock().now()
        passed = self._pass(infra_id, maintain)
        if not passed.unconfirmed:
            record_look(self.store, infra_id, began)
        return passed

    def tear_down(self, infra_id: str, given_up: Collection[str] = ()) -> None:
        """Destroy an infrastructure with all of its instances.

        Instances on the clouds named in `given_up`, which are gone for good, are logged as events and left. If such a
        cloud comes back, `sweep` finds them.

        Raises `ValueError` while this manager maintains it, and the errors of `destroying.destroy`.
        """
        refuse_dry_run(self._installation.settings)
        if infra_id in self.maintained:
            raise ValueError(f"the infrastructure '{infra_id}' is being maintained: call stop_provisioning first")
        self._pass(infra_id, lambda site: destroying.destroy(site, given_up))

    def sweep(self, *, remove: bool = False) -> Swept:
        """Find instances of this installation at providers that its store does not know; with `remove`, delete them.

        Searches every connection ever used. Idempotent; may run beside builds. Raises `StoreError`.
        """
        if remove:
            refuse_dry_run(self._installation.settings)
        return self._installation.run(lambda resources: sweep(resources, remove=remove))

    def extend(self, infra_id: str, by: str) -> float | None:
        """Move the end of its life time: by a duration, to a time, or to ``never``. Returns it, in seconds since 1970.

        Raises `LifeTimeError`, `NoSuchInfrastructureError`, `StoreError`; `BusyError` where it is being destroyed.
        """
        refuse_dry_run(self._installation.settings)
        end = extend(self.store, self.get(infra_id), by)
        if self._background is not None:
            self._background.wake(infra_id)
        return end

    def interrupt(self, reason: str) -> None:
        """Interrupt a running pass: a build rolls back, and stops at once at the second call. Signal-safe."""
        if self._running is not None:
            self._running.interrupt(reason)

    # Maintenance in the background

    def add(self, description: Description, infra_id: str | None = None) -> str:
        """`submit_infrastructure`, then `start_provisioning`. Returns the id."""
        return self.start_provisioning(self.submit_infrastructure(description, infra_id))

    def submit_infrastructure(
        self, description: Description, infra_id: str | None = None, *, for_services: bool = False
    ) -> str:
        """Record a new infrastructure, to be built by the first maintenance pass. Returns its id.

        With `for_services`, a service on this store runs that pass, and the node definitions must be there already.
        Raises `DescriptionError`, `InvalidDesignError`, `InfraIdError`, `InfrastructureTakenError`, `StoreError`.
        """
        infra_id = self.new_id(infra_id)
        infrastructure = self.load(description)
        refuse_dry_run(self._installation.settings)
        targets = targets_of(infrastructure, {})
        now = SystemClock().now()
        refuse_past_end(infrastructure, now)
        self.store.add_infrastructure(
            infra_id,
            infrastructure,
            targets,
            None,
            now,
            maintained=for_services,
            life_time=first_life_time(infrastructure, now),
            check_types=functools.partial(refuse_undefined, infrastructure) if for_services else None,
        )
        return infra_id

    def submit_update(
        self,
        description: Description,
        infra_id: str,
        *,
        replaces: str | Collection[str] = "",
        for_services: bool = False,
    ) -> None:
        """Record another description for an infrastructure; its next maintenance pass builds it, as `build` does.

        `plan` shows what that will do. An earlier request that no build has taken up is replaced. Idempotent.
        `replaces` is the digest (`description_digest`) of the description to be replaced, or several that may be;
        empty for any. With `for_services`, a service on this store looks after the infrastructure from then on.

        Raises `DescriptionError`, `InvalidDesignError`, `NoSuchInfrastructureError`, `StoreError`; `WorkedOnError`
        while another build is under way, `BusyError` if the infrastructure is being destroyed, and
        `ChangedMeanwhileError`.
        """
        refuse_dry_run(self._installation.settings)
        infrastructure = self.load(description)
        refuse = functools.partial(refuse_update, infrastructure, replaces)
        refuse(self.get(infra_id))
        self._pass(infra_id, lambda site: building.check(site, infrastructure))
        now = SystemClock().now()
        self.store.updates.request(
            infra_id,
            infrastructure,
            now,
            refuse,
            maintained=for_services,
            check_types=functools.partial(refuse_undefined, infrastructure),
            life_time=functools.partial(requested_life_time, infrastructure, now),
        )
        if self._background is not None:
            self._background.wake(infra_id)

    def start_provisioning(self, infra_id: str, *, idempotent: bool = False) -> str:
        """Start to build and maintain an infrastructure in the background. Returns its id.

        It is `maintained` when this returns: `tear_down` is refused from then on.
        All infrastructures share one loop thread and one bounded pool. Raises `NoSuchInfrastructureError`, and
        `ProvisionedError` if this manager maintains it already, unless the call is `idempotent`.
        """
        refuse_dry_run(self._installation.settings)
        self.store.infrastructure(infra_id)
        if infra_id not in self.maintained:
            self.store.service.unpark(infra_id)
        with self._starting:
            if self._background is None:
                self._background = Background(self._installation, self._interval, self._on_error)
        if not self._background.attach(infra_id) and not idempotent:
            raise ProvisionedError(infra_id)
        return infra_id

    def stop_provisioning(self, infra_id: str, wait_timeout: float = 60.0, *, idempotent: bool = False) -> str:
        """Stop maintaining an infrastructure, which stays as it is. Returns its id.

        Waits at most `wait_timeout` seconds for the end of a pass under way, then raises `TimeoutError`. Raises
        `NotProvisionedError` if this manager does not maintain it, unless the call is `idempotent`.
        """
        if self._background is None or infra_id not in self.maintained:
            if not idempotent:
                raise NotProvisionedError(infra_id)
            return infra_id
        self._background.detach(infra_id, wait_timeout)
        return infra_id

    attach = start_provisioning
    detach = stop_provisioning

    @property
    def process_table(self) -> dict[str, InfrastructureRecord]:
        """The infrastructures that this manager maintains, by id. Raises `StoreError`."""
        found: dict[str, InfrastructureRecord] = {}
        for infra_id in sorted(self.maintained):
            with contextlib.suppress(NoSuchInfrastructureError):  # it has just been removed
                found[infra_id] = self.get(infra_id)
        return found

    @property
    def maintained(self) -> frozenset[str]:
        """The ids of the infrastructures that this manager maintains."""
        return self._background.attached if self._background is not None else frozenset()

    # Scaling

    def scale_to(self, infra_id: str, node_name: str, count: int) -> ScaleRequest:
        """Request this number of instances of a node, within its limits. The next maintenance pass applies it.

        Raises `NoSuchInfrastructureError`, `NoSuchNodeError`, `StoreError`; `BusyError` if it is being destroyed.
        """
        return self._request(infra_id, node_name, ScaleKind.SET, count)

    def scale_by(self, infra_id: str, node_name: str, count: int, instance: str = "") -> ScaleRequest:
        """Request this many more instances, or fewer if `count` is negative; see `scale_to`.

        `instance`, a node id or an address, names an instance to remove. By default the youngest are removed.
        """
        return self._request(infra_id, node_name, ScaleKind.CHANGE, count, instance)

    def replace(self, infra_id: str, node_name: str) -> ScaleRequest:
        """Request other instances in the place of all present ones of a node. The next maintenance pass begins that.

        New instances are made first; if one cannot be made, none is replaced. Each call is a request of its own, but
        requests that one pass finds together have the effect of one. Raises the errors of `scale_to`.
        """
        return self._request(infra_id, node_name, ScaleKind.REPLACE, 0)

    # Notifications

    def subscribe(self, infra_id: str, type: str, properties: Mapping[str, Any]) -> None:
        """Send an infrastructure's events to an address that a client names; replaces an earlier address. Idempotent.

        Propagates the errors of `occopus_core.notify.subscribing.address_of`; raises `NoSuchInfrastructureError`,
        `StoreError`.
        """
        self.get(infra_id)
        own = self._installation
        address = address_of(own.settings.notify, own.registry, own.credentials, type, properties)
        self.store.outbox.subscribe(infra_id, type, address, SystemClock().now())

    new_id = staticmethod(new_id)

    def _request(self, infra_id: str, node_name: str, kind: ScaleKind, amount: int, instance: str = "") -> ScaleRequest:
        refuse_dry_run(self._installation.settings)
        refuse_unscalable(self.get(infra_id), node_name)
        instance = instance.encode(errors="replace").decode()  # databases refuse lone surrogates
        request = self.store.request_scaling(infra_id, node_name, kind, amount, instance, SystemClock().now())
        if self._background is not None:
            self._background.wake(infra_id)
        return request

    def _pass(self, infra_id: str, steps: Callable[[PassContext], Steps[T]]) -> T:
        refuse_impossible(infra_id)

        def attended(resources: Resources) -> Steps[T]:
            self._running = PassContext(resources, infra_id)
            return self._running.attended(steps(self._running))

        try:
            return self._installation.run(attended)
        finally:
            self._running = None

    def rounds(self, interval: float) -> MaintenanceLoop:
        """A maintenance loop for the caller's thread: attach infrastructures, then `run`. Raises `DryRunError`."""
        refuse_dry_run(self._installation.settings)
        return self._installation.rounds(self._installation.executor(), interval, self._on_error)
