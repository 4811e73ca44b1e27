"""Delivers the events of the log to each notifier, in order and at least once.

Each notifier has its own thread. Passes never wait for notifiers, and a notifier that is down delays no other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from occopus_core.api.errors import AuthError, NotFoundError, PermanentError, ProviderError, ThrottledError
from occopus_core.api.notify import Notification, Notifier
from occopus_core.api.resource import Connection
from occopus_core.credentials import Credentials
from occopus_core.engine.kernel.clock import Clock, SystemClock
from occopus_core.engine.kernel.guard import is_of_plugin
from occopus_core.engine.kernel.intervals import backoff
from occopus_core.engine.kernel.stand_in import made, with_sound_attributes
from occopus_core.error_place import breach_text, described
from occopus_core.events import FORMER_NAMES
from occopus_core.redaction import Redactor
from occopus_core.registry import PluginError, Registry
from occopus_core.settings import NotifierSettings
from occopus_core.sound_errors import sound
from occopus_core.store.outbox import DELIVERY_SECONDS, Outbox
from occopus_core.store.records import StoredEvent, StoreError

INTERVAL = 1.0
"""Seconds between two queries of a log without new events."""

CALL_TIMEOUT = DELIVERY_SECONDS / 3
"""The longest time, in seconds, of one notifier call: it must end before another process may deliver."""

REFUSED_SECONDS = 300.0
"""How long, in seconds, a notifier is not called after its credentials were refused."""

LONGEST_PAUSE = 3600.0
"""The longest pause, in seconds, that a receiver can ask for."""

_NAMES = {kind.value: name for kind, name in FORMER_NAMES.items()}


class Route:
    """Delivers the log to one notifier. It pauses after failures; pauses are not stored."""

    def __init__(
        self,
        make: Callable[[], Notifier],
        settings: NotifierSettings,
        outbox: Outbox,
        clock: Clock,
        rng: random.Random,
        report: Callable[[str], None],
        who: Callable[[], str] = lambda: "the notifier",
        redact: Callable[[str], str] = str,
    ) -> None:
        """`make` returns the notifier, and may raise: a turn calls it until it has returned one.

        `report` gets each problem once, until it changes or is solved. `who` and `redact` are those of `guarded`.
        """
        self._make = make
        self._made: Notifier | None = None
        self._call: tuple[str, float] | None = None
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._report = report
        self._who, self._redact = who, redact
        self._failures = 0
        self._not_before = 0.0
        self._trouble = ""

    def register(self) -> None:
        """Register a new notifier at the present end of the log. Never raises: a failed registration is tried again."""
        try:
            self._outbox.register(self._settings.name)
        except StoreError as error:
            self._fail(error)

    def turn(self) -> float:
        """Deliver all new events, unless in a pause. Returns the seconds until the next turn. Never raises."""
        rest = self._not_before - self._clock.monotonic()
        if rest > 0:
            return rest
        try:
            self._outbox.register(self._settings.name)
            notifier = self._notifier()
            while self._deliver(notifier):
                pass
        except BaseException as error:
            if not is_of_plugin(error):
                raise
            return self._fail(error)  # whatever it is, the next turn tries again
        return INTERVAL

    def watch(self, seconds: float) -> None:
        """Report a call of the notifier that has not returned for this long. Thread-safe."""
        call = self._call
        if call is not None and self._clock.monotonic() - call[1] > seconds:
            self._report_once(
                f"notifications to '{self._settings.label}' are late: {self._who()} does not return from {call[0]}"
            )

    def _notifier(self) -> Notifier:
        """The notifier, which is made at its first use. Raises `ProviderError`."""
        if self._made is None:
            with self._calling("its constructor"):
                self._made = made(self._make, self._who(), self._redact)
        return self._made

    @contextlib.contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        self._call = (what, self._clock.monotonic())
        try:
            yield
        finally:
            self._call = None

    def _deliver(self, notifier: Notifier) -> bool:
        """Deliver the next batch; False if there is none. After a crash the batch is delivered again."""
        consignment = self._outbox.take(self._settings.name, self._clock.now())
        if consignment is None:
            return False
        batch, cursor = self._next(notifier, consignment.events)
        try:
            self._send(notifier, batch)
        except BaseException as error:
            if is_of_plugin(error):
                with contextlib.suppress(StoreError):  # the batch is then free after `DELIVERY_SECONDS`
                    self._outbox.give_back(consignment)
            raise
        self._outbox.advance(consignment, cursor)
        return True

    def _next(self, notifier: Notifier, events: Sequence[StoredEvent]) -> tuple[Sequence[StoredEvent], int]:
        """The events for one call, and the id up to which the log is delivered after it."""
        wanted = [event for event in events if self._is_wanted(event)]
        batch = wanted[: notifier.batch_size]
        return batch, (events if len(batch) == len(wanted) else batch)[-1].id

    def _addressed(self, notifier: Notifier, batch: Sequence[StoredEvent]) -> list[Notification]:
        """The notifications to send. A notifier for subscribers gets only events that a client subscribed to."""
        notifications = [notification(event) for event in batch]
        if not notifier.tells_subscribers:
            return notifications
        known = self._outbox.subscribers(self._settings.type, {each.infra_id for each in notifications})
        return [
            dataclasses.replace(each, subscriber=known[each.infra_id])
            for each in notifications
            if each.infra_id in known
        ]

    def _is_wanted(self, event: StoredEvent) -> bool:
        kinds, ids = self._settings.events, self._settings.infrastructures
        return (not kinds or event.kind in kinds) and (not ids or event.infra_id in ids)

    def _send(self, notifier: Notifier, batch: Sequence[StoredEvent]) -> None:
        """Call the notifier. Propagates its errors, except a permanent refusal, which is reported."""
        notifications = self._addressed(notifier, batch)
        if not notifications:
            return
        trouble = ""
        try:
            with self._calling("send()"):
                notifier.send([*notifications])
        except ProviderError as raised:
            error = sound(raised, self._redact, lambda how: breach_text(self._who(), f"send() raised {how}"))
            if not isinstance(error, PermanentError | NotFoundError):
                raise error from None
            trouble = f"'{self._settings.label}' refuses notifications, which are dropped: {error.message}"
        self._failures = 0
        self._report_once(trouble)

    def _fail(self, error: BaseException) -> float:
        self._failures += 1
        pause = self._pause(error)
        self._not_before = self._clock.monotonic() + pause
        self._report_once(f"notifications to '{self._settings.label}' are late: {self._reason(error)}")
        return pause

    def _pause(self, error: BaseException) -> float:
        if isinstance(error, AuthError):
            return REFUSED_SECONDS
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_PAUSE)
        return backoff(self._failures, self._rng)

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, ProviderError):
            return error.message
        if isinstance(error, StoreError):
            return str(error)
        # The text of such an error may contain secrets.
        return breach_text(self._who(), f"it raised {described(error)}")

    def _report_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._report(trouble)
        self._trouble = trouble


class Delivery:
    """The delivery to all notifiers, each in its own thread."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._threads: list[threading.Thread] = []
        self._finishing = threading.Event()

    def start(self) -> None:
        """Start to deliver, including events recorded right after this call. Idempotent; never raises."""
        if self._threads:
            return
        for route in self._routes:
            route.register()
            thread = threading.Thread(target=self._attend, args=(route,), name="occopus-delivery", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self._threads:
            threading.Thread(target=self._watch, name="occopus-delivery-watch", daemon=True).start()

    def finish(self, seconds: float) -> None:
        """Deliver all recorded events within this many seconds, then stop; the next process delivers the rest."""
        self._finishing.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for route in self._routes:
            route.watch(seconds / 2)

    def _attend(self, route: Route) -> None:
        while True:
            # The last turn starts after `finish` was called, so events recorded before that are delivered.
            last = self._finishing.is_set()
            pause = route.turn()
            if last:
                return
            self._finishing.wait(pause)

    def _watch(self) -> None:
        while not self._finishing.wait(INTERVAL):
            for route in self._routes:
                route.watch(CALL_TIMEOUT)


def make_delivery(
    notifiers: Sequence[NotifierSettings],
    registry: Registry,
    credentials: Credentials,
    outbox: Outbox,
    report: Callable[[str], None],
) -> Delivery:
    """The delivery for these notifiers; its reports contain no secrets. Raises `DescriptionError`.

    A notifier that cannot be loaded or set up is one that cannot send.
    """
    redact = Redactor(credentials.secrets())
    clock, rng = SystemClock(), random.Random()
    routes = []
    for one in notifiers:
        make = functools.partial(_usable, registry, _connection(one, credentials))
        who = functools.partial(registry.named, "notify", one.type, one.label)
        routes.append(Route(make, one, outbox, clock, rng, lambda text: report(redact(text)), who, redact))
    return Delivery(routes)


def _usable(registry: Registry, connection: Connection) -> Notifier:
    """The notifier object. Raises `PermanentError` where the plugin cannot be loaded; the plugin may raise anything."""
    try:
        registry.schema("notify", connection.type)
        plugin = registry.notify(connection.type)
    except PluginError as error:
        raise PermanentError(str(error)) from None
    return with_sound_attributes(plugin, lambda: registry.named("notify", connection.type))(connection)


def made_notifier(settings: NotifierSettings, registry: Registry, credentials: Credentials) -> Notifier:
    """The notifier object with the settings of the installation. Raises `PluginError`, `DescriptionError`."""
    return registry.notify(settings.type)(_connection(settings, credentials))


def _connection(settings: NotifierSettings, credentials: Credentials) -> Connection:
    auth = credentials.find("notify", {**settings.settings, "type": settings.type, "name": settings.name})
    return Connection(settings.type, settings.settings, auth, CALL_TIMEOUT)


def notification(event: StoredEvent) -> Notification:
    """The notification for an event."""
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
