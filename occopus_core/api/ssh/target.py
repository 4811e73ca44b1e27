"""Where to log in, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from occopus_core.api.errors import PermanentError
from occopus_core.api.ssh.hostkeys import SSH_PORT

AUTH_KEYS = ("user", "private_key", "passphrase", "password")
"""The keys of `auth_data` that make a login."""


@dataclass(frozen=True, slots=True)
class SshLogin:
    """Who logs in. A private key is tried before a password."""

    user: str
    private_key: str = field(default="", repr=False)
    """The text of a private key, as OpenSSH or OpenSSL writes it."""
    passphrase: str = field(default="", repr=False)
    """What the private key is encrypted with; empty where it is not."""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, auth: Mapping[str, str], user: str = "") -> SshLogin:
        """The login that `auth_data` holds; `user`, of the description, takes precedence over the one there.

        The keys are ``user``, ``private_key``, ``passphrase`` and ``password``. Raises `PermanentError` where there is
        neither a key nor a password.
        """
        login = cls(
            user or auth.get("user", "root"),
            auth.get("private_key", ""),
            auth.get("passphrase", ""),
            auth.get("password", ""),
        )
        if not (login.private_key or login.password):
            raise PermanentError(
                f"no key and no password for the SSH user '{login.user}': "
                "add `private_key` or `password` to a matching entry of the credentials file"
            )
        return login

    @property
    def proof(self) -> str:
        """What it logs in with, for messages."""
        return "the key" if self.private_key else "the password"


@dataclass(frozen=True, slots=True)
class SshTarget:
    """One host to log in to. Times are in seconds."""

    address: str
    login: SshLogin
    node_id: str = ""
    """The instance whose pinned keys hold, those of its jump hosts too; not asked for in a jump host."""
    port: int = SSH_PORT
    jump: SshTarget | None = None
    """The host through which it is reached; None where it is reached directly."""
    host_key: str = ""
    """The key the host must show, where a description says it; else it is pinned on first use."""
    connect_timeout: float = 10.0
    """How long it may take until the login is done."""
    keepalive: float = 15.0
    """How often a quiet connection is tried, so that nothing on the way drops it."""

    @property
    def place(self) -> str:
        """Its address and port, for messages."""
        return f"{self.address}:{self.port}"
