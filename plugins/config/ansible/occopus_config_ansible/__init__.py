"""Configuration manager `ansible`: nodes configured by Ansible playbooks over SSH."""

from occopus_config_ansible.manager import Ansible

__all__ = ["Ansible"]
