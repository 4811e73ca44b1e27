"""Stand-ins: a process that dies on time, plugins that do as they are told, threads that wait to be let go."""

import contextlib
from concurrent.futures import Executor, Future

from occopus_core.api import (
    ConfigManager,
    ConfigState,
    ConfigStatus,
    Context,
    ContextForm,
    Contextualiser,
    HealthChecker,
    Verdict,
)
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.repository import Store
from occopus_core.testing.time import VirtualClock


class KilledError(BaseException):
    """The process is no more: nothing may catch this."""


class Life:
    """Ends at the n-th moment of one kind; from then on nothing works any more."""

    def __init__(self, kind, moments):
        self._kind = kind
        self._left = moments
        self.over = False

    def moment(self, kind):
        if kind == self._kind and not self.over:
            self._left -= 1
            self.over = not self._left
        if self.over:
            raise KilledError


class MortalStore(Store):
    """The store as seen by a process with a life of its own."""

    def __init__(self, store, life):
        super().__init__(store._database)
        self._life = life

    def add_infrastructure(self, *arguments, **how):
        self._life.moment("before commit")
        lease = super().add_infrastructure(*arguments, **how)
        self._life.moment("after commit")
        return lease

    @contextlib.contextmanager
    def changing(self, lease, **how):
        with super().changing(lease, **how) as change:
            yield change
            self._life.moment("before commit")
        self._life.moment("after commit")

    def release(self, lease):
        self._life.moment("release")
        super().release(lease)


class HeldExecutor(Executor):
    """Keeps calls until `go` lets the oldest one go."""

    def __init__(self):
        self.held = []

    def submit(self, fn, /, *args, **kwargs):
        self.held.append(lambda: fn(*args, **kwargs))
        return Future()

    def go(self):
        self.held.pop(0)()


def health_checker(answer):
    """A checker which answers `answer(probe)` for each probe; `asked` has the probes of each call."""

    class Checker(HealthChecker):
        asked = []

        @classmethod
        def schema(cls):
            return {}

        def check(self, probes):
            self.asked.append(list(probes))
            return [answer(probe) for probe in probes]

    return Checker


def contextualiser(answer=Context):
    """A contextualiser that makes its context by calling `answer`, whose `user data` is its only form."""

    class Made(Contextualiser):
        contract_version = 1
        forms = frozenset({ContextForm.USER_DATA})

        @classmethod
        def schema(cls):
            return {"type": "object"}

        def contextualise(self, section, render):
            return answer()

    return Made


def healthy_after(looks):
    """Answers that a node is unhealthy so many times, then healthy."""
    seen = {}

    def answer(probe):
        seen[probe.node_id] = seen.get(probe.node_id, 0) + 1
        return Verdict(True) if seen[probe.node_id] > looks else Verdict(False, f"look {seen[probe.node_id]}: not yet")

    return answer


def config_manager(pending=0, **errors):  # noqa: C901  # its methods are counted in
    """A configuration manager whose nodes are ready after `pending` looks.

    `errors` has, by method, what its first calls raise; `log` has (method, node name or infrastructure).
    """

    class Manager(ConfigManager):
        log = []
        nodes = {}
        looks = {}

        @classmethod
        def schema(cls):
            return {}

        def _call(self, method, *names):
            self.log.extend((method, name) for name in names)
            if errors.get(method):
                error = errors[method].pop(0)
                if error is not None:
                    raise error

        def template_variables(self, node):
            return {"fake": {"greeting": f"hello {node.node_name}"}}

        def register(self, node):
            self._call("register", node.node_name)
            self.nodes[node.node_name] = node

        def configure(self, node):
            self._call("configure", node.node_name)

        def status(self, nodes):
            self._call("status", *(node.node_name for node in nodes))
            for node in nodes:
                self.looks[node.node_id] = self.looks.get(node.node_id, 0) + 1
            return {node.node_id: self._state(node) for node in nodes if node.node_id in self.looks}

        def _state(self, node):
            if self.looks[node.node_id] > pending:
                return ConfigStatus(ConfigState.READY)
            return ConfigStatus(ConfigState.PENDING, "no converge seen")

        def forget(self, node):
            self._call("forget", node.node_name)

        def forget_infrastructure(self, infra_id):
            self._call("forget_infrastructure", infra_id)

    return Manager


class PatientClock(VirtualClock):
    """A clock on which nobody waits for more than an hour and a half altogether: what never ends is a failure."""

    def __init__(self):
        super().__init__()
        self._left = 5400.0

    def wait(self, inbox, seconds):
        before = self.time
        item = super().wait(inbox, seconds)
        self._left -= self.time - before
        assert self._left > 0, "the engine goes on waiting for something that does not happen"
        return item


def die(world, at, act):
    """Kill an act after so many commits; then the lease ends. Returns whether it was killed."""
    life = Life("after commit", at)
    with contextlib.suppress(KilledError):
        act(life)
    world.clock.time += LEASE_SECONDS + 1
    return life.over
