"""Occopus resource handler for OpenStack."""

from occopus_resource_nova.handler import NovaHandler

__all__ = ["NovaHandler"]
