"""The resource handler `local`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, ClassVar

import psutil

from occopus_core.api import (
    Connection,
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    Owner,
    ProviderError,
    ResourceHandler,
    load_schema,
)
from occopus_resource_local import addresses, processes, write_files
from occopus_resource_local.addresses import AddressPool
from occopus_resource_local.errors import provider_errors
from occopus_resource_local.folders import NodeFolder, Record, boot_id
from occopus_resource_local.launch import start_supervisor
from occopus_resource_local.locks import try_lock
from occopus_resource_local.output import output_of
from occopus_resource_local.program import program
from occopus_resource_local.view import look

DEFAULT_ROOT = "~/.occopus/local"


class LocalHandler(ResourceHandler):
    """Nodes as processes of this host. All state is in the folders below `root`."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("root",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset(ContextForm)
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.LOGS, Feature.STOP})
    stop_seconds: ClassVar[float] = 5.0
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (0.02, 5.0)
    consistency_window: ClassVar[float] = 0.0

    def __init__(self, connection: Connection, *, network: IPv4Network = addresses.NETWORK) -> None:
        super().__init__(connection)
        self.root = _root(connection.settings)
        self._addresses = AddressPool(self.root, network)

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG003
        """A node runs programs of this host."""
        return ("it runs programs of the server",)

    @classmethod
    def way_in(cls, settings: Mapping[str, Any], id: InstanceId) -> str:
        """The node's folder."""
        return f"cd {shlex.quote(str(_root(settings) / id))}"

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `ResourceHandler.schema`."""
        return load_schema("occopus_resource_local")

    def check(self, request: CreateRequest) -> None:
        """Refuse what a process of this host cannot do. Raises `PermanentError`."""
        program(request.context)

    def create(self, request: CreateRequest) -> Instance:
        """See `ResourceHandler.create`. `PROVISIONING` if another process is working on the node."""
        scripts = program(request.context)
        folder = NodeFolder(self.root, request.token)
        with provider_errors(f"creating the node {request.token}"):
            folder.make()
            with folder.lock() as held:
                if held and not folder.is_deleting():
                    self._advance(folder, request, scripts)
            seen = look(folder)
        if seen.state is InstanceState.ABSENT:
            return dataclasses.replace(seen, state=InstanceState.PROVISIONING, owner=request.owner)
        return dataclasses.replace(seen, owner=seen.owner or request.owner)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """See `ResourceHandler.describe`."""
        with provider_errors("looking at the nodes"):
            return {id: look(NodeFolder(self.root, id)) for id in ids}

    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        """See `ResourceHandler.list_owned`. A folder with a missing or damaged record is listed for every owner."""
        with provider_errors("listing the nodes"):
            seen = [look(folder) for folder in NodeFolder.all(self.root)]
        return [instance for instance in seen if instance.owner is None or owner.matches(instance.owner)]

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """See `ResourceHandler.delete`. Kill every process, then remove the folder."""
        folders = [folder for id in ids if (folder := NodeFolder(self.root, id)).exists()]
        outcome: dict[InstanceId, ProviderError | None] = dict.fromkeys(ids)
        for folder in folders:
            with _by_itself(folder, outcome):
                folder.mark_deleting()
        marked = [folder for folder in folders if outcome[InstanceId(folder.token)] is None]
        with provider_errors("deleting nodes"):
            # After the marks: a supervisor that has just started sees its mark and exits.
            members = processes.members(marked)
        for folder in marked:
            with _by_itself(folder, outcome), folder.lock() as held:
                if held:
                    self._continue_deletion(folder, members[folder.token])
        return outcome

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """See `ResourceHandler.stop`. SIGTERM to the supervisor, which forwards it and waits for all processes."""
        outcome: dict[InstanceId, ProviderError | None] = dict.fromkeys(ids)
        for folder in (NodeFolder(self.root, id) for id in ids):
            with _by_itself(folder, outcome, "stopping"), contextlib.suppress(psutil.NoSuchProcess):
                supervisor = folder.living_supervisor()
                if supervisor is not None:
                    processes.send(psutil.Process(supervisor), signal.SIGTERM)
        return outcome

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """See `ResourceHandler.logs`. The output of the stages in order of execution."""
        with provider_errors("reading the output of the nodes"):
            return {id: output_of(NodeFolder(self.root, id), lines) for id in ids}

    def _advance(self, folder: NodeFolder, request: CreateRequest, scripts: dict[str, str]) -> None:
        """Take the missing steps. The caller holds the node's lock."""
        record = folder.record()
        if record is None:
            record = Record(
                token=request.token,
                owner=request.owner,
                address=self._addresses.claim(request.token),
            )
            folder.write_record(record)
        if record.boot_id == boot_id() and folder.supervisor() is None:
            start_supervisor(folder, record, scripts, self.connection.call_timeout)

    def _continue_deletion(self, folder: NodeFolder, members: Sequence[psutil.Process]) -> None:
        if members:
            _kill(folder, members)
        elif self._remove_outside(folder):
            self._addresses.release(folder.token)
            folder.remove()

    def _remove_outside(self, folder: NodeFolder) -> bool:
        """Remove the node's files outside its folder.

        False while another node removes its own: the next call continues.
        """
        if not write_files.claims(folder.path):
            return True
        with try_lock(self.root, os.O_RDONLY) as held:
            if held:
                write_files.remove_outside(folder.path)
            return held


def _root(settings: Mapping[str, Any]) -> Path:
    """The canonical path of the folder: processes are recognised by the path in their environment."""
    return Path(os.path.realpath(Path(settings.get("root", DEFAULT_ROOT)).expanduser()))


@contextlib.contextmanager
def _by_itself(
    folder: NodeFolder, outcome: dict[InstanceId, ProviderError | None], doing: str = "deleting"
) -> Iterator[None]:
    """The outcome of one node, so that an error of one does not affect the others."""
    try:
        with provider_errors(f"{doing} the node {folder.token}"):
            yield
    except ProviderError as error:
        outcome[InstanceId(folder.token)] = error


def _kill(folder: NodeFolder, members: Sequence[psutil.Process]) -> None:
    """Kill every process of a node. The supervisor is last, since it adopts the others; it starts no more stages."""
    supervisor = folder.living_supervisor()
    others = [process for process in members if process.pid != supervisor]
    for process in members:
        last = process.pid == supervisor and others
        processes.send(process, signal.SIGTERM if last else signal.SIGKILL)
