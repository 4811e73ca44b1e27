"""One run of Ansible for nodes with the same playbook."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from occopus_config_ansible.events import Outcomes
from occopus_config_ansible.folders import InfraFolder, NodeFolder, write_private
from occopus_config_ansible.inventory import inventory, known_hosts, ssh_config
from occopus_config_ansible.processes import MARKER, end_all, sockets_of
from occopus_config_ansible.syntax import environment
from occopus_config_ansible.values import as_yaml, named_secrets

FORKS = 50
"""The most hosts on which Ansible works concurrently."""
_CANCEL_SECONDS = 0.5
_CONNECT_SECONDS = 10

Order = Mapping[str, Any]


class StoppedError(Exception):
    """The run was stopped: it no longer configures all of its nodes."""


def secrets_of(order: Order) -> list[str]:
    """Texts that must not be in messages: those of the login, and variables with names that suggest secrets."""
    login = order["login"]
    found = [login["private_key"], login["password"], login["become_password"]]
    return [*found, *named_secrets(order["job"]["extra_vars"]), *named_secrets(order["variables"])]


class Job:
    """One run. `nodes` are the folders of the nodes, `orders` their orders, both by node id."""

    def __init__(self, infra: InfraFolder, nodes: Mapping[str, NodeFolder], orders: Mapping[str, Order]) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.nodes = nodes
        self.orders = orders
        self._infra = infra
        self._folder = infra.jobs / self.id
        secrets = [secret for order in orders.values() for secret in secrets_of(order)]
        self._outcomes = Outcomes(secrets, str(self._folder / "playbook.yml"))
        self._stop = threading.Event()

    def stop(self) -> None:
        """Make it end soon, without configuring its nodes. Idempotent."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stop.is_set()

    def run(self) -> None:
        """Run it, writing the status of each node meanwhile. Raises nothing."""
        try:
            self._show("running", dict.fromkeys(self.orders, ""))
            self._run()
        except StoppedError:
            return  # the remaining orders are run again
        except Exception as error:  # noqa: BLE001 - whatever happens, its nodes are to say so
            reason = self._outcomes.redact(f"the run of Ansible broke off: {type(error).__name__}: {error}")
            self._show("failed", dict.fromkeys(self.orders, reason))
        finally:
            end(self._folder)

    def _run(self) -> None:
        import ansible_runner  # noqa: PLC0415  # only a worker needs it

        job = next(iter(self.orders.values()))["job"]
        self._write(job)
        sockets_of(self.id).mkdir(mode=0o700)
        variables = self._environment(job)
        self._fetch(job["requirements"], variables, allow_downloads=job["allow_downloads"])
        playbook = Path(job["playbook"]) if job["playbook"] else self._folder / "playbook.yml"
        ansible_runner.run(
            private_data_dir=str(self._folder),
            project_dir=str(playbook.parent),
            ident="run",
            playbook=str(playbook),
            inventory=str(self._folder / "inventory.yml"),
            limit=",".join(self.orders),
            forks=min(FORKS, len(self.orders)),
            cmdline=f"-e @{self._folder / 'extra_vars.yml'}" + (" --become" if job["become"] else ""),
            envvars=variables,
            suppress_env_files=True,
            quiet=True,
            settings={"pexpect_timeout": _CANCEL_SECONDS, "suppress_output_file": True},
            event_handler=self._event,
            cancel_callback=self._stop.is_set,
        )
        self._raise_if_stopped()
        self._conclude()

    def _conclude(self) -> None:
        reasons = {host: self._outcomes.reason(host) for host in self.orders}
        self._show("failed", {host: reason for host, reason in reasons.items() if reason})
        self._show("ready", {host: "" for host, reason in reasons.items() if not reason})

    def _show(self, state: str, reasons: Mapping[str, str]) -> None:
        for host, reason in reasons.items():
            order = self.orders[host]
            status = {
                "order": order["id"],
                "state": state,
                "reason": reason,
                "progress": self._outcomes.progress,
                "attributes": self._outcomes.published(host) if state == "ready" else {},
                "output": self._outcomes.output(host) if state == "failed" else "",
                "job": self.id,
            }
            with contextlib.suppress(OSError):  # an unrecorded job counts as lost, and is started again
                self.nodes[host].write_status(status)
                if state != "running":
                    self.nodes[host].finish(order["id"])

    def _event(self, event: Mapping[str, Any]) -> bool:
        if self._outcomes.take(event):
            self._show("running", dict.fromkeys(self.orders, ""))
        return False  # not kept on the disk: results may contain secrets

    def _raise_if_stopped(self) -> None:
        if self.stopped:
            raise StoppedError

    def _write(self, job: Mapping[str, Any]) -> None:
        orders = list(self.orders.values())
        self._folder.mkdir(mode=0o700, parents=True)
        login = orders[0]["login"]
        key, hosts, config = (str(self._folder / name) for name in ("key", "known_hosts", "ssh_config"))
        files = {
            "inventory.yml": as_yaml(inventory(orders, key, hosts, config)),
            "ssh_config": ssh_config(login, key, hosts, _CONNECT_SECONDS),
            "extra_vars.yml": as_yaml(job["extra_vars"]),
            "known_hosts": known_hosts(orders),
            "playbook.yml": job["text"],
            "key": login["private_key"].strip() + "\n",
        }
        for name, text in files.items():
            write_private(self._folder / name, text)

    def _environment(self, job: Mapping[str, Any]) -> dict[str, str]:
        galaxy = self._galaxy(job["requirements"])
        roles = [*job["roles_path"], *([str(galaxy / "roles")] if galaxy else [])]
        found = {
            **environment(self._folder, roles),
            MARKER: str(self._folder),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets_of(self.id)),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_TIMEOUT": str(_CONNECT_SECONDS),
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
        }
        return {**found, "ANSIBLE_COLLECTIONS_PATH": str(galaxy)} if galaxy else found

    def _galaxy(self, requirements: Mapping[str, Any]) -> Path | None:
        if not requirements:
            return None
        digest = hashlib.sha256(json.dumps(requirements, sort_keys=True).encode()).hexdigest()[:16]
        return self._infra.path / "galaxy" / digest

    def _fetch(self, requirements: Mapping[str, Any], variables: Mapping[str, str], *, allow_downloads: bool) -> None:
        """Install missing roles and collections. Raises `OSError`, `StoppedError`."""
        folder = self._galaxy(requirements)
        if folder is None or folder.exists():
            return
        draft = folder.with_name(f".{uuid.uuid4().hex}")
        draft.mkdir(mode=0o700, parents=True)
        try:
            for kind in ("roles", "collections"):
                if requirements.get(kind):
                    self._install(kind, requirements[kind], draft, variables, allow_downloads=allow_downloads)
            with contextlib.suppress(OSError):  # another job was faster
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _install(
        self, kind: str, wanted: Any, draft: Path, variables: Mapping[str, str], *, allow_downloads: bool
    ) -> None:
        listed = self._folder / f"{kind}.yml"
        write_private(listed, as_yaml({kind: wanted}))
        program = str(Path(sys.executable).with_name("ansible-galaxy"))
        offline = [] if allow_downloads else ["--no-deps"] + (["--offline"] if kind == "collections" else [])
        target = draft / "roles" if kind == "roles" else draft
        words = [program, kind.removesuffix("s"), "install", "-r", str(listed), "-p", str(target), *offline]
        process = subprocess.Popen(
            words, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        output = _until_end(process, self._stop.is_set)
        self._raise_if_stopped()
        if process.returncode:
            raise OSError(f"ansible-galaxy could not install the {kind} of `requirements`: {output}")


def end(folder: Path) -> None:
    """End the processes of a run in this folder, and remove its files. Idempotent."""
    end_all(str(folder), [folder.name])
    for each in (folder, sockets_of(folder.name)):
        shutil.rmtree(each, ignore_errors=True)


def _until_end(process: subprocess.Popen[str], stopped: Callable[[], bool]) -> str:
    """The last line of the process's output, after it has ended or was stopped."""
    with process:
        while True:
            try:
                output, _ = process.communicate(timeout=_CANCEL_SECONDS)
            except subprocess.TimeoutExpired:
                if stopped():
                    process.kill()
            else:
                return next(reversed([line for line in output.splitlines() if line.strip()]), "it gave no reason")
