"""Handlers that each violate one clause of the contract, to test the conformance suite."""

from occopus_core.testing.broken import content, failures, lifecycle, shape, states
from occopus_core.testing.broken.base import BROKEN

__all__ = ["BROKEN", "content", "failures", "lifecycle", "shape", "states"]
