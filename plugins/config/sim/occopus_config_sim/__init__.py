"""The `sim` configuration manager."""

from occopus_config_sim.manager import SimManager

__all__ = ["SimManager"]
