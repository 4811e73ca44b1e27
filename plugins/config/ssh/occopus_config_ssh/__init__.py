"""The configuration manager `ssh`: writes files and runs commands on instances, over SSH."""

from occopus_config_ssh.manager import SshManager

__all__ = ["SshManager"]
