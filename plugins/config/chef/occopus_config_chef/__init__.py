"""Configuration manager `chef`: nodes of a Chef server, Chef Infra Server or goiardi."""

from occopus_config_chef.manager import Chef

__all__ = ["Chef"]
