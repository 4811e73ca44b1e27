"""The contract of a resource handler: how the core makes, finds and deletes instances at one provider.

The words MUST and SHOULD are meant as in RFC 2119; `occopus_core.testing.conformance` checks every clause.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, NewType

from occopus_core.api.context import Context, ContextForm
from occopus_core.api.errors import ProviderError
from occopus_core.api.ssh import HostKeys, MemoryHostKeys

InstanceId = NewType("InstanceId", str)
"""The provider's name for an instance, unique within one connection."""


class InstanceState(enum.Enum):
    """What a provider says of an instance, in the core's words."""

    PROVISIONING = "provisioning"
    """Half made, waiting for something that is on its way (an image), or refused only after `create` had answered: call
    `create` again with the same request, which goes on or says why (`QuotaError` where no host took the instance)."""
    PENDING = "pending"
    """The provider is starting it: describe it."""
    READY = "ready"
    """It runs, as far as the provider can see."""
    STOPPED = "stopped"
    """It exists but does not run."""
    FAILED = "failed"
    """The provider gave it up; `Instance.reason` says why."""
    DELETING = "deleting"
    """It is on its way out."""
    ABSENT = "absent"
    """The provider does not know it (any more, or yet). Where `raw_state` is given, it says itself that it is gone."""
    UNKNOWN = "unknown"
    """A state this handler has no word for; `Instance.raw_state` has the provider's."""


class AddressKind(enum.Enum):
    """Where an address can be reached from."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an instance: an IP address or a host name, as text."""

    value: str
    kind: AddressKind = AddressKind.PUBLIC


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an instance is. As a query, a field that is None matches anything.

    Every field fits a label of 63 characters.
    """

    installation: str
    """Names the store the instance is recorded in, so that two installations on one account never touch each other's
    instances: at most 63 characters of ``[A-Za-z0-9-]``."""
    infra_id: str | None = None
    """1 to 63 characters of ``[A-Za-z0-9._-]``, beginning with a letter or a digit."""
    node_name: str | None = None
    """1 to 63 characters of ``[A-Za-z0-9-]``."""
    node_id: str | None = None
    """A UUID: 36 characters of ``[0-9a-f-]``."""

    def matches(self, other: Owner) -> bool:
        """True where `other` carries everything this query asks for."""
        return (
            self.installation == other.installation
            and self.infra_id in (None, other.infra_id)
            and self.node_name in (None, other.node_name)
            and self.node_id in (None, other.node_id)
        )


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Everything `create` needs. The same instance is always asked for with the same token.

    `token` is at most 63 characters of ``[a-z0-9-]`` and starts with a letter: it fits a host name, an EC2
    ClientToken, a container name and an Azure resource name.
    """

    token: str
    owner: Owner
    resource: Mapping[str, Any] = field(repr=False)
    """The `resource` section with its templates rendered; it may hold passwords."""
    context: Context = field(repr=False)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as the provider describes it now."""

    id: InstanceId
    state: InstanceState
    addresses: tuple[Address, ...] = ()
    """The address `getip` answers comes first."""
    token: str = ""
    owner: Owner | None = None
    raw_state: str = ""
    reason: str = ""
    """The provider's explanation of a state that is not READY, for people; of PROVISIONING, how far it has come.

    Each new text is shown to the user: progress goes in coarse steps."""

    @property
    def may_be_hidden(self) -> bool:
        """True where it is absent for all the provider knows, which may not know it yet."""
        return self.state is InstanceState.ABSENT and not self.raw_state


@dataclass(frozen=True, slots=True)
class Connection:
    """One account at one place: what a handler object is made for."""

    type: str
    settings: Mapping[str, Any]
    """The handler's `connection_keys` with their values; a key that the description leaves out is missing."""
    auth: Mapping[str, str] = field(repr=False)
    """The matching `auth_data`; empty where none is given."""
    call_timeout: float = 30.0
    """Seconds after which a call to the provider MUST have raised `TransientError`."""
    host_keys: HostKeys = field(default_factory=MemoryHostKeys, repr=False, compare=False)
    """The pinned SSH host keys of instances, for plugins that log in to them."""


class Feature(enum.Enum):
    """Something a handler can do beyond the life of an instance. The core asks for what is declared."""

    LOGS = "logs"
    """`logs` answers what instances have printed."""
    STOP = "stop"
    """`stop` asks instances to shut down before they are deleted, and descriptions may say `stop_seconds`."""
    MARK = "mark"
    """`mark` writes owner and token on an instance that has lost them."""


class ResourceHandler(ABC):
    """One connection to one provider.

    Threads: MUST be thread-safe and MUST keep no state of its own per instance. Time: every call to the provider MUST
    end within `Connection.call_timeout`; a handler MUST never sleep or retry (both belong to the core, once). Errors:
    MUST raise nothing but `ProviderError` and its subclasses. A wrong answer (another type, a missing key, another
    exception) fails the one instance it concerns, with the handler's name in the message. The constructor MUST NOT do
    I/O.
    """

    contract_version: ClassVar[int]
    """Each plugin states the version it is written for: `contract_version = 1`."""
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    """The keys of the `resource` section which, with its type and credentials, select the connection."""
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    """The forms of context this handler passes on, byte for byte."""
    features: ClassVar[frozenset[Feature]] = frozenset()
    """What this handler can do beyond the life of an instance."""
    stop_seconds: ClassVar[float] = 0.0
    """With `Feature.STOP`: the seconds of grace between `stop` and `delete` where the description does not say."""
    max_concurrency: ClassVar[int] = 16
    """The most calls the core has under way at once on one connection."""
    poll_seconds: ClassVar[tuple[float, float]] = (0.2, 5.0)
    """The shortest and the longest time in seconds between two looks at something that is under way."""
    consistency_window: ClassVar[float] = 10.0
    """Seconds for which `describe` and `list_owned` may still miss what `create` has made."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of this type's `resource` section.

        The core adds `type` and `name`, and `stop_seconds` for handlers with `Feature.STOP`.

        Users of a property that is marked ``"deprecated": true`` are warned with its description. MUST NOT import the
        provider's library.
        """

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """What this section would give its writer beyond the node itself, a message for each.

        Node definitions that come from the network are refused these. Values may still be templates, and what one might
        become counts. Calls nobody.
        """
        return ()

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """Why credentials of this kind cannot work, for a warning at import; empty where they may.

        Quotes no secret. Does no I/O.
        """
        return ""

    @classmethod
    def sources(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """Where making the node has this machine, or one of its provider's, fetch something from: URLs, or hosts.

        Node definitions that come from the network are refused those that the operator has not allowed. What the
        provider fetches from by default is left out. Values may still be templates; such a value is answered as it is,
        and refused. Calls nobody.
        """
        return ()

    def check(self, request: CreateRequest) -> None:
        """Refuse what can be known to be wrong without calling the provider. Runs before anything is created.

        Addresses of other nodes are placeholders here. Raises `PermanentError`.
        """
        return

    @abstractmethod
    def create(self, request: CreateRequest) -> Instance:
        """Make the instance, or do the next step of making it, and return it as it is now.

        MUST be idempotent by `request.token`: a repeat returns the same instance. Owner and token MUST be written in
        the very call that creates, and the names of everything it makes derive from the token. A step that would need
        waiting is left to the next call: return `PROVISIONING`.

        What has to be brought before there is anything to own (an image) may be on its way in a thread of the handler,
        begun once for all instances that want it: meanwhile return `PROVISIONING` with how far it is as `reason`. It
        MUST be begun anew where it was lost with its process. Raises `ProviderError`.
        """

    @abstractmethod
    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """The instances with these ids, in O(pages) calls; a key for every id, `ABSENT` where there is none.

        Raises `ProviderError`; never `NotFoundError`.
        """

    @abstractmethod
    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        """Everything that carries the owner's tags, half-made things included, each with its token and owner.

        Raises `ProviderError`, also while being iterated.
        """

    @abstractmethod
    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Start or continue deleting these instances with all they own; a key for every id, None for success.

        An absent id is a success, and one that fails does not stop the others. The core repeats the call until
        `describe` answers `ABSENT`. Raises `ProviderError` where not even one could be asked for.
        """

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Ask these instances to shut down in their own time; a key for every id, None for success.

        For handlers with `Feature.STOP`. Returns at once. MUST be idempotent; an instance that is absent or stopped
        already is a success. The core calls `delete` once `describe` no longer answers `READY`, or when the grace is
        over. Raises `ProviderError` where not even one could be asked.
        """
        raise NotImplementedError

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        """Write owner and token on an instance whose tags were changed or removed. MUST be idempotent.

        For handlers with `Feature.MARK`. The core names only instances that it has made. Raises `ProviderError`.
        """
        raise NotImplementedError

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The last lines of what each instance has printed, as text; None where there is nothing to be had.

        For handlers with `Feature.LOGS`; a stopped or failed instance SHOULD have its output still. Raises
        `ProviderError`.
        """
        raise NotImplementedError

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
        """What each instance has cost so far in the account's currency; None where the provider does not say."""
        return dict.fromkeys(ids)
