"""Docker's and Podman's engines, started for tests with their own folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from docker import APIClient

from occopus_core.testing.processes import end
from occopus_resource_docker.testing.images import BUSYBOX, root_file_system
from occopus_resource_docker.testing.network import Network

_START_SECONDS, _STOP_SECONDS = 600.0, 60.0
_PACKAGES: Mapping[str, str] = {
    "dockerd": "docker.io",
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "ip": "iproute2",
    "iptables": "iptables",
}
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
default_subnet = "{subnet}"
"""
_REGISTRY = """\
[[registry]]
location = "{address}"
insecure = true
"""


def missing(*programs: str) -> str:
    """Why no engine with these programs can be started; empty if it can."""
    if os.geteuid():
        return "engines are started by root only"
    path = "/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    packages = [_PACKAGES[program] for program in programs if shutil.which(program, path=path) is None]
    if not Path("/usr/lib/podman/netavark").exists() and "podman" in programs:
        packages.append("netavark")
    if not BUSYBOX.exists():
        packages.append("busybox-static")
    return f"not installed: apt-get install {' '.join(packages)}" if packages else ""


class Engine(ABC):
    """A running engine with the image `tiny:1`: ``with DockerEngine(network) as engine``."""

    programs: ClassVar[tuple[str, ...]] = ()
    """The required programs."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._folder = tempfile.TemporaryDirectory(prefix="occopus-engine-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.socket = self.folder / "engine.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: APIClient | None = None

    @property
    def endpoint(self) -> str:
        """The socket, as value of the key `endpoint`."""
        return f"unix://{self.socket}"

    def __enter__(self) -> Self:
        self.start()
        self.import_image("tiny:1")
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self.client().close()
        self.stop()
        self._unmount()
        self._folder.cleanup()

    def _unmount(self) -> None:
        """Unmount file systems below its folder, which would prevent its removal."""
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed([place for place in mounted if Path(place).is_relative_to(self.folder)]):
            subprocess.run(["umount", "--lazy", place], check=False)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command that starts it."""

    def environment(self) -> Mapping[str, str] | None:
        """The environment of its process; None for that of this process."""
        return None

    def start(self) -> None:
        """Start it and return when it answers. Raises `RuntimeError` if it does not."""
        with (self.folder / "log").open("ab") as log:
            command = [*self.network.inside, *self.command()]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment(), start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the engine did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            end(process, _STOP_SECONDS, how)

    def client(self) -> APIClient:
        """The library's own client, which is closed with the engine."""
        if self._client is None:
            self._client = APIClient(self.endpoint, version="auto", timeout=600)
        return self._client

    def containers(self, label: str = "occopus.token") -> list[dict[str, Any]]:
        """All containers with a label, in any state."""
        found: list[dict[str, Any]] = self.client().containers(all=True, filters={"label": label})
        return found

    def volumes(self) -> list[str]:
        """The names of all volumes."""
        return [volume["Name"] for volume in self.client().volumes()["Volumes"] or ()]

    def import_image(self, name: str, files: Mapping[str, str] | None = None) -> None:
        """Import an image with busybox and these files."""
        client = self.client()
        client.post(
            f"{client.base_url}/v{client.api_version}/images/create",
            params={"fromSrc": "-", "repo": name},
            data=root_file_system(files),
            headers={"Content-Type": "application/x-tar"},
        ).raise_for_status()

    def clear(self) -> None:
        """Remove all containers of any owner."""
        client = self.client()
        for container in client.containers(all=True):
            client.remove_container(container["Id"], force=True, v=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.socket))
            probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in probe.recv(64)
        return False


class DockerEngine(Engine):
    """Docker's engine. With `tls` (files of authority, certificate and key) it also listens at `tls_endpoint`."""

    programs = ("dockerd", "runc", "iptables", "ip")
    _TLS_PORT = 2376

    def __init__(self, network: Network, tls: tuple[Path, Path, Path] | None = None) -> None:
        super().__init__(network)
        self.tls = tls

    def start(self) -> None:
        """See `Engine.start`."""
        # A killed engine leaves the process id of its containerd, which counts as alive until it is reaped.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        super().start()

    @property
    def tls_endpoint(self) -> str:
        """The port for clients with a certificate."""
        return f"tcp://{self.network.engines_address}:{self._TLS_PORT}"

    def command(self) -> Sequence[str]:
        """The command, with all paths below its folder."""
        words = ["dockerd", "--host", self.endpoint, "--bip", self.network.docker_bridge]
        for option, name in (("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid")):
            words += [f"--{option}", str(self.folder / name)]
        words += ["--insecure-registry", f"{self.network.address}/32"]
        if self.tls:
            authority, certificate, key = map(str, self.tls)
            words += ["--host", self.tls_endpoint, "--tlsverify", "--tlscacert", authority]
            words += ["--tlscert", certificate, "--tlskey", key]
        return words


class PodmanEngine(Engine):
    """Podman's service, which pulls from these registries without certificates."""

    programs = ("podman", "runc", "conmon", "iptables", "ip")

    def __init__(self, network: Network, registries: Sequence[str]) -> None:
        super().__init__(network)
        self._configure("containers.conf", _CONTAINERS_CONF.format(subnet=network.podman_subnet))
        self._configure("registries.conf", "".join(_REGISTRY.format(address=each) for each in registries))

    def _configure(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def command(self) -> Sequence[str]:
        """The command, with all paths below its folder."""
        words = ["podman"]
        for option, name in (("root", "data"), ("runroot", "run"), ("tmpdir", "tmp"), ("network-config-dir", "net")):
            words += [f"--{option}", str(self.folder / name)]
        return [*words, "system", "service", "--time=0", self.endpoint]

    def environment(self) -> Mapping[str, str]:
        """Its configuration."""
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
        }
