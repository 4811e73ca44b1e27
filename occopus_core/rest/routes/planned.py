"""Plans in answers."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from anyio import CapacityLimiter
from pydantic import BaseModel, Field

from occopus_core.engine.planning.plan import Plan
from occopus_core.report.plans import plan_as_json

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


class ChangedKey(BaseModel):
    """A key whose value differs; null where it is not there. Values that may be secret are hidden."""

    path: str
    before: str | None
    after: str | None


class MovedLifeTime(BaseModel):
    """When the infrastructure is destroyed by itself; null for never."""

    before: str | None
    after: str | None


class Planned(BaseModel):
    """The actions of a pass, and what it changes in the description in force."""

    steps: list[PlannedStep]
    frozen: str = Field(description="why failed instances are not replaced, and how that ends; else empty")
    changes: dict[str, list[ChangedKey]] = Field(description="by node: the keys that differ")
    infrastructure_changes: list[ChangedKey] = Field(description="the keys of no node that differ")
    life_time: MovedLifeTime | None = Field(description="another end of the life time; null where it stays as it is")


def planned_of(plan: Plan, *, values: bool) -> dict[str, Any]:
    """The plan as a JSON value. Without `values`, for clients that may not read descriptions, these are hidden."""
    shown = plan if values else dataclasses.replace(plan, changes=plan.changes.without_values)
    return plan_as_json(shown)
