"""Plans in answers."""

from __future__ import annotations

from typing import Any, Literal

from anyio import CapacityLimiter
from pydantic import BaseModel, Field

from occopus_core.engine.planning.plan import Plan
from occopus_core.report.plans import steps_of

QUESTIONS = CapacityLimiter(4)
"""Limits concurrent calls that ask providers: slow ones must not block all other requests."""


class PlannedStep(BaseModel):
    """The action of the next pass on one instance."""

    action: Literal["keep", "create", "replace", "reconfigure", "destroy", "wait"]
    node: str
    nodeid: str
    reason: str
    hold: str = Field(description="why a step waits, such as `frozen` or `back-off`; else empty")
    until: str | None = Field(description="when the wait ends, if known")


class Planned(BaseModel):
    """The actions of the next pass."""

    steps: list[PlannedStep]
    frozen: str = Field(description="why failed instances are not replaced, and how that ends; else empty")


def planned_of(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON value."""
    return {"steps": steps_of(plan), "frozen": plan.frozen}
