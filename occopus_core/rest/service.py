"""Maintenance behind the API: each service on a store looks after its share of what is marked as maintained."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.manager import InfrastructureManager
from occopus_core.store.records import StoreError

BEAT_SECONDS = 2.0
"""How often a service says that it is there, and takes up what has fallen to it."""

ALIVE_SECONDS = 15.0
"""How long a service that says no more is taken for alive: as long as its leases last."""

LAST_SECONDS = 5.0
"""How long the end of maintenance is waited for."""


class Service:
    """One loop and one pool maintain everything that is this service's share; `close` drains it.

    `say` gets a line for the operator whenever maintenance finds its store away, or there again.
    """

    def __init__(self, manager: InfrastructureManager, interval: float, say: Callable[[str], None]) -> None:
        """`interval` is in seconds. Raises `StoreError`."""
        self.manager = manager
        self.store = manager.store
        self.name = uuid.uuid4().hex
        self.stopping = threading.Event()
        self.adding = threading.Lock()
        """Held while infrastructures are counted and one is added: requests of the same moment count, too."""
        self._say = say
        self._rounds: MaintenanceLoop = manager.rounds(interval)
        self._threads = [
            threading.Thread(target=self._rounds.run, name="occopus-maintenance", daemon=True),
            threading.Thread(target=self._take_up, name="occopus-upkeep", daemon=True),
        ]

    def start(self) -> None:
        """Begin to maintain."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop maintaining: passes stop where they are, and other services, or the next one, carry on."""
        self.stopping.set()
        self._rounds.stop()
        for thread in self._threads:
            thread.join(LAST_SECONDS)
        with contextlib.suppress(StoreError):  # it counts as gone in a few seconds anyway
            self.store.service.leave(self.name)

    @property
    def alive(self) -> bool:
        """True while maintenance goes on."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def share(self) -> frozenset[str]:
        """The infrastructures that this service looks after at present."""
        return self._rounds.attached

    def maintain(self, infra_id: str) -> None:
        """Have an infrastructure maintained from now on. Idempotent. Raises `NoSuchInfrastructureError`."""
        self.store.service.mark(infra_id, maintained=True)
        self.begin(infra_id)

    def begin(self, infra_id: str) -> None:
        """Begin with an infrastructure that is marked to be maintained, rather than when it is come across."""
        self._rounds.attach(infra_id)  # whoever's share it is, its first pass need not wait; leases keep order

    def wake(self, infra_id: str) -> None:
        """Have requests applied at once, if the infrastructure is maintained here."""
        self._rounds.wake(infra_id)

    def leave(self, infra_id: str) -> None:
        """Have it maintained no more. Idempotent. Raises `NoSuchInfrastructureError`."""
        self.store.service.mark(infra_id, maintained=False)
        self._rounds.detach(infra_id)

    def destroy(self, infra_id: str) -> None:
        """Have it destroyed as soon as can be. Idempotent. Raises `NoSuchInfrastructureError`."""
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
        mine = frozenset(one for one in self.store.service.maintained() if keeper(one, names) == self.name)
        for infra_id in mine - self.share:
            self._rounds.attach(infra_id)
        for infra_id in self.share - mine:  # a pass under way, such as the first of what was made here, still ends
            self._rounds.detach(infra_id)


def keeper(infra_id: str, names: Sequence[str]) -> str:
    """Who of these services looks after an infrastructure: all agree on it without a word.

    When one comes or goes, only its own share moves (rendezvous hashing).
    """
    return max(names, key=lambda name: hashlib.sha256(f"{name} {infra_id}".encode()).digest())
