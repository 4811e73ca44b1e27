"""Host keys: what is pinned for an instance, and key pairs made for new ones.

A key is written as in a file of public keys, without a comment: ``ssh-ed25519 AAAA…``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SSH_PORT = 22


class HostKeys(Protocol):
    """The pinned keys of hosts. Thread-safe.

    `host` is empty for the instance itself, and ``address:port`` for another host on the way to it, such as a jump
    host: what is pinned for an instance ends with it, so a replaced instance has its own.
    """

    def known(self, node_id: str, host: str = "") -> Sequence[str]:
        """The keys that the host may show; empty before the first contact, several where it was created repeatedly.

        Raises `TransientError` where the store cannot be asked.
        """
        ...

    def pin(self, node_id: str, key: str, host: str = "") -> Sequence[str]:
        """Pin the key that the host shows, if it may show it; the keys that are pinned now.

        On first use it becomes the one pinned key. Of several that were generated for the instance it remains alone.
        Where it is none of those pinned nothing changes, and it is not in the answer. Idempotent. Raises
        `HostKeyError` where there is no such instance any more, `TransientError` where the store cannot be used.
        """
        ...


class MemoryHostKeys:
    """Host keys pinned for as long as the object lives: for tests and for plugins used without the core."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str], tuple[str, ...]] = {}

    def known(self, node_id: str, host: str = "") -> Sequence[str]:
        """See `HostKeys.known`."""
        return self._keys.get((node_id, host), ())

    def pin(self, node_id: str, key: str, host: str = "") -> Sequence[str]:
        """See `HostKeys.pin`."""
        with self._lock:
            known = self._keys.get((node_id, host), ())
            if not known or key in known:
                self._keys[node_id, host] = (key,)
            return self._keys[node_id, host]

    def offer(self, node_id: str, key: str) -> None:
        """Add a key that was generated for the instance."""
        with self._lock:
            self._keys[node_id, ""] = (*self._keys.get((node_id, ""), ()), key)


@dataclass(frozen=True, slots=True)
class HostKeyPair:
    """A key pair for a new host. The private half is for its user data alone, and is never stored."""

    public: str
    private: str = field(repr=False)
    """In the format of OpenSSH."""


def generate_host_key() -> HostKeyPair:
    """A new Ed25519 key pair."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # most commands make no key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return HostKeyPair(public.decode(), private.decode())


def normal_key(text: str) -> str:
    """A public key without comment and spare white space. Raises `ValueError` where the text is none."""
    kind, data, *_ = [*text.split(), "", ""]
    try:
        blob = base64.b64decode(data, validate=True)
    except binascii.Error:
        blob = b""
    if not kind or blob[4 : 4 + len(kind)] != kind.encode():
        raise ValueError("expected a public key such as 'ssh-ed25519 AAAA...'")
    return f"{kind} {data}"


def fingerprint(key: str) -> str:
    """What people compare keys by, as ``ssh-keygen -l`` shows it."""
    kind, data = key.split()[:2]
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(data)).digest()).decode().rstrip("=")
    return f"{kind} SHA256:{digest}"


def known_hosts(address: str, port: int, keys: Iterable[str]) -> str:
    """Lines of a known_hosts file that let a host show these keys."""
    name = address if port == SSH_PORT else f"[{address}]:{port}"
    return "".join(f"{name} {key}\n" for key in keys)
