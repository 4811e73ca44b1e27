"""The simulated EC2 as a child process."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import boto3

from occopus_core.testing.processes import end

ACCESS_KEY = "AKIAOCCOPUSTESTING"
SECRET_KEY = "a-secret-key-for-tests"  # noqa: S105 - it opens nothing
REGION = "eu-west-1"
IMAGE = "ami-0123456789abcdef0"
"""The only image."""

_START_SECONDS = 600.0
_STOP_SECONDS = 10.0
_CALL_SECONDS = 600.0


class Ec2Cloud:
    """A running EC2: ``with Ec2Cloud() as cloud``. Its content is lost when the process ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.endpoint = ""
        """The URL; the same after a restart."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it listens. Raises `RuntimeError` if it does not."""
        port = urlsplit(self.endpoint).port or 0
        module = "occopus_resource_ec2.testing.server"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--port", str(port), "--access-key", ACCESS_KEY],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        listens, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        if not listens or not (line := self._process.stdout.readline()):
            self.stop()
            raise RuntimeError("the EC2 of the tests did not start; its own message is on standard error")
        self.endpoint = line.strip()

    def stop(self) -> None:
        """Stop it. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            end(process, _STOP_SECONDS)

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules: fields of `occopus_resource_ec2.testing.faults.Fault`."""
        self._call("faults", list(rules))

    def set_times(self, **seconds: float) -> None:
        """How long instances take: `boot_seconds`, `delete_seconds`."""
        self._call("times", seconds)

    def set_state(self, id: str, name: str) -> None:
        """Put an instance into a state, as EC2 itself might."""
        self._call("state", {"id": id, "name": name})

    def client(self) -> Any:
        """A boto3 client of the account, for calls that the handler does not make."""
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        return session.client("ec2", endpoint_url=self.endpoint)

    def calls(self) -> dict[str, int]:
        """The number of calls by action."""
        counted: dict[str, int] = self._call("calls")
        return counted

    def inventory(self) -> list[dict[str, Any]]:
        """Every instance that is not terminated, and every volume: `id`, `state`, `tags`."""
        found: list[dict[str, Any]] = self._call("inventory")
        return found

    def reset(self) -> None:
        """Remove all instances and volumes, faults, times and counts."""
        self._call("reset")

    def _call(self, what: str, given: Any = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=_CALL_SECONDS)
        try:
            connection.request("POST", f"/control/{what}", json.dumps(given))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
