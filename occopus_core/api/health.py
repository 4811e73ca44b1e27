"""The contract of a health checker: it decides if a node can be used, and if not, why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from occopus_core.api.field_types import require
from occopus_core.api.ssh import HostKeys, MemoryHostKeys


@dataclass(frozen=True, slots=True)
class Probe:
    """One check of one instance."""

    node_id: str
    address: str
    """The instance's first address; empty if it has none."""
    value: Any = field(repr=False)
    """The rendered value of the checker's key in the `health_check` section; it may hold passwords."""
    timeout: float = 5.0
    """Seconds after which this check is given up."""
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials for this check: the `auth_data` of the entry of the section `health_check` in the credentials file
    whose selectors equal `type` (the checker's key) and values of the rendered mapping. Empty without an entry."""
    host_keys: HostKeys = field(default_factory=MemoryHostKeys, repr=False, compare=False)
    """The pinned SSH host keys of instances, for checkers that log in to them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: healthy or not, with a reason that a user can act on, such as ``port 8080 refused on 127.3.0.2``."""

    healthy: bool
    reason: str = ""

    def __post_init__(self) -> None:
        """Raise `TypeError` for a field of a wrong type."""
        require("Verdict", "healthy", self.healthy, bool)
        require("Verdict", "reason", self.reason, str)


class HealthChecker(ABC):
    """Checks many instances at once. Registered under its key in `health_check`. MUST be thread-safe."""

    contract_version: ClassVar[int]
    """The contract version that the plugin is written for: every plugin sets `contract_version = 1`."""

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the value of the checker's key."""

    @classmethod
    def powers(cls, value: Any) -> Sequence[str]:
        """The powers on the server that this value would give its writer; see `ConfigManager.powers`."""
        return ()

    def check_host(self, value: Any) -> None:
        """Refuse a value that this machine cannot check for any node: a permission or a program is missing.

        Called before anything is created, with the rendered value. Examines this machine only, for at most five
        seconds. The message says how to allow the check, or to do without. Raises `PermanentError`.
        """
        return

    @abstractmethod
    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """One verdict for each probe, in their order; the probes run concurrently.

        MUST return within about the longest `Probe.timeout`, MUST NOT raise because of a target, and MUST NOT put a
        secret into a reason. A check changes nothing: safe to repeat at any time.
        """
