"""The resources that all passes of a process share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from occopus_core.engine.instance.checks import HealthChecks
from occopus_core.engine.instance.observe import Observatory
from occopus_core.engine.instance.runtime import Experience
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop
from occopus_core.events import Observer
from occopus_core.registry import Registry
from occopus_core.store.repository import Store


@dataclass(frozen=True, slots=True)
class Resources:
    """What passes use: the store, the connections to providers, and the loop."""

    store: Store
    registry: Registry
    connections: Connections
    observatory: Observatory
    checks: HealthChecks
    loop: Loop
    rng: random.Random
    width: int | None
    """How many instances of an infrastructure may be under way at once; None for no limit."""
    observer: Observer
    holder: str
    """The name of this process for others that want the same infrastructure."""
    experience: Experience = field(default_factory=Experience)
    former: bool = False
    """True if templates follow the rules of 1.x, see `occopus_core.templates_1x.Manners`."""
    warn: Callable[[str], object] = lambda _: None
    """Called with a warning for each correction made in templates."""
