"""Occopus resource handler for the simulated cloud."""

from occopus_resource_sim.handler import SimHandler

__all__ = ["SimHandler"]
