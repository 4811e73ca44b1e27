"""Host keys: the pinned keys of instances, and key pairs generated for new ones.

Keys have the format of public key files, without a comment: ``ssh-ed25519 AAAA…``.
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
    host. Pins are removed with their instance, so its replacement has pins of its own.
    """

    def known(self, node_id: str, host: str = "") -> Sequence[str]:
        """The keys that the host may show; empty before the first contact, several if it was created repeatedly.

        Raises `TransientError` if the store cannot be read.
        """
        ...

    def pin(self, node_id: str, key: str, host: str = "") -> Sequence[str]:
        """Pin the key that the host shows, if it may show it. Returns the keys that are pinned now.

        The first key is pinned as the only one. One of several keys generated for the instance remains as the only one.
        A key that is not among the pinned ones changes nothing and is not in the result. Idempotent. Raises
        `HostKeyError` if the instance does not exist any more, `TransientError` if the store cannot be used.
        """
        ...


class MemoryHostKeys:
    """Host keys pinned in memory, for the life of the object: for tests, and for plugins without the core."""

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
    """A key pair for a new host. The private key is only for its user data, and is never stored."""

    public: str
    private: str = field(repr=False)
    """In the OpenSSH format."""


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
    """A public key without comment and extra white space. Raises `ValueError` for an invalid text."""
    kind, data, *_ = [*text.split(), "", ""]
    try:
        blob = base64.b64decode(data, validate=True)
    except binascii.Error:
        blob = b""
    if not kind or blob[4 : 4 + len(kind)] != kind.encode():
        raise ValueError("expected a public key such as 'ssh-ed25519 AAAA...'")
    return f"{kind} {data}"


def fingerprint(key: str) -> str:
    """The fingerprint of a key, as ``ssh-keygen -l`` shows it."""
    kind, data = key.split()[:2]
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(data)).digest()).decode().rstrip("=")
    return f"{kind} SHA256:{digest}"


def known_hosts(address: str, port: int, keys: Iterable[str]) -> str:
    """Lines of a known_hosts file that let a host show these keys."""
    name = address if port == SSH_PORT else f"[{address}]:{port}"
    return "".join(f"{name} {key}\n" for key in keys)
