"""SSH targets: the host and the login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from occopus_core.api.errors import PermanentError
from occopus_core.api.ssh.hostkeys import SSH_PORT

AUTH_KEYS = ("user", "private_key", "passphrase", "password")
"""The keys of `auth_data` that form a login."""


@dataclass(frozen=True, slots=True)
class SshLogin:
    """The credentials of a login. A private key is tried before a password."""

    user: str
    private_key: str = field(default="", repr=False)
    """The text of a private key, in OpenSSH or OpenSSL format."""
    passphrase: str = field(default="", repr=False)
    """The passphrase of the private key; empty for an unencrypted key."""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, auth: Mapping[str, str], user: str = "") -> SshLogin:
        """The login in `auth_data`; `user`, from the description, takes precedence over the user there.

        The keys are ``user``, ``private_key``, ``passphrase`` and ``password``. Raises `PermanentError` without a key
        and a password.
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
        """The kind of credentials, for messages."""
        return "the key" if self.private_key else "the password"


@dataclass(frozen=True, slots=True)
class SshTarget:
    """One host to log in to. Times are in seconds."""

    address: str
    login: SshLogin
    node_id: str = ""
    """The instance whose pinned keys apply, including those of its jump hosts; ignored in a jump host."""
    port: int = SSH_PORT
    jump: SshTarget | None = None
    """The host through which it is reached; None for a direct connection."""
    host_key: str = ""
    """The key the host must show, if the description sets one; otherwise it is pinned at first use."""
    connect_timeout: float = 10.0
    """The time limit for connection and login."""
    keepalive: float = 15.0
    """The interval of keepalive packets, so that no firewall drops an idle connection."""

    @property
    def place(self) -> str:
        """Its address and port, for messages."""
        return f"{self.address}:{self.port}"
