"""The contract's own suite on this handler, with Docker's engine and with Podman's."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest

from occopus_core.api import Context, CreateRequest, InstanceId, InstanceState
from occopus_core.testing.conformance import Fault, FaultInjector, ResourceHandlerConformance, ResourceHarness
from occopus_resource_docker.testing import Rule

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]

ABSENT = "t-ffff"
REQUESTS = {
    "create": "^POST ",
    "describe": "^GET .*/containers/json",
    "list_owned": "^GET .*/containers/json",
    "delete": "^(GET .*/containers/json|DELETE )",
    "stop": "^(GET .*/containers/json|POST )",
}
LOST = {**REQUESTS, "delete": f"^(DELETE |GET .*={ABSENT})"}
"""What takes effect: a deletion looks first, and does no more about what is absent."""
REFUSALS = {
    Fault.AUTH: {"status": 401, "message": "unauthorized"},
    Fault.QUOTA: {"status": 500, "message": "write /var/lib/docker/x: no space left on device"},
    Fault.THROTTLE: {"status": 429, "message": "too many requests", "retry_after": 2},
    Fault.PERMANENT: {"status": 400, "message": "bad parameter"},
    Fault.SERVER_ERROR: {"status": 500, "message": "an internal error"},
}


KINDS = {Fault.LOST_REPLY: "lost_reply", Fault.CUT_REPLY: "cut_reply", Fault.FOREIGN_REPLY: "foreign_reply"}


class DockerFaults(FaultInjector):
    faults = frozenset(Fault)

    def __init__(self, stage) -> None:
        self._engine, self._proxy = stage.engine, stage.proxy
        self._rules = []

    def inject(self, fault, operation):
        if fault is Fault.REFUSED_CONNECTION:
            self._proxy.stop()
        elif fault in REFUSALS:
            self._add(Rule("refuse", REQUESTS[operation], **REFUSALS[fault]))
        else:
            hangs = fault is Fault.HANG
            self._add(Rule("hang", REQUESTS[operation]) if hangs else Rule(KINDS[fault], LOST[operation]))

    def refuse_deletion(self, id):
        key = self._engine.client().inspect_container(id)["Id"]
        self._add(Rule("refuse", f"^DELETE .*/{key}\\b", status=400, message="it is protected"))

    def reword(self, words, others):
        self._add(Rule("reworded", REQUESTS["describe"], words=words, message=others))

    def clear(self):
        self._proxy.start()
        self._rules = []
        self._proxy.set_rules([])

    def _add(self, rule):
        self._rules.append(rule)
        self._proxy.set_rules(self._rules)


class DockerHarness(ResourceHarness):
    sdk_modules = ("docker", "requests")
    page_size = None  # an engine lists all it has at once
    not_applicable: ClassVar = {
        "half_made_is_listed": "what is awaited before a container is made is an image, which is nobody's",
    }

    def __init__(self, stage, endpoint) -> None:
        super().__init__()
        self.stage, self.endpoint = stage, endpoint
        self.faults = DockerFaults(stage)

    def handler(self, *, call_timeout=None):
        return self.stage.handler(self.endpoint, timeout=call_timeout or 60.0)

    def request(self, token, owner, kind="plain"):
        resource = {"endpoint": self.endpoint, "image": "tiny", "tag": "1", "origin": "local"}
        if kind == "missing":
            resource["image"] = "no-such-image"
        if kind == "stepwise":
            resource |= {"image": f"{self.stage.registry.address}/tiny", "origin": "dockerhub"}
        # The first process of a container ends at a signal that it has a handler for, and at no other.
        ends = "sleep 3; exit 42" if kind == "graceful" else "exit 0"
        command = ("sh", "-c", f"trap '{ends}' TERM; echo up; sleep 1000 & wait")
        return CreateRequest(token, owner, resource, Context(env=("password=hush-hush",), command=command))

    def absent_ids(self, count):
        return [InstanceId(f"{ABSENT}{number:04}") for number in range(count)]

    def settle(self):
        time.sleep(0.05)

    def provider_calls(self):
        return len(self.stage.proxy.requests)

    def received(self, id, sent):
        config = self.stage.engine.client().inspect_container(id)["Config"]
        return Context(env=tuple(config["Env"]), command=tuple(config["Cmd"]))

    def handles_stop(self, id):
        return b"up" in self.stage.engine.client().logs(id)

    def shut_down(self, id):
        return self.stage.engine.client().inspect_container(id)["State"]["ExitCode"] == 42

    def impose(self, id, state):
        if state is InstanceState.STOPPED:
            self.stage.engine.client().kill(id)
        else:
            word = "dead" if state is InstanceState.FAILED else "hibernating"
            self.faults.reword('"State":"running"', f'"State":"{word}"')


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, stage, request):
        """Docker by its socket, Podman by a port."""
        podman = "podman" in request.node.callspec.params.values()
        image = f"{stage.registry.address}/tiny:1"
        client = stage.engine.client()
        if any(image in (each["RepoTags"] or ()) for each in client.images()):
            client.remove_image(image)
        harness = DockerHarness(stage, stage.proxy.tcp_endpoint if podman else stage.proxy.endpoint)
        yield harness
        harness.close()
        assert stage.engine.containers() == []
