"""The contract of a health checker: is a node fit to be used, and if not, why not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from occopus_core.api.ssh import HostKeys, MemoryHostKeys


@dataclass(frozen=True, slots=True)
class Probe:
    """One question about one instance."""

    node_id: str
    address: str
    """The instance's first address; empty where it has none."""
    value: Any = field(repr=False)
    """The rendered value of the checker's key in the `health_check` section; it may hold passwords."""
    timeout: float = 5.0
    """Seconds after which this one look at the instance is given up."""
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials for this check: the `auth_data` of the entry of the section `health_check` in the credentials file
    whose selectors equal `type` (the checker's key) and values of the rendered mapping. Empty where there is none."""
    host_keys: HostKeys = field(default_factory=MemoryHostKeys, repr=False, compare=False)
    """The pinned SSH host keys of instances, for checkers that log in to them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: healthy or not, and a reason that a person can act on, such as ``port 8080 refused on 127.3.0.2``."""

    healthy: bool
    reason: str = ""


class HealthChecker(ABC):
    """Answers many probes at once. Registered under the key it answers for in `health_check`. MUST be thread-safe."""

    contract_version: ClassVar[int]
    """Each plugin states the version it is written for: `contract_version = 1`."""

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the value of the checker's key."""

    @classmethod
    def powers(cls, value: Any) -> Sequence[str]:
        """What this value would let its writer do on the server, a message for each; see `ConfigManager.powers`."""
        return ()

    def check_host(self, value: Any) -> None:
        """Refuse what this machine cannot look at, whatever the node does: a missing right, a missing program.

        Called before anything is created, with the rendered value. Looks at this machine alone, for at most five
        seconds. The message says how to allow it, or to do without. Raises `PermanentError`.
        """
        return

    @abstractmethod
    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """One verdict for each probe, in their order, all looked at side by side.

        MUST return within about the longest `Probe.timeout`, MUST NOT raise because of a target, and MUST NOT put a
        secret into a reason. Looking changes nothing: safe to repeat at any time.
        """
