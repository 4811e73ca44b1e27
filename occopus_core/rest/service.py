"""Background maintenance: each service on a store maintains its share of the infrastructures."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.manager import InfrastructureManager
from occopus_core.store.records import NoSuchInfrastructureError, StoreError

BEAT_SECONDS = 2.0
"""How often a service announces that it runs, and attaches infrastructures of its share."""

ALIVE_SECONDS = 15.0
"""How long a service counts as alive after its last announcement: as long as its leases last."""

LAST_SECONDS = 5.0
"""How long the service waits for the end of maintenance."""


class Service:
    """Maintains the share of this service with one loop and one pool; `close` drains it.

    `say` gets a line for the operator when the store becomes unavailable, or available again.
    """

    def __init__(self, manager: InfrastructureManager, interval: float, say: Callable[[str], None]) -> None:
        """`interval` is in seconds. Raises `StoreError`."""
        self.manager = manager
        self.store = manager.store
        self.name = uuid.uuid4().hex
        self.stopping = threading.Event()
        self.adding = threading.Lock()
        """Held while infrastructures are counted and one is added, so that concurrent requests are counted."""
        self._say = say
        self._rounds: MaintenanceLoop = manager.rounds(interval)
        self._threads = [
            threading.Thread(target=self._rounds.run, name="occopus-maintenance", daemon=True),
            threading.Thread(target=self._take_up, name="occopus-upkeep", daemon=True),
        ]

    def start(self) -> None:
        """Start to maintain."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop maintaining: passes stop where they are; other services, or a new one, continue."""
        self.stopping.set()
        self._rounds.stop()
        for thread in self._threads:
            thread.join(LAST_SECONDS)
        with contextlib.suppress(StoreError):  # its announcement expires in a few seconds
            self.store.service.leave(self.name)

    @property
    def alive(self) -> bool:
        """True while maintenance runs."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def share(self) -> frozenset[str]:
        """The infrastructures that this service maintains at present."""
        return self._rounds.attached

    def maintain(self, infra_id: str) -> None:
        """Start to maintain an infrastructure. Idempotent. Raises `NoSuchInfrastructureError`."""
        self.store.service.mark(infra_id, maintained=True)
        self.begin(infra_id)

    def begin(self, infra_id: str) -> None:
        """Start with a maintained infrastructure at once, not at the next check of the share."""
        self._rounds.attach(infra_id)  # even in the share of another service; leases prevent conflicts

    def wake(self, infra_id: str) -> None:
        """Apply requests at once, if the infrastructure is maintained here."""
        self._rounds.wake(infra_id)

    def update(self, infra_id: str) -> None:
        """Build the description that was requested for it as soon as possible."""
        self.begin(infra_id)
        self.wake(infra_id)

    def leave(self, infra_id: str) -> None:
        """Stop maintaining an infrastructure. Idempotent. Raises `NoSuchInfrastructureError`."""
        self.store.service.mark(infra_id, maintained=False)
        self._rounds.detach(infra_id)

    def destroy(self, infra_id: str) -> None:
        """Destroy an infrastructure as soon as possible. Idempotent. Raises `NoSuchInfrastructureError`."""
        self.store.request_destroy(infra_id)
        self.store.service.mark(infra_id, maintained=True)
        self._rounds.hurry(infra_id)

    def _take_up(self) -> None:
        away = ""
        while not self.stopping.is_set():
            try:
                self._divide()
                if away:
                    self._say("the store can be used again")
                away = ""
            except StoreError as error:
                if str(error) != away:
                    self._say(f"error: {error}: tried again")
                away = str(error)
            self.stopping.wait(BEAT_SECONDS)

    def _divide(self) -> None:
        names = self.store.service.beat(self.name, time.time(), ALIVE_SECONDS)
        for infra_id in self.store.service.expired(time.time()):  # whether or not services maintain it: it costs money
            with contextlib.suppress(NoSuchInfrastructureError):
                self.store.service.mark(infra_id, maintained=True)
        mine = frozenset(one for one in self.store.service.maintained() if keeper(one, names) == self.name)
        for infra_id in mine - self.share:
            self._rounds.attach(infra_id)
        for infra_id in self.share - mine:  # a running pass, such as a first one started here, still ends
            self._rounds.detach(infra_id)


def keeper(infra_id: str, names: Sequence[str]) -> str:
    """The service that maintains an infrastructure; every service computes the same result.

    When a service starts or ends, only its own share moves (rendezvous hashing).
    """
    return max(names, key=lambda name: hashlib.sha256(f"{name} {infra_id}".encode()).digest())
