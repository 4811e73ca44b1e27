"""Tells the outside what the log says: to each notifier in order, and at least once.

Each notifier has a thread of its own. No pass waits for one, and one that is away keeps only its own notifications.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from occopus_core.api.errors import AuthError, NotFoundError, PermanentError, ProviderError, ThrottledError
from occopus_core.api.notify import Notification, Notifier
from occopus_core.api.resource import Connection
from occopus_core.credentials import Credentials, Redactor
from occopus_core.engine.kernel.clock import Clock, SystemClock
from occopus_core.engine.kernel.intervals import backoff
from occopus_core.events import FORMER_NAMES
from occopus_core.registry import Registry
from occopus_core.settings import NotifierSettings
from occopus_core.store.outbox import DELIVERY_SECONDS, Outbox
from occopus_core.store.records import StoredEvent, StoreError

INTERVAL = 1.0
"""Seconds between two looks at a log that had nothing new."""

CALL_TIMEOUT = DELIVERY_SECONDS / 3
"""Seconds that one call of a notifier may take: it must be over while nobody else may deliver."""

REFUSED_SECONDS = 300.0
"""How long a notifier whose credentials were refused is left alone."""

LONGEST_PAUSE = 3600.0
"""The longest rest in seconds that a receiver may ask for."""

_NAMES = {kind.value: name for kind, name in FORMER_NAMES.items()}


class Route:
    """The way of the log to one notifier. After failures it rests, which is forgotten with the process."""

    def __init__(
        self,
        notifier: Notifier,
        settings: NotifierSettings,
        outbox: Outbox,
        clock: Clock,
        rng: random.Random,
        told: Callable[[str], None],
    ) -> None:
        """`told` gets what is wrong, once until it changes or is over."""
        self._notifier = notifier
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._told = told
        self._failures = 0
        self._not_before = 0.0
        self._trouble = ""

    def register(self) -> None:
        """Have a new notifier begin here and now. Never raises: one that could not be registered is tried again."""
        try:
            self._outbox.register(self._settings.name)
        except StoreError as error:
            self._fail(error)

    def turn(self) -> float:
        """Deliver all that is new, unless it rests; the seconds until the next turn. Never raises."""
        rest = self._not_before - self._clock.monotonic()
        if rest > 0:
            return rest
        try:
            self._outbox.register(self._settings.name)
            while self._deliver():
                pass
        except Exception as error:  # noqa: BLE001  # whatever it is, the next turn tries again
            return self._fail(error)
        return INTERVAL

    def _deliver(self) -> bool:
        """Deliver the next batch; False where there is none. A crash on the way has it delivered again."""
        consignment = self._outbox.take(self._settings.name, self._clock.now())
        if consignment is None:
            return False
        batch, cursor = self._next(consignment.events)
        try:
            self._send(batch)
        except Exception:
            with contextlib.suppress(StoreError):  # nobody gives it back then, and it is free after a while
                self._outbox.give_back(consignment)
            raise
        self._outbox.advance(consignment, cursor)
        return True

    def _next(self, events: Sequence[StoredEvent]) -> tuple[Sequence[StoredEvent], int]:
        """The events to be told in one call, and the id up to which the log is done with then."""
        wanted = [event for event in events if self._is_wanted(event)]
        batch = wanted[: self._notifier.batch_size]
        return batch, (events if len(batch) == len(wanted) else batch)[-1].id

    def _addressed(self, batch: Sequence[StoredEvent]) -> list[Notification]:
        """What is sent. A notifier that tells subscribers gets nothing that nobody has asked for."""
        told = [notification(event) for event in batch]
        if not self._notifier.tells_subscribers:
            return told
        known = self._outbox.subscribers(self._settings.type, {one.infra_id for one in told})
        return [dataclasses.replace(one, subscriber=known[one.infra_id]) for one in told if one.infra_id in known]

    def _is_wanted(self, event: StoredEvent) -> bool:
        kinds, ids = self._settings.events, self._settings.infrastructures
        return (not kinds or event.kind in kinds) and (not ids or event.infra_id in ids)

    def _send(self, batch: Sequence[StoredEvent]) -> None:
        """Raises what the notifier raises, but for a refusal for good, which is told."""
        told = self._addressed(batch)
        if not told:
            return
        trouble = ""
        try:
            self._notifier.send(told)
        except (PermanentError, NotFoundError) as error:
            trouble = f"'{self._settings.name}' refuses notifications, which are dropped: {error.message}"
        self._failures = 0
        self._tell(trouble)

    def _fail(self, error: Exception) -> float:
        self._failures += 1
        pause = self._pause(error)
        self._not_before = self._clock.monotonic() + pause
        self._tell(f"notifications to '{self._settings.name}' are late: {_reason(error)}")
        return pause

    def _pause(self, error: Exception) -> float:
        if isinstance(error, AuthError):
            return REFUSED_SECONDS
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_PAUSE)
        return backoff(self._failures, self._rng)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._told(trouble)
        self._trouble = trouble


class Delivery:
    """All notifiers, each in a thread of its own while the delivery is at work."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._threads: list[threading.Thread] = []
        self._finishing = threading.Event()

    def start(self) -> None:
        """Deliver from now on, also what happens right after this call. Idempotent; never raises."""
        if self._threads:
            return
        for route in self._routes:
            route.register()
            thread = threading.Thread(target=self._attend, args=(route,), name="occopus-delivery", daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self, seconds: float) -> None:
        """Deliver what there is and stop, within so many seconds; what is left is for whoever starts next."""
        self._finishing.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _attend(self, route: Route) -> None:
        while True:
            # The last turn begins after `finish` was called: what was recorded before is delivered.
            last = self._finishing.is_set()
            pause = route.turn()
            if last:
                return
            self._finishing.wait(pause)


def make_delivery(
    notifiers: Sequence[NotifierSettings],
    registry: Registry,
    credentials: Credentials,
    outbox: Outbox,
    told: Callable[[str], None],
) -> Delivery:
    """The delivery for these notifiers; what it tells holds no secret. Raises `PluginError`, `DescriptionError`."""
    redact = Redactor(credentials.secrets())
    clock, rng = SystemClock(), random.Random()
    routes = [
        Route(made_notifier(one, registry, credentials), one, outbox, clock, rng, lambda text: told(redact(text)))
        for one in notifiers
    ]
    return Delivery(routes)


def made_notifier(settings: NotifierSettings, registry: Registry, credentials: Credentials) -> Notifier:
    """The plugin's object with what the installation says to it. Raises `PluginError`, `DescriptionError`."""
    auth = credentials.find("notify", {**settings.settings, "type": settings.type, "name": settings.name})
    return registry.notify(settings.type)(Connection(settings.type, settings.settings, auth, CALL_TIMEOUT))


def notification(event: StoredEvent) -> Notification:
    """An event as the outside is told of it."""
    return Notification(
        id=event.id,
        infra_id=event.infra_id,
        event=event.kind,
        name=_NAMES.get(event.kind, ""),
        at=datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        node_name=event.node_name,
        node_id=event.node_id,
        text=event.text,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ProviderError):
        return error.message
    if isinstance(error, StoreError):
        return str(error)
    # Nobody has promised that its text holds no secret.
    return f"the plugin failed in a way its contract does not allow: {type(error).__name__}"
