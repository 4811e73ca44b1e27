"""The contract of a configuration manager: a tool that configures instances, such as Chef or Ansible.

The words MUST and SHOULD are meant as in RFC 2119; `occopus_core.testing.config` checks every clause.

The life of one instance, as a configuration manager sees it::

    check                      before anything is created; addresses of other nodes are placeholders
    register                   before the instance is created
      (the handler creates the instance)
    configure                  once it runs and has its addresses; again after `register` where `status` says
                               UNKNOWN, and every 30 seconds while it says PENDING
    status                     until READY; from then on whenever the infrastructure is observed
    configure                  again whenever `ConfigNode.generation` changes, where the manager is `live`
    cancel                     when a job under way is not wanted any more
    leave                      before the instance is deleted, for at most `leave_seconds`
      (the handler deletes the instance)
    forget                     after it is gone; also after `cancel` and `leave` where the section of a running node was
                               removed, or names another type or other connection keys: the instance stays
    forget_infrastructure      after the last instance of the infrastructure is gone

A wrong answer (a value of another type, an exception that is not a `ProviderError`) fails only the instance that it
concerns, with the manager's name in the message. It never ends the process or affects another instance.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from occopus_core.api.field_types import require
from occopus_core.api.resource import Address, Connection, InstanceId


class ConfigState(enum.Enum):
    """The progress of the configuration of one instance."""

    UNKNOWN = "unknown"
    """The manager does not know the node: the core registers it again and calls `configure`."""
    PENDING = "pending"
    """The manager knows the node, and no job is under way: with a tool that pulls, the node has not reported yet."""
    QUEUED = "queued"
    """The manager has taken the job, which waits for its turn; `ConfigStatus.reason` says behind what.

    The time limit of the instance stands still meanwhile: MUST NOT be the answer for a job that may never begin.
    """
    RUNNING = "running"
    """A job is under way."""
    READY = "ready"
    """The node has the configuration of its generation."""
    FAILED = "failed"
    """The configuration failed; `ConfigStatus.reason` says why."""


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The state of one instance's configuration. Only `attributes` may contain secrets.

    The core makes `reason` and `progress` one line of at most 2000 characters without control characters. As in
    `output`, it hides the secrets of the credentials file, and the values of the `ConfigNode`, the present and former
    ones, whose names say that they are secrets. It leaves out texts about a generation whose values it does not know.
    """

    state: ConfigState
    reason: str = ""
    """Why it is not `READY`, for users."""
    progress: str = ""
    """The present step of a running job, for users, such as the name of the task. Each new text is shown."""
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The attributes that the node publishes for its dependents; a dotted name reaches into mappings: ``db.port``."""
    generation: str = ""
    """The `ConfigNode.generation` of this state. Empty if the manager does not know it; then it counts as current."""
    output: str = field(default="", repr=False)
    """What a job that `FAILED` has printed: its last lines, some tens of them, where the manager has them.

    The core adds the last ten that are not empty to the reason, of at most 300 characters each, without control
    characters and secrets. MUST be whole lines: a part of a secret is not found. The last 100,000 characters count."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another instance of the infrastructure, or the node itself, as recorded now."""

    node_name: str
    node_id: str
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigNode:
    """One instance as a configuration manager sees it."""

    installation: str
    infra_id: str
    infra_name: str
    node_name: str
    node_id: str
    token: str
    """The token of `CreateRequest`: the same for every call about this instance."""
    section: Mapping[str, Any] = field(repr=False)
    """The `config_management` section with its templates rendered; values keep their types."""
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """`contextualisation.attributes`, rendered; empty in `template_variables`, which they may depend on."""
    mapped: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Attributes published by dependees, under the names that the `mappings` of dependencies give them."""
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The node's `variables`."""
    generation: str = ""
    """Digest of `section`, `attributes` and `mapped`: a new generation requires a new configuration.

    The output of `cmd()` is left out. Empty in `template_variables` and for nodes that a sweep has found."""
    instance_id: InstanceId | None = None
    """The provider's id; None before the instance is created."""
    addresses: tuple[Address, ...] = ()
    """The first one is the address that `getip` returns; empty before the instance runs."""
    peers: tuple[Peer, ...] = ()
    """All running instances of the infrastructure, including this one; empty in `check` and `register`."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A node that a manager has data of, as `list_registered` reports it."""

    infra_id: str
    node_name: str
    node_id: str


@dataclass(frozen=True, slots=True)
class SectionFault:
    """What is wrong with a section, found when its file is imported. Holds no secret.

    Raises `TypeError` for a value of another type.
    """

    key: str
    """The key of the section whose value is wrong. MUST be in the section."""
    message: str
    """What is wrong, in one line, without its place."""
    line: int = 0
    """The line within the value, a text of several lines, counted from 1; 0 where it is the value as a whole."""
    column: int = 0
    """The column there, counted from 1."""

    def __post_init__(self) -> None:
        for name, kind in (("key", str), ("message", str), ("line", int), ("column", int)):
            require("SectionFault", name, getattr(self, name), kind)


class ConfigManager(ABC):
    """One connection to one configuration manager.

    Threads: MUST be thread-safe; the core makes at most `max_concurrency` calls at once, each in a thread of its pool.
    Time: every call MUST end within `Connection.call_timeout` seconds; none waits for a job. A manager MUST never sleep
    or retry. Errors: MUST raise nothing but `ProviderError` and its subclasses. Every call MUST be idempotent: the core
    repeats calls whose outcome it does not know, in another process too. The constructor MUST NOT do I/O.
    """

    contract_version: ClassVar[int]
    """The contract version that the plugin is written for: every plugin sets `contract_version = 1`."""
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    """The keys of the section which, with its type and credentials, select the connection."""
    harmless_keys: ClassVar[tuple[str, ...]] = ()
    """The connection keys that a node definition from the network may set to any value; see `ResourceHandler`."""
    max_concurrency: ClassVar[int] = 16
    """The most calls the core has under way at once on one connection; at most 10000."""
    max_jobs: ClassVar[int | None] = None
    """The most instances that may be configuring at once on one connection, at most 10000; None for no limit. The
    others queue, and the time limit of an instance begins when its own job begins."""
    poll_seconds: ClassVar[tuple[float, float]] = (0.2, 5.0)
    """The shortest and the longest time in seconds between two calls of `status` for one node; at most 30 and 300."""
    live: ClassVar[bool] = True
    """True if `configure` can apply a new generation to a running instance; otherwise the instance is replaced."""
    leave_seconds: ClassVar[float] = 60.0
    """The longest time in seconds that `leave` may take, at most a day. Then the instance is deleted in any case."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the `config_management` section, without `type`, which the core adds.

        MUST NOT import the manager's library.
        """

    @classmethod
    def powers(cls, section: Mapping[str, Any]) -> Sequence[str]:
        """The powers on the server or over others that this section would give its writer, a message for each.

        Node definitions from the network are refused if they have any. Values may still be templates; a value that
        could render to a power counts. Does no I/O.
        """
        return ()

    @classmethod
    def faults(cls, section: Mapping[str, Any]) -> Sequence[SectionFault]:
        """What is wrong with a section of a file that is imported on this machine, beyond what the schema says.

        Values may still be templates: what depends on one is no fault yet. May read local files, and take seconds.
        Raises nothing.
        """
        return ()

    def check(self, node: ConfigNode) -> None:
        """Refuse a node with a mistake that can be found without calling the manager. Raises `PermanentError`."""
        return

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """Additional names for the templates of the node's other sections. Does no I/O."""
        return {}

    def register(self, node: ConfigNode) -> None:
        """Register the node before its instance is created. Raises `ProviderError`."""
        return

    def configure(self, node: ConfigNode) -> None:
        """Start to configure the running instance for `node.generation`, unless a job for it is under way.

        Returns once the job is started. A job of an older generation is replaced. Raises `ProviderError`.
        """
        return

    @abstractmethod
    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """The status of each node, by node id, in O(pages) calls; with a key for every node.

        MUST NOT answer `READY` for an older generation. A node that the manager does not know is `UNKNOWN`; one whose
        job was lost with its process is `PENDING` or `UNKNOWN`.

        A problem of one node is its state, with a reason: a tool that asks each node itself answers `FAILED` or
        `PENDING` for a node that refuses or does not answer. An error concerns the whole connection: `AuthError` stops
        the configuration of every node on it. Raises `ProviderError`.
        """

    def cancel(self, nodes: Sequence[ConfigNode]) -> None:
        """End the jobs of these nodes; returns once they have ended or were requested to end. Raises `ProviderError`.

        A node that has no job or is unknown to the manager is a success. The nodes have instance ids, addresses
        and the section of their latest configuration, as in `forget`.
        """
        return

    def leave(self, node: ConfigNode) -> bool:
        """Start or continue taking the node out of service; True once it may be deleted. Raises `ProviderError`.

        Called, if `configure` was called or may have been, until it answers True, for at most `leave_seconds` in all.
        `node` is as in `cancel`. Any answer but True and False is an error, after which the instance is deleted.
        """
        return True

    def forget(self, node: ConfigNode) -> None:
        """Remove the data that `register` and `configure` made for the node. Raises `ProviderError`.

        `node` has no address: the instance is gone, or has another manager or none. Its section is that of its latest
        configuration, without the output of `cmd()` and without credentials, which are not stored. MUST use only the
        connection keys of the section. A node that the manager does not know is a success.
        """
        return

    def forget_infrastructure(self, infra_id: str) -> None:
        """Remove the data of the infrastructure as a whole. Raises `ProviderError`."""
        return

    def list_registered(self, installation: str) -> Iterable[Registered]:
        """All nodes of this installation that the manager has data of, for sweeps. Raises `ProviderError`."""
        return ()
