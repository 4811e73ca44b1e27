"""The harness of the handler for the conformance suite; the provider is this host."""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import psutil

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import PRINTED, Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_resource_local import LocalHandler, handler, processes
from occopus_resource_local.folders import NodeFolder
from occopus_resource_local.launch import start_supervisor

ERRNO = {
    Fault.AUTH: errno.EACCES,
    Fault.QUOTA: errno.ENOSPC,
    Fault.THROTTLE: errno.EAGAIN,
    Fault.PERMANENT: errno.EACCES,
    Fault.SERVER_ERROR: errno.EIO,
    Fault.LOST_REPLY: errno.EIO,
}
FIRST_STEP: Mapping[Operation, tuple[Any, str]] = {
    "create": (NodeFolder, "make"),
    "describe": (handler, "look"),
    "list_owned": (NodeFolder, "all"),
    "delete": (processes, "members"),
    "stop": (NodeFolder, "living_supervisor"),
    "logs": (handler, "output_of"),
}
GRACEFUL = """
import pathlib, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
pathlib.Path("up").touch()
signal.sigwait([signal.SIGTERM])
time.sleep(float(sys.argv[1]))
pathlib.Path("ended").touch()
"""
"""A Python program that takes this many seconds to end after a signal. It handles signals once ``up`` exists; a shell
might miss one."""


class HostFaults(FaultInjector):
    """Errors of the operating system."""

    def __init__(self) -> None:
        self._patches = ExitStack()

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Make the first step of the operation raise, or the last one of a creation that takes effect."""
        # The last step of a creation reads the state: an error there comes after the effect.
        where, name = (
            (handler, "look") if fault is Fault.LOST_REPLY and operation == "create" else FIRST_STEP[operation]
        )
        error = OSError(ERRNO[fault], fault.value)
        self._patches.enter_context(mock.patch.object(where, name, side_effect=error))

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the node raise."""
        real = LocalHandler._continue_deletion  # noqa: SLF001 - the step that an operating system refuses

        def refuse(local: LocalHandler, folder: NodeFolder, members: list[psutil.Process]) -> None:
            if folder.token == id:
                raise OSError(errno.EPERM, "refused")
            real(local, folder, members)

        self._patches.enter_context(mock.patch.object(LocalHandler, "_continue_deletion", refuse))

    def clear(self) -> None:
        """Remove all failures."""
        self._patches.close()


class LocalHarness(ResourceHarness):
    """Nodes in a given folder, or in one of its own, which is removed at the end."""

    not_applicable: ClassVar[Mapping[str, str]] = {
        "schema_imports_no_sdk": "the provider is this host: there is no SDK",
        "user_data_arrives": "a node is what its cloud-config says: there is no system in it that could read the text",
        **dict.fromkeys(
            (
                "making_calls_nobody",
                "check_calls_nobody",
                "describe_costs_pages",
                "no_ids_call_nobody",
                "never_retries",
            ),
            "the provider is this host: there are no calls to count",
        ),
        **dict.fromkeys(
            ("refused_credentials", "throttled", "missing_image", "refused_connection", "hang"),
            "the provider is this host: it has no accounts, limits, images or network",
        ),
        **dict.fromkeys(
            ("garbled_reply_to_create", "garbled_reply_is_not_absence", "garbled_reply_to_delete"),
            "the provider is this host: nothing is between them that could spoil an answer",
        ),
    }

    page_size: ClassVar[int | None] = None  # a folder has no pages
    patience: ClassVar[int] = 1000

    def __init__(self, root: Path | None = None) -> None:
        super().__init__()
        self.root = root if root is not None else Path(tempfile.mkdtemp(prefix="occopus-resource-local-"))
        self.faults = HostFaults()
        self._own = root is None
        self._interrupted: set[str] = set()
        self._patches = ExitStack()
        self._patches.enter_context(mock.patch.object(handler, "start_supervisor", self._start_supervisor))

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the folder."""
        return LocalHandler(Connection("local", {"root": str(self.root)}, {}, call_timeout or 30.0))

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A node; a ``stepwise`` creation is interrupted before its supervisor is started."""
        if kind == "stepwise":
            self._interrupted.add(token)
        context = Context(user_data="#cloud-config\nruncmd: [echo hush-hush]\n")
        if kind == "printing":
            context = Context(command=("sh", "-c", "printf '%s\\n' \"$@\"; sleep 1000 & wait", "sh", *PRINTED))
        if kind == "graceful":
            context = Context(command=(sys.executable, "-c", GRACEFUL, "3"))
        return CreateRequest(token, owner, {"root": str(self.root)}, context)

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Valid ids without a folder."""
        return [InstanceId(f"absent-{number}") for number in range(count)]

    def settle(self) -> None:
        """Continue deletions in progress by repeating them, as the core does."""
        self.handler().delete([InstanceId(node.token) for node in NodeFolder.all(self.root) if node.is_deleting()])
        time.sleep(0.01)

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The environment and the words of the node's only process, after its exec."""
        supervisor = self._supervisor(id)
        for _ in range(self.patience):
            for process in supervisor.children():
                with suppress(psutil.NoSuchProcess):
                    words = process.cmdline()
                    if words and not any(word.endswith(("/supervisor.py", "/stages/command.sh")) for word in words):
                        env = tuple(f"{name}={value}" for name, value in process.environ().items())
                        return Context(env=env, command=tuple(words))
            time.sleep(0.01)
        raise AssertionError(f"the command of {id} has not been started")

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Kill the supervisor, record a failed stage, or damage the record."""
        folder = NodeFolder(self.root, id)
        if state is InstanceState.STOPPED:
            self._supervisor(id).kill()
        elif state is InstanceState.FAILED:
            (folder.log / "write_files.log").write_text("no room\n")
            (folder.path / "exits").write_text("write_files 1\n")
        else:
            (folder.path / "node.json").write_text("{")

    def handles_stop(self, id: InstanceId) -> bool:
        """Whether its command has recorded that it has started."""
        return (NodeFolder(self.root, id).work / "up").exists()

    def shut_down(self, id: InstanceId) -> bool:
        """Whether its command has recorded that it has ended."""
        return (NodeFolder(self.root, id).work / "ended").exists()

    def close(self) -> None:
        """Delete the nodes, and a folder of its own. Idempotent."""
        super().close()
        self._patches.close()
        if self._own:
            shutil.rmtree(self.root, ignore_errors=True)

    def _supervisor(self, id: InstanceId) -> psutil.Process:
        return psutil.Process(NodeFolder(self.root, id).living_supervisor())

    def _start_supervisor(self, folder: NodeFolder, *args: Any) -> None:
        if folder.token in self._interrupted:
            self._interrupted.discard(folder.token)
        else:
            start_supervisor(folder, *args)
