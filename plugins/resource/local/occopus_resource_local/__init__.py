"""Nodes as process groups of this host, each with its own loopback address and folder, without isolation."""

from occopus_resource_local.handler import LocalHandler

__all__ = ["LocalHandler"]
