"""The harness of the handler for the conformance suite: an account in threads of this process."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_core.testing.conformance.base import patiently
from occopus_resource_cloudsigma import CloudSigmaHandler
from occopus_resource_cloudsigma.testing.faults import Fault as Rule
from occopus_resource_cloudsigma.testing.model import LIBRARY_DRIVE, Thing
from occopus_resource_cloudsigma.testing.server import EMAIL, PASSWORD, CloudSigma

CALLS: Mapping[Operation, str] = {
    "create": "^(POST|PUT) ",
    "describe": "^GET ",
    "list_owned": "^GET ",
    "delete": "^(GET|DELETE) |do=stop",
    "stop": "^GET |do=shutdown",
}
REFUSALS: Mapping[Fault, Mapping[str, Any]] = {
    Fault.AUTH: {"status": 401, "error_type": "permission", "message": "Authentication failed"},
    Fault.QUOTA: {"status": 402, "error_type": "billing", "message": "Not enough credit"},
    Fault.THROTTLE: {"status": 429, "message": "Too many requests", "retry_after": 2},
    Fault.PERMANENT: {"status": 400, "error_type": "validation", "message": "Invalid"},
    Fault.SERVER_ERROR: {"status": 500},
}
KINDS: Mapping[Fault, Any] = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}
STEP_SECONDS = 0.03
"""The duration of each step of the account."""


class CloudSigmaFaults(FaultInjector):
    """Fault rules of the account; for an unreachable provider it stops the server."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, cloud: CloudSigma) -> None:
        self._cloud = cloud
        self._rules: list[Rule] = []
        self._away = False

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule for the calls of the operation, or stop the server."""
        if fault is Fault.REFUSED_CONNECTION:
            self._cloud.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(Rule("refuse", CALLS[operation], **REFUSALS[fault]))
        else:
            self._add(Rule(KINDS[fault], CALLS[operation]))

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the instance's server fail."""
        (server,) = [one["uuid"] for one in self._cloud.servers() if one["meta"]["occopus-token"] == id]
        refusal: dict[str, Any] = {"status": 403, "error_type": "permission", "message": "no"}
        self._add(Rule("refuse", f"^(POST|DELETE) /servers/{server}/", **refusal))

    def clear(self) -> None:
        """Start the server again and remove all rules."""
        if self._away:
            self._cloud.start()
            self._away = False
        self._rules = []
        self._cloud.fail()

    def _add(self, rule: Rule) -> None:
        self._rules.append(rule)
        self._cloud.fail(*self._rules)


class CloudSigmaHarness(ResourceHarness):
    """A given account, or one of its own, which is stopped at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("requests",)
    page_size: ClassVar[int | None] = 2
    paged: ClassVar[bool] = True
    """Whether answers have at most `page_size` entries; otherwise they have all at once."""

    def __init__(self, cloud: CloudSigma | None = None) -> None:
        super().__init__()
        self._own = contextlib.ExitStack()
        self._closed = False
        self.cloud = cloud if cloud is not None else self._own.enter_context(CloudSigma())
        times = ("start_lag", "start_seconds", "address_lag", "stop_seconds")
        self.cloud.reset(**dict.fromkeys(times, STEP_SECONDS))
        if self.paged:
            self.cloud.behaviour.page_size = self.page_size
        self.faults = CloudSigmaFaults(self.cloud)

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the account."""
        auth = {"email": EMAIL, "password": PASSWORD}
        return CloudSigmaHandler(Connection("cloudsigma", {"endpoint": self.cloud.url}, auth, call_timeout or 30.0))

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A server with a clone of the library's only drive."""
        # A plain one without clone time: if its answers are lost, each repeated call then changes something.
        self.cloud.behaviour.clone_seconds = STEP_SECONDS if kind == "stepwise" else 0.0
        self.cloud.behaviour.shutdown_seconds = 2.5 if kind == "graceful" else STEP_SECONDS
        resource = {
            "endpoint": self.cloud.url,
            "libdrive_id": "no-such-drive" if kind == "missing" else LIBRARY_DRIVE,
            "description": {"cpu": 1000, "mem": 2**29, "vnc_password": "a-vnc-password"},
        }
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Tokens without an instance."""
        return [InstanceId(f"occopus-ffff{number:04x}") for number in range(count)]

    def settle(self) -> None:
        """A fraction of the time that a step takes."""
        time.sleep(0.01)

    def provider_calls(self) -> int | None:
        """The number of calls to the account."""
        return self.cloud.calls()

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The user data in the `meta` of the server."""
        meta = self._server(id)["meta"]
        assert meta["base64_fields"] == "cloudinit-user-data", "the account is to know that it is encoded"
        return Context(user_data=base64.b64decode(meta["cloudinit-user-data"]).decode())

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Stop the server, delete it without its drive, or put it into another state."""
        server = self._server(id)
        if state is InstanceState.UNKNOWN:
            server["status"] = "hibernated"
            return
        self.cloud.model.stop(server)
        patiently(self, lambda: self._server(id)["status"] == "stopped", "it stops")
        if state is InstanceState.FAILED:  # a user deletes the server and leaves its drive
            self.cloud.model.delete_server(server, "")

    def shut_down(self, id: InstanceId) -> bool:
        """Whether the guest system has shut down."""
        return self._server(id)["uuid"] in self.cloud.model.shut_down

    def close(self) -> None:
        """Delete the instances, and stop an account of its own. Idempotent."""
        if not self._closed:
            self._closed = True
            with self._own:
                super().close()

    def _server(self, id: InstanceId) -> Thing:
        (server,) = [one for one in self.cloud.servers() if one["meta"]["occopus-token"] == id]
        return server
