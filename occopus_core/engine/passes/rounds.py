"""Maintenance of any number of infrastructures, over and over: one loop, one bounded pool."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.passes.abandoned import forget_abandoned
from occopus_core.engine.passes.errors import AbandonedError, BusyError, Passed
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.engine.passes.quiet import Known, Tick
from occopus_core.engine.passes.site import Resources, Site
from occopus_core.store.records import NoSuchInfrastructureError, StoreError

STOP_SECONDS = 0.8
"""How long the end of the passes under way is waited for when maintenance stops."""

SLOTS_PER_INTERVAL = 10
"""Passes begin at so many moments of an interval only: those that begin together ask a provider in one call."""

FORGET_SECONDS = 60.0
"""How often configuration managers are asked to forget what belonged to infrastructures that are gone."""

WAKE_SECONDS = 1.0
"""How often changes that other processes have made are looked for."""

MIN_PER_SLOT = 20
"""So many passes may always begin together. More are spread over the interval, lest everything else stands still."""


class Rounds:
    """Passes over infrastructures, each again `interval` seconds, or a little less, after its last one has ended.

    An error of a pass (the store away, a failed build) is told once, until it changes, and the next pass tries again.
    `told` gets the id and the message, empty when all is well again.
    """

    def __init__(self, resources: Resources, interval: float, told: Callable[[str, str], None]) -> None:
        self._resources = resources
        self._interval = interval
        self._told = told
        self._sites: dict[str, Site] = {}
        self._under_way: dict[str, Site] = {}
        self._leaving: dict[str, list[Callable[[], None]]] = {}
        self._errors: dict[str, str] = {}
        self._begun = False
        self._stopping = False
        self._late = False
        self._slots: dict[int, list[tuple[Site, int]]] = {}
        """By the number of the slot: whose turn it is then, each with the number of its pass."""
        self._forget_at = -math.inf
        self._turns: Counter[str] = Counter()
        """By id: the number of its next pass, so that one that was brought forward is not made twice."""
        self._busy: set[str] = set()
        """Those that another process was working on at their last pass."""
        self._ticking: dict[str, Site] = {}
        """Those among the ones under way that are looked at without a pass."""
        self._ticks: list[Tick] = []
        self._revision = -1
        """The revision of the store up to which changes were heard of."""

    @property
    def attached(self) -> frozenset[str]:
        """The infrastructures that are maintained. Any thread may ask."""
        return frozenset(self._sites)

    def attach(self, infra_id: str, done: Callable[[], None] = lambda: None) -> None:
        """Maintain this infrastructure from now on; `done` is called once it is. Idempotent; any thread may ask."""
        self._resources.loop.post(lambda: self._attach(infra_id, done))

    def hurry(self, infra_id: str) -> None:
        """Maintain this infrastructure from now on, with a pass as soon as can be. Any thread may ask."""
        self.detach(infra_id)
        self.attach(infra_id)

    def wake(self, infra_id: str) -> None:
        """Make a pass over this infrastructure now, if it is maintained here. Any thread may ask."""
        self._resources.loop.post(lambda: self._wake(infra_id))

    def detach(self, infra_id: str, done: Callable[[], None] = lambda: None) -> None:
        """Leave it alone after the present pass, then call `done`. Idempotent; any thread may ask."""
        self._resources.loop.post(lambda: self._detach(infra_id, done))

    def stop(self) -> None:
        """End soon: passes under way stop where they are, and the next one, of whichever process, carries on.

        Safe in a signal handler.
        """
        self._resources.loop.post(self._stop)

    def run(self, *, until_none_left: bool = False) -> None:
        """Maintain until stopped, or until the last infrastructure is gone."""
        self._watch()
        self._resources.loop.run_until(lambda: self._over(until_none_left=until_none_left))

    def _over(self, *, until_none_left: bool) -> bool:
        if until_none_left and self._begun and not self._sites and not self._under_way:
            return True
        return self._stopping and (not self._under_way or self._late)

    def _attach(self, infra_id: str, done: Callable[[], None]) -> None:
        self._begun = True
        if infra_id not in self._sites:
            self._sites[infra_id] = Site(self._resources, infra_id)
            self._pass(self._sites[infra_id])
        done()

    def _wake(self, infra_id: str) -> None:
        site = self._sites.get(infra_id)
        if infra_id in self._under_way:
            self._under_way[infra_id].wake()
        elif site is not None:
            self._pass(site)

    def _detach(self, infra_id: str, done: Callable[[], None]) -> None:
        self._sites.pop(infra_id, None)
        if infra_id in self._under_way:
            self._under_way[infra_id].interval = None  # what is under way ends, and nothing more is looked for
            self._leaving.setdefault(infra_id, []).append(done)
        else:
            done()

    def _stop(self) -> None:
        self._stopping = True
        for site in list(self._under_way.values()):
            if site.infra_id in self._ticking:  # nothing was begun
                self._ended(site, Outcome(error=AbandonedError()))
            else:
                site.interrupt("maintenance stops")
        self._resources.loop.after(STOP_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._late = True

    # What has changed

    def _watch(self) -> None:
        self._notice_changes()
        self._ticks = [tick for tick in self._ticks if not tick.expire()]
        if not self._stopping:
            self._resources.loop.after(WAKE_SECONDS, self._watch)

    def _notice_changes(self) -> bool:
        """Wake what somebody else has changed, or made a request for. False where the store is away."""
        try:
            found = self._resources.store.revisions.since(self._revision)
        except StoreError:  # a pass reports it
            return False
        self._revision = found.store
        for infra_id, revision in found.changed.items():
            self._notice(infra_id, revision)
        if found.present is not None:
            for infra_id in self._sites.keys() - found.present:
                self._notice(infra_id, found.store)
        return True

    def _notice(self, infra_id: str, revision: int) -> None:
        site = self._sites.get(infra_id)
        if site is None:
            return
        site.noticed = revision
        if infra_id in self._busy:  # the process that works on it has changed it
            site.revision = revision
        elif site.is_outdated:
            self._wake(infra_id)

    # Looking

    def _begin(self, turns: Iterable[tuple[Site, int]]) -> None:
        """Look together at what was quiet and has not changed; make passes over the others."""
        sites = [site for site, turn in turns if self._turns[site.infra_id] == turn and self._may_begin(site)]
        if not sites:
            return
        self._resources.connections.renew()
        self._forget_abandoned()
        current = self._notice_changes()
        quiet: dict[str, Known] = {}
        for site in sites:
            if current and self._is_known(site) and site.known is not None:
                quiet[site.infra_id] = site.known
            else:
                self._pass(site)
        if quiet:
            self._tick(quiet)

    def _may_begin(self, site: Site) -> bool:
        attached = self._sites.get(site.infra_id) is site
        return attached and not self._stopping and site.infra_id not in self._under_way

    def _is_known(self, site: Site) -> bool:
        """Whether what was found of it holds, as far as the store and the credentials go."""
        known, renewals = site.known, self._resources.connections.renewals
        return known is not None and not site.is_outdated and known.credentials == renewals and self._may_begin(site)

    def _tick(self, quiet: Mapping[str, Known]) -> None:
        resources, began = self._resources, self._resources.loop.clock.monotonic()
        for infra_id in quiet:
            self._under_way[infra_id] = self._ticking[infra_id] = self._sites[infra_id]
            self._turns[infra_id] += 1

        def found(infra_id: str, quiet: bool) -> None:
            site = self._ticking.get(infra_id)
            if site is not None:
                self._looked(site, began, quiet=quiet)

        tick = Tick(resources.loop.clock, resources.observatory, resources.checks, found)
        self._ticks.append(tick)
        tick.begin(quiet)

    def _looked(self, site: Site, began: float, *, quiet: bool) -> None:
        loop = self._resources.loop
        if not quiet and self._sites.get(site.infra_id) is site:
            del self._under_way[site.infra_id], self._ticking[site.infra_id]
            self._pass(site)
            return
        site.pause()
        outcome = Outcome.of(site.rest)
        loop.meter.passed(loop.clock.monotonic() - began, outcome.error)
        self._ended(site, Outcome(value=Passed(), error=outcome.error))

    def _pass(self, site: Site) -> None:
        if not self._may_begin(site):
            return
        self._under_way[site.infra_id] = site
        self._turns[site.infra_id] += 1
        self._busy.discard(site.infra_id)
        self._resources.connections.renew()
        self._forget_abandoned()
        site.begin_anew()
        site.interval = self._interval
        loop = self._resources.loop
        began = loop.clock.monotonic()

        def ended(outcome: Outcome[Passed]) -> None:
            loop.meter.passed(loop.clock.monotonic() - began, outcome.error)
            self._ended(site, outcome)

        loop.begin(site.attended(maintain(site)), ended)

    def _forget_abandoned(self) -> None:
        """Now and then: what configuration managers hold for infrastructures that are gone."""
        loop = self._resources.loop
        if loop.clock.monotonic() >= self._forget_at:
            self._forget_at = loop.clock.monotonic() + FORGET_SECONDS
            loop.begin(forget_abandoned(self._resources), lambda _outcome: None)

    def _ended(self, site: Site, outcome: Outcome[Passed]) -> None:
        infra_id = site.infra_id
        del self._under_way[infra_id]
        self._ticking.pop(infra_id, None)
        if isinstance(outcome.error, NoSuchInfrastructureError):
            self._sites.pop(infra_id, None)
            self._turns.pop(infra_id, None)
            self._errors.pop(infra_id, None)
        elif isinstance(outcome.error, BusyError):
            self._busy.add(infra_id)
            site.revision = site.noticed
        elif not isinstance(outcome.error, AbandonedError):  # which says nothing of how it fares
            self._tell(infra_id, _words(outcome.error))
        for done in self._leaving.pop(infra_id, ()):
            done()
        successor = self._sites.get(infra_id)
        again = site.is_woken or site.is_outdated
        if successor is site and again and isinstance(outcome.error, AbandonedError | None):
            self._pass(site)
        elif successor is site:
            self._pass_later(site)
        elif successor is not None:  # detached and attached again meanwhile
            self._pass(successor)

    def _pass_later(self, site: Site) -> None:
        """In the last slot that is not more than an interval away and not crowded."""
        loop, length, turn = self._resources.loop, self._interval / SLOTS_PER_INTERVAL, self._turns[site.infra_id]
        if not length:
            loop.after(0.0, lambda: self._begin([(site, turn)]))
            return
        now = loop.clock.monotonic()
        last = int((now + self._interval) / length)
        room = max(MIN_PER_SLOT, math.ceil(len(self._sites) / SLOTS_PER_INTERVAL))
        slots = range(last, last - SLOTS_PER_INTERVAL, -1)
        slot = next((one for one in slots if len(self._slots.get(one, ())) < room), last)
        if slot not in self._slots:
            self._slots[slot] = []
            loop.after(slot * length - now, lambda: self._begin(self._slots.pop(slot)))
        self._slots[slot].append((site, turn))

    def _tell(self, infra_id: str, text: str) -> None:
        if self._errors.get(infra_id, "") != text:
            self._errors[infra_id] = text
            self._told(infra_id, text)


def _words(error: Exception | None) -> str:
    if error is None:
        return ""
    # An error of Python's own is a mistake of ours, and its text means little alone.
    return f"{type(error).__name__}: {error}" if type(error).__module__ == "builtins" else str(error)
