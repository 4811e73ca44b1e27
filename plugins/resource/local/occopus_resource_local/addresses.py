"""Assigns each node a loopback address, unique below one root.

Every address of 127.0.0.0/8 can be bound without set-up. An address is taken by a symbolic link
``<root>/addresses/<ip>`` to the folder of its node: a link is made together with its target in one step, and a link to
a removed folder marks a free address.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

from occopus_core.api import QuotaError
from occopus_resource_local.locks import try_lock

NETWORK = IPv4Network("127.16.0.0/12")


class AddressPool:
    """The addresses of `network`, and the nodes that have them."""

    def __init__(self, root: Path, network: IPv4Network = NETWORK) -> None:
        self._root = root
        self._folder = root / "addresses"
        self._network = network

    def claim(self, token: str) -> str:
        """The address of the node `token`, whose folder exists. Idempotent. Raises `QuotaError` and `OSError`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for address in self._candidates(token):
            link = self._folder / address
            if self._take(link, token) or self._reclaim(link, token):
                return address
        raise QuotaError(
            f"every loopback address of {self._network} is taken below {self._folder}; delete nodes or use another root"
        )

    def release(self, token: str) -> None:
        """Free all addresses of the node. Idempotent. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                if _holder(Path(entry)) == token:
                    Path(entry).unlink(missing_ok=True)

    def _candidates(self, token: str) -> Iterator[str]:
        """Every address, starting with one derived from root and token: two roots of a host rarely collide."""
        usable = self._network.num_addresses - 2
        start = int.from_bytes(hashlib.sha256(f"{self._root}\0{token}".encode()).digest()[:8])
        return (str(self._network[1 + (start + step) % usable]) for step in range(usable))

    def _take(self, link: Path, token: str) -> bool:
        try:
            link.symlink_to(f"../{token}")
        except FileExistsError:
            return _holder(link) == token
        return True

    def _reclaim(self, link: Path, token: str) -> bool:
        if link.exists():
            return False
        with try_lock(self._root, os.O_RDONLY) as held:  # otherwise each could remove the other's new link
            if not held or link.exists():
                return False
            link.unlink(missing_ok=True)
            return self._take(link, token)


def _holder(link: Path) -> str | None:
    try:
        return link.readlink().name
    except FileNotFoundError:
        return None
