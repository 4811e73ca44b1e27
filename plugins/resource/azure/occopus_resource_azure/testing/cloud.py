"""The simulated Azure as a server in a thread of this process, with controls for tests."""

from __future__ import annotations

import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

from occopus_resource_azure.testing.account import SUBSCRIPTION, TENANT, Account, Limits
from occopus_resource_azure.testing.arm import Arm
from occopus_resource_azure.testing.contract import checker
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.login import CLIENT_ID, CLIENT_SECRET
from occopus_resource_azure.testing.server import Exchange, Server
from occopus_resource_azure.testing.wire import Json, Request
from occopus_resource_azure.testing.wire import Path as Address

REGION = "westeurope"
GROUP = "occopus-tests"
"""The resource group that exists from the start."""


def _names(host: str) -> list[str]:
    """The host in the URLs, and Azure's public login host, for tests that resolve both names to this machine."""
    return [] if host == "localhost" else [host, "login.microsoftonline.com"]


class AzureCloud:
    """A running Azure: ``with AzureCloud() as cloud``. Its content lasts as long as the object, and survives `stop`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, port: int = 0, host: str = "localhost") -> None:
        """`clock` returns seconds; `port` 0 takes any free one; `host` is the name in its URLs."""
        self._clock = clock
        self._port = port
        self._host = host
        self._folder = tempfile.TemporaryDirectory(prefix="occopus-azure-")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority = trustme.CA()
        authority.issue_cert("localhost", "127.0.0.1", *_names(host)).configure_cert(self._context)
        self.ca_file = Path(self._folder.name) / "ca.pem"
        """The certificate for clients to trust: ``REQUESTS_CA_BUNDLE``."""
        authority.cert_pem.write_to_path(str(self.ca_file))
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._observers: list[Callable[[Exchange], None]] = []
        self._checker = checker()
        self.arm = self._new()

    def _new(self) -> Arm:
        arm = Arm(Account(self._clock), self.endpoint)
        arm.groups.keep(GROUP, {"location": REGION})
        return arm

    @property
    def endpoint(self) -> str:
        """The URL of both the login host and the resource manager; the same after a restart."""
        return f"https://{self._host}:{self._port}"

    @property
    def account(self) -> Account:
        """The account: tests may change its `limits`, `times` and `behaviours`."""
        return self.arm.account

    @property
    def limits(self) -> Limits:
        """The limits of the subscription."""
        return self.account.limits

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()
        assert kind is not None or not self.violations, "\n".join(self.violations)

    def start(self) -> None:
        """Listen on 127.0.0.1, on the same port as before."""
        if self._server is not None:
            return
        server = Server(self._port, self._context)
        if not self._port:
            self._port = server.server_port
            self.arm = self._new()
        server.arm, server.observers = self.arm, self._observers
        server.check = self._checker.check if self._checker is not None else None
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections. Idempotent."""
        if self._server is None or self._thread is None:
            return
        self.arm.faults.changed.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    def reset(self) -> None:
        """Restore the initial state: one empty resource group, no faults, no counts, default limits and times."""
        self.arm.faults.replace([])
        self.arm = self._new()
        if self._server is not None:
            self._server.arm = self.arm

    # Preparations by tests.

    def add_group(self, name: str, location: str = REGION, tags: Mapping[str, str] | None = None) -> None:
        """Add a resource group, as a user would."""
        with self.arm.lock:
            self.arm.groups.keep(name, {"location": location, **({"tags": dict(tags)} if tags else {})})

    def add(self, path: str, body: Json) -> Json:
        """Make a resource as a user would, below ``/resourceGroups/…/providers/``, and finish it at once.

        For example ``add("occopus-tests/Microsoft.Network/virtualNetworks/net", {...})``. Raises `AssertionError`.
        """
        group, _, rest = path.partition("/")
        whole = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{rest}"
        target = Address.parse(whole)
        assert target is not None
        with self.arm.lock:
            kind = self.arm.kinds[target.type]
            answer = kind.put(Request("PUT", whole, {"api-version": "2023-01-01"}, {}, body, target))
            made = self.account.find(whole)
            assert made is not None, answer
            if made.operation is not None and made.operation.running:
                self.account.operations.end(made.operation, self.account.now())
            return kind.render(made)

    def add_network(
        self, name: str, prefix: str = "10.0.0.0/16", group: str = GROUP, location: str = REGION, **subnets: Any
    ) -> Json:
        """Add a virtual network, as a user would; `subnets` are prefixes by name, or whole properties."""
        listed = [
            {"name": each, "properties": {"addressPrefix": value} if isinstance(value, str) else value}
            for each, value in subnets.items()
        ]
        body = {"location": location, "properties": {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": listed}}
        return self.add(f"{group}/Microsoft.Network/virtualNetworks/{name}", body)

    def lose(self, id: str) -> None:
        """Remove a resource, as if a user had deleted it."""
        with self.arm.lock:
            found = self.account.find(id)
            assert found is not None, id
            self.account.operations.preempt(found.operation)
            kind = self.arm.kinds[found.type.lower()]
            whole = Address.parse(found.id)
            assert whole is not None
            kind.delete(Request("DELETE", found.id, {"api-version": "2023-01-01"}, {}, None, whole))
            if found.operation is not None and found.operation.running:
                self.account.operations.end(found.operation, self.account.now())

    def set_power(self, id: str, power: str) -> None:
        """Set the power state of a VM, as ``stopped``, as a user would."""
        with self.arm.lock:
            found = self.account.find(id)
            assert found is not None, id
            found.hidden["power"] = power

    def set_state(self, id: str, state: str) -> None:
        """Set the provisioning state of a resource, as ``Failed``, or the state of a container group's processes."""
        with self.arm.lock:
            found = self.account.find(id)
            assert found is not None, id
            if "process" in found.hidden:
                found.hidden["process"].state = state
            else:
                found.state = state

    def print_lines(self, id: str, lines: Sequence[str]) -> None:
        """Add lines to the output of a VM or of a container group."""
        with self.arm.lock:
            found = self.account.find(id)
            assert found is not None, id
            if "process" in found.hidden:
                found.hidden["process"].printed = [f"{line}\n" for line in lines]
            else:
                found.hidden["console"] = "".join(f"{line}\r\n" for line in lines)

    def set_faults(self, rules: Sequence[Fault]) -> None:
        """Replace the fault rules."""
        self.arm.faults.replace(rules)

    def add_fault(self, rule: Fault) -> None:
        """Add a rule after those in force."""
        self.arm.faults.add(rule)

    # Observations by tests.

    def calls(self) -> Counter[str]:
        """The calls since the start, as ``PUT Microsoft.Compute/virtualMachines``, whatever their outcome."""
        with self.arm.lock:
            return Counter(self.arm.calls)

    def inventory(self) -> list[Json]:
        """All resources except resource groups and subnets: id, type, name, state, tags."""
        with self.arm.lock:
            self.account.operations.settle()
            return [
                {
                    "id": each.id,
                    "type": each.type,
                    "name": each.name,
                    "group": each.group,
                    "state": each.state,
                    "tags": dict(each.body.get("tags") or {}),
                }
                for each in self.account.resources.values()
                if not each.type.endswith("/subnets")
            ]

    def secrets_of(self, id: str) -> Json:
        """Sent values that are never returned: ``customData``, ``userData``, the ``environment`` of containers."""
        with self.arm.lock:
            found = self.account.find(id)
            assert found is not None, id
            return {name: found.hidden.get(name) for name in ("customData", "userData", "environment")}

    @property
    def violations(self) -> list[str]:
        """The violations of Microsoft's OpenAPI documents so far; empty without the documents.

        Such a call is answered 500, code ``AgainstTheContract``, and the end of the ``with`` block raises
        `AssertionError`.
        """
        return self._checker.violations if self._checker is not None else []

    def observe(self, observer: Callable[[Exchange], None]) -> None:
        """Call a function with every exchange, in the thread of its connection."""
        self._observers.append(observer)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make commands trust the certificate."""
        return {"REQUESTS_CA_BUNDLE": str(self.ca_file)}

    @property
    def auth(self) -> dict[str, str]:
        """Valid credentials."""
        return {"tenant": TENANT, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
