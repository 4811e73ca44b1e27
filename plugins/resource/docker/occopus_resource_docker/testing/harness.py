"""The harness of the handler for the conformance suite: a real engine on this machine behind a proxy."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import PRINTED, Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_core.testing.standing import Unavailable, until_exit
from occopus_resource_docker import DockerHandler
from occopus_resource_docker.testing.engines import DockerEngine, Engine, missing
from occopus_resource_docker.testing.network import Network
from occopus_resource_docker.testing.proxy import Proxy, Rule
from occopus_resource_docker.testing.registry import Registry

ABSENT = "t-ffff"
REQUESTS: Mapping[Operation, str] = {
    "create": "^POST ",
    "describe": "^GET .*/containers/json",
    "list_owned": "^GET .*/containers/json",
    "delete": "^(GET .*/containers/json|DELETE )",
    "stop": "^(GET .*/containers/json|POST )",
    "logs": "^GET .*/containers/",
    "ensure": "^GET .*/images/",
}
LOST: Mapping[Operation, str] = {**REQUESTS, "delete": f"^(DELETE |GET .*={ABSENT})"}
"""The requests of each operation that take effect: a deletion first lists, and ends if nothing is there."""
REFUSALS: Mapping[Fault, Mapping[str, Any]] = {
    Fault.AUTH: {"status": 401, "message": "unauthorized"},
    Fault.QUOTA: {"status": 500, "message": "write /var/lib/docker/x: no space left on device"},
    Fault.THROTTLE: {"status": 429, "message": "too many requests", "retry_after": 2},
    Fault.PERMANENT: {"status": 400, "message": "bad parameter"},
    Fault.SERVER_ERROR: {"status": 500, "message": "an internal error"},
}
KINDS: Mapping[Fault, Any] = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}
CALL_SECONDS = 60.0
ENDED = 42
"""The exit code of a container that exits by itself."""


@dataclass(frozen=True)
class Stage:
    """An engine, its proxy, the registry it pulls from, and optionally one that needs a password."""

    engine: Engine
    proxy: Proxy
    registry: Registry
    private: Registry | None = None

    def handler(
        self, endpoint: str = "", *, auth: Mapping[str, str] | None = None, timeout: float = CALL_SECONDS
    ) -> DockerHandler:
        """A new handler for the proxy, or for another endpoint."""
        return DockerHandler(Connection("docker", {"endpoint": endpoint or self.proxy.endpoint}, auth or {}, timeout))


class DockerFaults(FaultInjector):
    """Fault rules of the proxy; for an unreachable provider it stops the proxy."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, stage: Stage) -> None:
        self._engine, self._proxy = stage.engine, stage.proxy
        self._rules: list[Rule] = []

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule for the requests of the operation, or stop the proxy."""
        if fault is Fault.REFUSED_CONNECTION:
            self._proxy.stop()
        elif fault in REFUSALS:
            self._add(Rule("refuse", REQUESTS[operation], **REFUSALS[fault]))
        else:
            self._add(Rule(KINDS[fault], (REQUESTS if fault is Fault.HANG else LOST)[operation]))

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the container fail."""
        key = self._engine.client().inspect_container(id)["Id"]
        self._add(Rule("refuse", f"^DELETE .*/{key}\\b", status=400, message="it is protected"))

    def reword(self, words: str, others: str) -> None:
        """Replace words in the lists of containers."""
        self._add(Rule("reworded", REQUESTS["describe"], words=words, message=others))

    def clear(self) -> None:
        """Start the proxy again and remove all rules."""
        self._proxy.start()
        self._rules = []
        self._proxy.set_rules([])

    def _add(self, rule: Rule) -> None:
        self._rules.append(rule)
        self._proxy.set_rules(self._rules)


class DockerHarness(ResourceHarness):
    """A given engine, or Docker's, which is started once for the process. Needs root, and `dockerd`."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("docker", "requests")
    page_size: ClassVar[int | None] = None  # an engine lists all containers at once
    not_applicable: ClassVar[Mapping[str, str]] = {
        "half_made_is_listed": "what is awaited before a container is made is an image, which has no owner",
    }

    def __init__(self, stage: Stage | None = None, endpoint: str = "") -> None:
        super().__init__()
        self.stage = stage if stage is not None else _shared_stage()
        self.endpoint = endpoint or self.stage.proxy.endpoint
        self.faults: DockerFaults = DockerFaults(self.stage)
        self._forget_image(f"{self.stage.registry.address}/tiny:1")

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the proxy."""
        return self.stage.handler(self.endpoint, timeout=call_timeout or CALL_SECONDS)

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A shell that sleeps. A ``stepwise`` request has to pull its image."""
        resource = {"endpoint": self.endpoint, "image": "tiny", "tag": "1", "origin": "local"}
        if kind == "missing":
            resource["image"] = "no-such-image"
        if kind == "stepwise":
            resource |= {"image": f"{self.stage.registry.address}/tiny", "origin": "dockerhub"}
        # The first process of a container ends only at signals that it handles.
        ends = f"sleep 3; exit {ENDED}" if kind == "graceful" else "exit 0"
        command: tuple[str, ...] = ("sh", "-c", f"trap '{ends}' TERM; echo up; sleep 1000 & wait")
        if kind == "printing":
            command = ("sh", "-c", "trap 'exit 0' TERM; printf '%s\\n' \"$@\"; sleep 1000 & wait", "sh", *PRINTED)
        return CreateRequest(token, owner, resource, Context(env=("password=hush-hush",), command=command))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Names of containers that do not exist."""
        return [InstanceId(f"{ABSENT}{number:04}") for number in range(count)]

    def settle(self) -> None:
        """A little time."""
        time.sleep(0.05)

    def provider_calls(self) -> int | None:
        """The number of requests that the proxy has forwarded."""
        return len(self.stage.proxy.requests)

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The engine's description of the container."""
        config = self.stage.engine.client().inspect_container(id)["Config"]
        return Context(env=tuple(config["Env"]), command=tuple(config["Cmd"]))

    def handles_stop(self, id: InstanceId) -> bool:
        """Whether it has printed that it has started."""
        return b"up" in self.stage.engine.client().logs(id)

    def shut_down(self, id: InstanceId) -> bool:
        """Whether it ended with the exit code of a graceful end."""
        return bool(self.stage.engine.client().inspect_container(id)["State"]["ExitCode"] == ENDED)

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Kill it, or let the proxy change its state in answers."""
        if state is InstanceState.STOPPED:
            self.stage.engine.client().kill(id)
        else:
            word = "dead" if state is InstanceState.FAILED else "hibernating"
            self.faults.reword('"State":"running"', f'"State":"{word}"')

    def _forget_image(self, image: str) -> None:
        """Remove the image, so that the engine pulls it again."""
        client = self.stage.engine.client()
        if any(image in (each["RepoTags"] or ()) for each in client.images()):
            client.remove_image(image)


@functools.cache
def _shared_stage() -> Stage:
    """Docker's engine and what belongs to it, until the process ends. Raises `Unavailable`."""
    if lacking := missing(*DockerEngine.programs):
        raise Unavailable(lacking)
    folder = Path(until_exit(tempfile.TemporaryDirectory(prefix="occopus-proxy-")))
    network = until_exit(Network())
    registry = until_exit(Registry(network.address))
    engine = until_exit(DockerEngine(network))
    return Stage(engine, until_exit(Proxy(engine.socket, folder)), registry)
