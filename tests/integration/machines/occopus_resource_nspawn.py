"""Resource handler `nspawn`, for tests: each instance is a Debian that boots in a container of systemd-nspawn.

The folder `endpoint` has a folder for each instance: the seed that cloud-init reads, the `/var/log` and `/tmp` it has,
and what is known of it here. The file system of all machines is the folder `root`; what else a machine writes is lost
with it. The bridge `bridge` connects them; it has the first address of `network`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import psutil

from occopus_core.api import (
    Address,
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    Owner,
    PermanentError,
    ProviderError,
    ResourceHandler,
)

_MOST = 254


class Nspawn(ResourceHandler):
    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    consistency_window: ClassVar[float] = 0.0

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        properties = {
            "endpoint": {"type": "string", "description": "The folder of the instances; it must exist."},
            "root": {"type": "string", "description": "The folder with the file system of every machine."},
            "network": {"type": "string", "description": "The first three bytes of the addresses, such as 10.96.0."},
            "bridge": {"type": "string", "description": "The network bridge of the machines; it must exist."},
        }
        return {"type": "object", "properties": properties, "required": list(properties)}

    def create(self, request: CreateRequest) -> Instance:
        folder = self._folder(request.token)
        if not (folder / "made.json").exists():
            made = {"owner": asdict(request.owner), "address": self._address(request)}
            _write_seed(folder, request, made["address"])
            (folder / "draft").write_text(json.dumps(made))
            (folder / "draft").rename(folder / "made.json")
            _start(folder, request.resource)
        return self._read(request.token)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return {id: self._read(id) for id in ids}

    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        found = [self._read(path.parent.name) for path in self._folder("").glob("*/made.json")]
        return [instance for instance in found if instance.owner and owner.matches(instance.owner)]

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        for id in ids:
            stop(self._folder(id))
            shutil.rmtree(self._folder(id), ignore_errors=True)
        return dict.fromkeys(ids)

    def _folder(self, id: str) -> Path:
        return Path(self.connection.settings["endpoint"], id)

    def _address(self, request: CreateRequest) -> str:
        """An address that no other instance has."""
        for number in range(2, _MOST):
            taken = self._folder(f".{number}")
            with contextlib.suppress(FileExistsError):
                taken.symlink_to(request.token)
            if str(taken.readlink()) == request.token:
                return f"{request.resource['network']}.{number}"
        raise PermanentError("no address is free")

    def _read(self, id: str) -> Instance:
        try:
            made = json.loads((self._folder(id) / "made.json").read_text())
        except FileNotFoundError:
            return Instance(id, InstanceState.ABSENT)
        state = InstanceState.READY if _processes(self._folder(id)) else InstanceState.STOPPED
        return Instance(id, state, (Address(made["address"]),), token=id, owner=Owner(**made["owner"]))


def _write_seed(folder: Path, request: CreateRequest, address: str) -> None:
    for name in ("seed", "log", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    host = {"addresses": [f"{address}/24"], "gateway4": f"{request.resource['network']}.1"}
    files = {
        "meta-data": json.dumps({"instance-id": request.token, "local-hostname": "machine"}),
        "user-data": request.context.user_data or "",
        "network-config": json.dumps({"version": 2, "ethernets": {"host0": host}}),
    }
    for name, text in files.items():
        (folder / "seed" / name).write_text(text)


def _start(folder: Path, resource: Mapping[str, Any]) -> None:
    words = [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={resource['root']}", f"--machine=o{folder.name[-8:]}",
        "--register=no", "--keep-unit", "--volatile=overlay", "--console=pipe",
        f"--network-bridge={resource['bridge']}",
        f"--bind-ro={folder}/seed:/var/lib/cloud/seed/nocloud", f"--bind={folder}/tmp:/tmp", _mount_of_log(folder),
    ]  # fmt: skip
    with (folder / "console").open("wb") as console:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)


def _mount_of_log(folder: Path) -> str:
    return f"--bind={folder}/log:/var/log"


def stop(folder: Path) -> None:
    """End the machine of this folder. Idempotent."""
    for process in _processes(folder):
        for init in process.children():
            init.kill()  # all processes of the machine end with it, and then systemd-nspawn
        process.wait()


def _processes(folder: Path) -> list[psutil.Process]:
    """The systemd-nspawn of the instance, by its command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if _mount_of_log(folder) in (process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
