"""Health check `ssh`: a login, and a command that succeeds."""

from occopus_health_ssh.checker import SshCommand

__all__ = ["SshCommand"]
