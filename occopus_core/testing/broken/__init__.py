"""Handlers that each break one clause of the contract: what the conformance suite is tested with."""

from occopus_core.testing.broken import content, failures, lifecycle, shape, states
from occopus_core.testing.broken.base import BROKEN

__all__ = ["BROKEN", "content", "failures", "lifecycle", "shape", "states"]
