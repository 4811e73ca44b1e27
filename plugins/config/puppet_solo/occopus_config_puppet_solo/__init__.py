"""Configuration manager `puppet_solo`: Puppet without a server, applied by the node's cloud-init."""

from occopus_config_puppet_solo.manager import PuppetSolo, Words

__all__ = ["PuppetSolo", "Words"]
