"""A separate network for engines, so that they do not affect each other or the machine's network."""

from __future__ import annotations

import os
import subprocess
from typing import Self

_NAMESPACES = range(1, 250)


class Network:
    """``with Network() as network``: a network namespace, connected to this machine. Needs root."""

    def __init__(self) -> None:
        for number in _NAMESPACES:
            self._name, self._link = f"occopus-{number}", f"occopus{number}"
            if subprocess.run(["ip", "netns", "add", self._name], capture_output=True, check=False).returncode == 0:
                break
        else:
            raise RuntimeError("no namespace can be made: as root, 'ip netns' lists the existing ones")
        base = f"10.77.{number}"
        self.address = f"{base}.1"
        """The address of this machine for engines and containers."""
        self.engines_address = f"{base}.2"
        """An address in the namespace for engines to listen on."""
        self.docker_bridge = f"{base}.65/26"
        self.podman_subnet = f"{base}.128/25"
        self._base = base

    @property
    def inside(self) -> list[str]:
        """The words that run a command in the namespace."""
        return ["nsenter", f"--net=/run/netns/{self._name}"]

    def __enter__(self) -> Self:
        inner = f"{self._link}n"
        self._ip("link", "add", self._link, "type", "veth", "peer", "name", inner, "netns", self._name)
        self._ip("addr", "add", f"{self.address}/30", "dev", self._link)
        self._ip("link", "set", self._link, "up")
        self._ip("route", "add", f"{self._base}.0/24", "via", self.engines_address, "dev", self._link)
        for words in (
            ("addr", "add", f"{self.engines_address}/30", "dev", inner),
            ("link", "set", inner, "up"),
            ("link", "set", "lo", "up"),
        ):
            self._ip("-netns", self._name, *words)
        # An engine that finds it enabled accepts forwarded connections from outside.
        subprocess.run([*self.inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._ip("link", "del", self._link)
        self._ip("netns", "del", self._name)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, env={**os.environ, "LANG": "C"})
