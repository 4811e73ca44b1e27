"""The contract of a resource handler: it creates, finds and deletes instances at one provider.

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
from occopus_core.api.field_types import read_only, require
from occopus_core.api.ssh import HostKeys, MemoryHostKeys

InstanceId = NewType("InstanceId", str)
"""The provider's id of an instance, unique within one connection: 1 to `LONGEST_ID` printable characters."""

LONGEST_ID = 1024
"""The most characters of an `InstanceId`."""


class InstanceState(enum.Enum):
    """The state of an instance, as its provider reports it, in the terms of the core."""

    PROVISIONING = "provisioning"
    """Half made, waiting for an operation under way (an image), or refused only after `create` had answered: call
    `create` again with the same request, which continues or says why (`QuotaError` if no host had room for the
    instance)."""
    PENDING = "pending"
    """The provider is starting it: describe it."""
    READY = "ready"
    """It runs, as far as the provider can see."""
    STOPPED = "stopped"
    """It exists but does not run."""
    FAILED = "failed"
    """The provider has given it up; `Instance.reason` says why."""
    DELETING = "deleting"
    """It is being deleted."""
    ABSENT = "absent"
    """The provider does not know it (any more, or yet). With `raw_state` this is certain, however young it is; with the
    owner, the provider itself reports it as gone."""
    UNKNOWN = "unknown"
    """The handler does not know the provider's state, which is in `Instance.raw_state`."""


class AddressKind(enum.Enum):
    """The network from which an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an instance: an IP address or a host name, as text.

    Raises `TypeError` for a value of another type.
    """

    value: str
    kind: AddressKind = AddressKind.PUBLIC

    def __post_init__(self) -> None:
        require("Address", "value", self.value, str)
        require("Address", "kind", self.kind, AddressKind)


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of an instance. In a query, a field that is None matches anything.

    Every field fits a label of 63 characters.
    """

    installation: str
    """Identifies the store that records the instance, so that two installations on one account never touch each other's
    instances: at most 63 characters of ``[A-Za-z0-9-]``."""
    infra_id: str | None = None
    """1 to 63 characters of ``[A-Za-z0-9._-]``, beginning with a letter or a digit."""
    node_name: str | None = None
    """1 to 63 characters of ``[A-Za-z0-9-]``."""
    node_id: str | None = None
    """A UUID: 36 characters of ``[0-9a-f-]``."""

    def matches(self, other: Owner) -> bool:
        """True if `other` has all values of this query."""
        return (
            self.installation == other.installation
            and self.infra_id in (None, other.infra_id)
            and self.node_name in (None, other.node_name)
            and self.node_id in (None, other.node_id)
        )


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """The request for one instance. Every request for the same instance has the same token.

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
    """One instance, as the provider describes it at present.

    `id`, `token` and the fields of `owner` have only printable characters: an instance with others is a wrong answer.
    Control characters in addresses, `raw_state` and `reason` become spaces. Raises `TypeError` for a value of another
    type; None is accepted for `token`, `raw_state` and `reason`, as empty.
    """

    id: InstanceId
    state: InstanceState
    addresses: tuple[Address, ...] = ()
    """The first one is the address that `getip` returns."""
    token: str = ""
    owner: Owner | None = None
    raw_state: str = ""
    reason: str = ""
    """The provider's explanation of a state other than READY, for users; for PROVISIONING, the progress.

    Each new text is shown to the user: report progress in large steps."""

    def __post_init__(self) -> None:
        require("Instance", "id", self.id, str)
        require("Instance", "state", self.state, InstanceState)
        addresses: object = self.addresses
        if isinstance(addresses, list):
            addresses = tuple(addresses)
            object.__setattr__(self, "addresses", addresses)
        require("Instance", "addresses", addresses, tuple)
        for address in self.addresses:
            require("Instance", "addresses", address, Address)
        require("Instance", "owner", self.owner, Owner, type(None))
        for name in ("token", "raw_state", "reason"):
            value = getattr(self, name)
            if value is None:
                object.__setattr__(self, name, "")
            else:
                require("Instance", name, value, str)

    @property
    def may_be_hidden(self) -> bool:
        """True if it is absent but may be too young for the provider to show it."""
        return self.state is InstanceState.ABSENT and not self.raw_state

    @property
    def is_missing(self) -> bool:
        """True if it is absent and the provider reports nothing of it: the provider may have lost sight of it."""
        return self.state is InstanceState.ABSENT and self.owner is None


@dataclass(frozen=True, slots=True)
class Connection:
    """One account at one provider, for which a handler object is made."""

    type: str
    settings: Mapping[str, Any]
    """The handler's `connection_keys` with their values, without keys that the description leaves out.

    Read-only, as is every mapping in it; lists are tuples."""
    auth: Mapping[str, str] = field(repr=False)
    """The matching `auth_data`; empty without credentials. Read-only."""
    call_timeout: float = 30.0
    """Seconds within which each call of a plugin MUST end; with `TransientError` where no answer came by then."""
    host_keys: HostKeys = field(default_factory=MemoryHostKeys, repr=False, compare=False)
    """The pinned SSH host keys of instances, for plugins that log in to them."""

    def __post_init__(self) -> None:
        for name in ("settings", "auth"):
            object.__setattr__(self, name, read_only(getattr(self, name)))


class Feature(enum.Enum):
    """An optional ability of a handler. The core uses only declared ones."""

    LOGS = "logs"
    """`logs` returns the output of instances."""
    LOGS_SINCE = "logs_since"
    """`logs_since` returns the output since a given time."""
    STOP = "stop"
    """`stop` asks instances to shut down before they are deleted, and descriptions may set `stop_seconds`."""
    MARK = "mark"
    """`mark` restores owner and token on an instance that has lost them."""
    ENSURE = "ensure"
    """`ensure` makes sure that an instance can be created, before another one is deleted that is in its way."""


class ResourceHandler(ABC):
    """One connection to one provider.

    Threads: MUST be thread-safe and MUST keep no state of its own per instance. Time: every call to the provider MUST
    end within `Connection.call_timeout`; a handler MUST never sleep or retry, as the core does both. Errors: MUST raise
    only `ProviderError` and its subclasses. A wrong answer (another type, a missing key, another exception) concerns
    only its instance, with the names of the handler and its distribution in the message: one that is being made fails,
    of a running one it is not known how it is. The constructor MUST NOT do I/O.
    """

    contract_version: ClassVar[int]
    """The contract version that the plugin is written for: every plugin sets `contract_version = 1`."""
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    """The keys of the `resource` section which, with its type and credentials, select the connection."""
    harmless_keys: ClassVar[tuple[str, ...]] = ()
    """The connection keys that a node definition from the network may set to any value.

    No value of such a key may direct a call to another host, path or service: it is a region or a project, and never
    the `endpoint`. It may select another entry of the credentials file, as any key of a section may. A value of any
    other connection key needs the operator's leave."""
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    """The forms of context that the handler passes on, byte for byte."""
    features: ClassVar[frozenset[Feature]] = frozenset()
    """The optional abilities of this handler."""
    stop_seconds: ClassVar[float] = 0.0
    """With `Feature.STOP`: the default grace in seconds between `stop` and `delete`; at most a day."""
    max_concurrency: ClassVar[int] = 16
    """The most calls the core has under way at once on one connection; at most 10000."""
    poll_seconds: ClassVar[tuple[float, float]] = (0.2, 5.0)
    """The shortest and the longest time in seconds between two polls of an operation under way; at most 30 and 300."""
    consistency_window: ClassVar[float] = 10.0
    """Seconds for which `describe` and `list_owned` may still miss the result of `create`; at most an hour."""

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
        """The powers beyond the node itself that this section would give its writer, a message for each.

        Node definitions from the network are refused if they have any. Values may still be templates; a value that
        could render to a power counts. Does no I/O.
        """
        return ()

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """Why credentials of this kind cannot work: a warning at import, an error of a build; empty if they may work.

        Contains no secret. Does no I/O.
        """
        return ""

    @classmethod
    def sources(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The URLs or hosts from which this machine, or one of the provider's, fetches data to make the node.

        Node definitions from the network are refused if the operator has not allowed these sources. Default sources of
        the provider are left out. Values may still be templates; such a value is returned unchanged, and refused. Does
        no I/O.
        """
        return ()

    @classmethod
    def exclusive(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """What this section asks for that only one instance at a time can have, each as "the host port 8000/tcp".

        Where a new instance and the one that goes name the same on one connection, the latter is deleted before the
        former is created. The texts are compared and shown; they hold no secret. Values are rendered, but may be
        invalid, or still be templates. Does no I/O.
        """
        return ()

    @classmethod
    def unshared(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """What this section asks for that the provider refuses to a second instance while another one has it.

        A port of a host is such a thing, a volume that several instances may write to is not. A build in which two
        instances on one connection would need the same is refused before anything is changed. The rest is as in
        `exclusive`.
        """
        return ()

    @classmethod
    def way_in(cls, settings: Mapping[str, Any], id: InstanceId) -> str:
        """A shell command by which people enter an instance without SSH; empty if there is none.

        `settings` are those of its `Connection`. The command is shown with what it needs quoted, and never run. Does no
        I/O.
        """
        return ""

    def check(self, request: CreateRequest) -> None:
        """Refuse a request with a mistake that can be found without the provider. Called before anything is created.

        Addresses of other nodes are placeholders here. Raises `PermanentError`.
        """
        return

    @abstractmethod
    def create(self, request: CreateRequest) -> Instance:
        """Create the instance, or take the next step of its creation, and return its present state.

        MUST be idempotent by `request.token`: a repeat returns the same instance, and another token one with another
        id. MUST write owner and token in the very call that creates, and derive the names of everything it creates from
        the token. A step that would have to wait is left to the next call: return `PROVISIONING`.

        A prerequisite that belongs to no instance (an image) may be fetched in a thread of the handler, once for all
        instances that need it: meanwhile return `PROVISIONING` with the progress as `reason`. It MUST be started again
        if it was lost with its process. Raises `ProviderError`.
        """

    @abstractmethod
    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """The instances with these ids, in O(pages) calls; with a key for every id, `ABSENT` for an unknown one.

        Each instance has the id that is its key; one with another id is a wrong answer. Raises `ProviderError`; never
        `NotFoundError`.
        """

    @abstractmethod
    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        """Everything with the owner's tags, including half-made things, each with its token and owner.

        Raises `ProviderError`, also while being iterated.
        """

    @abstractmethod
    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Start or continue to delete these instances with all they own; a key for every id, None for success.

        An absent id is a success, and a failed one does not stop the others. The core repeats the call until `describe`
        reports `ABSENT`. Raises `ProviderError` if no deletion could be requested at all.
        """

    def ensure(self, request: CreateRequest) -> str:
        """Make sure that the provider has what the request asks for, such as its image. Creates no instance.

        For handlers with `Feature.ENSURE`. Called before an instance is deleted that holds what the new one needs
        (`exclusive`); after an error that one stays. Returns an empty text once the instance can be created as far as
        the handler can tell, what the other one holds aside; until then the progress, for users: the core calls again.

        What belongs to no instance may be fetched as in `create`, which finds it. MUST be idempotent, MUST make nothing
        that has the token or the owner, and MUST NOT refuse what `create` would accept. Raises `ProviderError`.
        """
        raise NotImplementedError

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Ask these instances to shut down; a key for every id, None for success.

        For handlers with `Feature.STOP`. Returns at once. MUST be idempotent; an instance that is absent or stopped is
        a success. `describe` MUST answer `READY` until the instance has stopped: the core calls `delete` once it
        answers anything else, or when the grace is over. Raises `ProviderError` if no stop could be requested at all.
        """
        raise NotImplementedError

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        """Write owner and token on an instance whose tags were changed or removed. MUST be idempotent.

        For handlers with `Feature.MARK`. The core names only instances of its own. Raises `ProviderError`.
        """
        raise NotImplementedError

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The last lines of each instance's output, as text; None if there is no output.

        For handlers with `Feature.LOGS`; the output of a stopped or failed instance SHOULD be available. Raises
        `ProviderError`.
        """
        raise NotImplementedError

    def logs_since(self, ids: Sequence[InstanceId], lines: int, since: float) -> Mapping[InstanceId, str | None]:
        """The same as `logs`, without what was printed before `since` (seconds since 1970).

        For handlers with `Feature.LOGS_SINCE`, which have `Feature.LOGS` as well. Raises `ProviderError`.
        """
        raise NotImplementedError

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
        """The cost of each instance so far in the account's currency; None if the provider does not report it.

        Finite, and below 10**15.
        """
        return dict.fromkeys(ids)
