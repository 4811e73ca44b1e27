"""Nodes in a separate root; each test must leave nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from occopus_core.api import Connection, Context, CreateRequest, Instance, InstanceState, Owner
from occopus_resource_local import LocalHandler
from occopus_resource_local.folders import NodeFolder

DEADLINE = 600.0
"""Seconds after which a test counts as stuck."""


class Host:
    """A handler on its own folder, and queries about its nodes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.handler = LocalHandler(Connection("local", {"root": str(root)}, {}))

    def request(self, token="n1", *, infra="infra", installation="here", resource=None, **context) -> CreateRequest:
        owner = Owner(installation, infra, "web", f"id-{token}")
        return CreateRequest(token, owner, resource or {}, Context(**context))

    def cloudinit(self, text: str, token="n1", **kwargs) -> CreateRequest:
        return self.request(token, user_data=f"#cloud-config\n{text}", **kwargs)

    def create(self, request: CreateRequest) -> Instance:
        """Repeat `create`, as the core does, until the node is made."""
        return self.until(
            lambda: (made := self.handler.create(request)).state is not InstanceState.PROVISIONING and made
        )

    def state(self, token="n1") -> InstanceState:
        return self.look(token).state

    def look(self, token="n1") -> Instance:
        return self.handler.describe([token])[token]

    def folder(self, token="n1") -> NodeFolder:
        return NodeFolder(self.root, token)

    def work(self, token="n1") -> Path:
        return self.folder(token).work

    def ended(self, stage: str, token="n1") -> int:
        """Wait for a stage to end; its exit status."""
        return self.until(lambda: (exits := self.folder(token).exits()).get(stage) is not None and [exits[stage]])[0]

    def processes(self) -> list[psutil.Process]:
        """Every living process that belongs to a node below this root."""
        return [
            process
            for process in psutil.process_iter(["environ", "status"])
            if (process.info["environ"] or {}).get("OCCOPUS_NODE_DIR", "").startswith(f"{self.root}/")
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def delete(self, *tokens: str) -> None:
        """Repeat `delete`, as the core does, until the nodes are absent."""
        self.until(lambda: self.deletion_step(*tokens))

    def deletion_step(self, *tokens: str) -> bool:
        assert self.handler.delete(tokens) == dict.fromkeys(tokens)
        return all(seen.state is InstanceState.ABSENT for seen in self.handler.describe(tokens).values())

    def until(self, condition: Callable[[], object]):
        """Wait until the condition has a true value; return it."""
        end = time.monotonic() + DEADLINE
        while not (value := condition()):
            assert time.monotonic() < end, f"not within {DEADLINE:g} s: {condition}"
            time.sleep(0.01)
        return value


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "root")
    yield host
    anyone = [folder.token for folder in NodeFolder.all(host.root)]
    host.delete(*anyone)
    assert host.processes() == []
    left = {path.name for path in host.root.rglob("*")} if host.root.exists() else set()
    assert left <= {"addresses"}
