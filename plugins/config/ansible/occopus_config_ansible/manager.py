"""Ansible: a separate process runs playbooks on the instances, over SSH."""

from __future__ import annotations

import importlib.resources
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from occopus_config_ansible.folders import InfraFolder, NodeFolder, infra_folders
from occopus_core.api import (
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    PermanentError,
    Registered,
    SectionFault,
    TransientError,
)
from occopus_core.api.ssh import LOGIN_PROPERTIES

ROOT = "~/.occopus/ansible"
MOST_JOBS = 4
"""Concurrent runs of Ansible for one infrastructure."""
_SYNTAX_SHARE = 0.8
"""The share of the time limit of a call that Ansible's syntax check may take."""


class Ansible(ConfigManager):
    """Runs a playbook on each instance. Orders are written to disk for a worker, which outlives this process.

    All instances of an infrastructure with the same playbook, variables and login are one run.
    """

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("root",)
    max_concurrency: ClassVar[int] = 16
    poll_seconds: ClassVar[tuple[float, float]] = (0.5, 2.0)
    live: ClassVar[bool] = True

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `ConfigManager.schema`."""
        text = importlib.resources.files("occopus_config_ansible").joinpath("schema.json").read_text("utf-8")
        schema: dict[str, Any] = json.loads(text)
        schema["properties"]["jump"] = LOGIN_PROPERTIES["jump"]
        return schema

    @classmethod
    def powers(cls, section: Mapping[str, Any]) -> Sequence[str]:
        """Every playbook: its lookups, and tasks on `localhost`, run on this machine."""
        del section  # whatever its content
        return ("an Ansible playbook can run any program on the server (config_management.playbook)",)

    @classmethod
    def faults(cls, section: Mapping[str, Any]) -> Sequence[SectionFault]:
        """Errors in the playbook; Ansible checks its syntax, which takes a second or two."""
        from occopus_config_ansible import importing  # noqa: PLC0415  # a schema is read without YAML

        return importing.faults(section)

    def check(self, node: ConfigNode) -> None:
        """Refuse invalid playbooks and requirements. Raises `PermanentError`."""
        from occopus_config_ansible import section  # noqa: PLC0415  # a schema is read without YAML

        section.check(node.section, self.connection.auth)

    def register(self, node: ConfigNode) -> None:
        """Make the node's folder. Before that, Ansible checks the syntax of the playbook once, for a second or two.

        Raises `PermanentError` if Ansible refuses it, `TransientError` if the folder cannot be written.
        """
        from occopus_config_ansible import section, syntax, values  # noqa: PLC0415

        job = section.job(node.section)
        secrets = [*self.connection.auth.values(), *values.named_secrets(job["extra_vars"])]
        with self._disk():
            fault, file = syntax.fault_of(job, map(str, secrets), self.connection.call_timeout * _SYNTAX_SHARE)
        if fault.message:
            raise PermanentError(f"config_management.playbook: {fault.at(file)}")
        with self._disk():
            self._folder(node).register(_owner(node))

    def configure(self, node: ConfigNode) -> None:
        """Order a run, unless one of this generation is in progress or done. Raises `ProviderError`."""
        from occopus_config_ansible import worker  # noqa: PLC0415

        with self._disk():
            folder = self._folder(node)
            if folder.owner() is None:
                folder.register(_owner(node))
            if not self._is_current(folder, node):
                folder.write_order(*self._order(node))
            worker.start(self._infra(node.infra_id))

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """Read the statuses from the disk. Raises `TransientError` if that fails."""
        found: dict[str, ConfigStatus] = {}
        with self._disk():
            for infra_id in {node.infra_id for node in nodes}:
                infra = self._infra(infra_id)
                alive, busy = infra.is_locked(), len(infra.all_jobs())
                ours = [node for node in nodes if node.infra_id == infra_id]
                found.update({node.node_id: self._status(node, alive=alive, busy=busy) for node in ours})
        return found

    def cancel(self, nodes: Sequence[ConfigNode]) -> None:
        """Withdraw unfinished orders: the worker ends their runs. Raises `TransientError`."""
        from occopus_config_ansible import worker  # noqa: PLC0415

        with self._disk():
            for node in nodes:
                folder = self._folder(node)
                order = folder.order()
                if order is not None and not worker.is_final(order, folder.status()):
                    folder.withdraw()

    def forget(self, node: ConfigNode) -> None:
        """Remove the node's folder, which ends its run. Raises `TransientError`."""
        with self._disk():
            self._folder(node).remove()

    def forget_infrastructure(self, infra_id: str) -> None:
        """Remove the rest of the infrastructure's folder, unless another installation has nodes in it."""
        with self._disk():
            self._infra(infra_id).remove_if_empty()

    def list_registered(self, installation: str) -> Iterable[Registered]:
        """Every node whose folder names the installation."""
        with self._disk():
            owners = [node.owner() for infra in infra_folders(self._root) for node in infra.all_nodes()]
        ours = [owner for owner in owners if owner is not None and owner["installation"] == installation]
        return [Registered(owner["infra_id"], owner["node_name"], owner["node_id"]) for owner in ours]

    @property
    def _root(self) -> Path:
        return Path(str(self.connection.settings.get("root") or ROOT)).expanduser()

    def _infra(self, infra_id: str) -> InfraFolder:
        return InfraFolder(self._root / infra_id)

    def _folder(self, node: ConfigNode) -> NodeFolder:
        return self._infra(node.infra_id).node(node.node_id)

    def _is_current(self, folder: NodeFolder, node: ConfigNode) -> bool:
        """Whether a run of this generation is in progress or has succeeded."""
        order, status = folder.order(), folder.status()
        failed = order is not None and status.get("order") == order["id"] and status.get("state") == "failed"
        return order is not None and order["generation"] == node.generation and not failed

    def _order(self, node: ConfigNode) -> tuple[dict[str, Any], dict[str, Any]]:
        """The order, and the input of its job."""
        from occopus_config_ansible import section  # noqa: PLC0415

        work = {**section.work(node, self.connection), "owner": _owner(node), "id": uuid.uuid4().hex}
        order = {
            "owner": work["owner"],
            "id": work["id"],
            "at": time.time(),
            "generation": node.generation,
            "run": section.same_run(work),
        }
        return order, work

    def _status(self, node: ConfigNode, *, alive: bool, busy: int) -> ConfigStatus:
        """The status of a node; `busy` is the number of running runs."""
        folder = self._folder(node)
        if folder.owner() is None:
            return ConfigStatus(ConfigState.UNKNOWN, "it has no folder")
        order = folder.order()
        if order is None:
            return ConfigStatus(ConfigState.PENDING, "no run of Ansible is ordered for it")
        generation, status = order["generation"], folder.status()
        if status.get("order") == order["id"] and status["state"] in ("ready", "failed"):
            return _ended(status, generation)
        if not alive:
            return ConfigStatus(ConfigState.PENDING, "the run of Ansible was lost with its process")
        if status.get("order") != order["id"] and busy >= MOST_JOBS:
            reason = f"{busy} runs of Ansible are under way for its infrastructure"
            return ConfigStatus(ConfigState.QUEUED, reason, generation=generation)
        progress = status["progress"] if status.get("order") == order["id"] else ""
        return ConfigStatus(ConfigState.RUNNING, progress=progress, generation=generation)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError) as error:
            words = error.strerror if isinstance(error, OSError) else f"{type(error).__name__} in a file"
            raise TransientError(f"the folder {self._root} of Ansible cannot be used: {words}") from None


def _ended(status: Mapping[str, Any], generation: str) -> ConfigStatus:
    if status["state"] == "ready":
        return ConfigStatus(ConfigState.READY, attributes=status["attributes"], generation=generation)
    output = status.get("output", "")  # a worker of an older version writes none
    return ConfigStatus(ConfigState.FAILED, status["reason"], status["progress"], generation=generation, output=output)


def _owner(node: ConfigNode) -> dict[str, str]:
    names = ("installation", "infra_id", "infra_name", "node_name", "node_id")
    return {name: getattr(node, name) for name in names}
