"""The harness that the author of a resource handler writes for the suite: a handler, requests, and fault injection."""

from __future__ import annotations

import enum
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from occopus_core.api import Context, CreateRequest, Feature, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.suite import Harness

Operation = Literal["create", "describe", "list_owned", "delete", "stop", "logs", "ensure"]
OPERATIONS: tuple[Operation, ...] = ("create", "describe", "list_owned", "delete")
"""The operations of every handler."""
OPTIONAL: Mapping[Feature, Operation] = {Feature.STOP: "stop", Feature.LOGS: "logs", Feature.ENSURE: "ensure"}
"""The operations of a handler that declares the feature."""
Kind = Literal["plain", "stepwise", "missing", "graceful", "printing"]
PRINTED = ("first of three", "second: \u00e4 \u20ac", "third and last")
"""The output of an instance of kind ``printing``."""
_LABEL = 63
_FILLING = "ZzYyXxWwVvUuTtSsRrQqPpOoNnMmLlKkJjIiHhGgFfEeDdCcBbAa-0"


class Fault(enum.Enum):
    """A way in which a provider fails."""

    AUTH = "the credentials are refused"
    QUOTA = "no room"
    THROTTLE = "too many calls, with a time after which to come back"
    PERMANENT = "refused for good"
    SERVER_ERROR = "an internal error of the provider"
    REFUSED_CONNECTION = "nothing listens at the endpoint"
    HANG = "the call is taken and never answered"
    LOST_REPLY = "the call takes effect and the connection breaks before the answer"
    CUT_REPLY = "the call takes effect and half of the answer arrives, as if it were all"
    FOREIGN_REPLY = "the call takes effect and a web page arrives in place of the answer, as a success"


GARBLED = (Fault.CUT_REPLY, Fault.FOREIGN_REPLY)
"""An answer arrives that does not come from the provider."""


class FaultInjector(ABC):
    """Makes the provider of a harness fail."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault) - frozenset(GARBLED)
    """The faults that it can inject: by default those of the first version of the suite."""

    @abstractmethod
    def inject(self, fault: Fault, operation: Operation) -> None:
        """Make every call of the operation fail in this way, until `clear`.

        `stop`, `logs` and `ensure` are among the operations for handlers that declare the feature.
        """

    @abstractmethod
    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of this instance fail permanently, until `clear`."""

    @abstractmethod
    def clear(self) -> None:
        """Let the provider work again. Idempotent."""


class ResourceHarness(Harness, ABC):
    """One account at one provider. The suite makes a new harness for each clause and closes it at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the provider's library, none of which may be imported for the schema."""
    page_size: ClassVar[int | None] = 100
    """How many instances one call lists or describes. The suite makes one more, so the provider's pages should be
    small.

    None if the provider has no pages.
    """
    crowd: ClassVar[int] = 8
    """How many instances are made concurrently to find races."""
    patience: ClassVar[int] = 400
    """How often `settle` is called before an operation in progress counts as stuck."""
    short_timeout: ClassVar[float] = 0.5
    """A `call_timeout` in seconds that is short enough to wait for."""
    grace: ClassVar[float] = 1.5
    """Seconds by which a call may exceed `call_timeout`. The suite adds ten times the current duration of a call."""
    faults: FaultInjector | None = None
    """None if the provider cannot be made to fail."""

    def __init__(self) -> None:
        self.installation = f"conformance-{uuid.uuid4().hex[:12]}"
        """The installation that owns the suite's instances; a few belong to another one, with ``-other`` appended."""

    @abstractmethod
    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler object on the account, with a time limit in seconds for its calls or a sensible one."""

    @abstractmethod
    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A request for a small instance that becomes ready.

        ``stepwise`` is for an instance whose creation needs more than one call, ``missing`` for one with an image, or
        the provider's equivalent, that does not exist. With `Feature.STOP`, ``graceful`` is for one that takes longer
        to shut down than `short_timeout` and `grace`, see `shut_down`. With `Feature.LOGS`, ``printing`` is for one
        that prints the lines of `PRINTED` and keeps running.
        """

    @abstractmethod
    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Valid ids without an instance."""

    @abstractmethod
    def settle(self) -> None:
        """Let a little time pass, so that operations in progress continue."""

    def provider_calls(self) -> int | None:
        """The number of calls to the provider so far; None if they cannot be counted."""
        return None

    def received(self, id: InstanceId, sent: Context) -> Context:
        """The context that the instance received, read from the provider or the instance.

        `sent` is the expected one, for a harness that can only compare. An environment may have more entries.
        """
        raise NotImplementedError("say what an instance was given")

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Make the provider report a ready instance as `STOPPED`, `FAILED`, or in a state of another name.

        `UNKNOWN` stands for a state that no handler knows, such as one that the provider adds later.
        """
        raise NotImplementedError(f"put an instance into the state {state.value}")

    def handles_stop(self, id: InstanceId) -> bool:  # noqa: ARG002 - for overriding
        """Whether a ready instance of kind ``graceful`` can already be stopped gracefully: its system has started."""
        return True

    def shut_down(self, id: InstanceId) -> bool:
        """Whether an instance of kind ``graceful`` has completed its shutdown, rather than being powered off."""
        raise NotImplementedError("distinguish an instance that shut down from one that was cut off")

    def lose_tags(self, id: InstanceId) -> None:
        """Remove owner and token from an instance, as another user of the account might; with `Feature.MARK`."""
        raise NotImplementedError("remove the tags of an instance")

    @property
    def longest_installation(self) -> str:
        """Another installation that owns instances of the suite, with a name of the greatest length."""
        return f"{self.installation}-{_FILLING}"[:_LABEL]

    def close(self) -> None:
        """Remove everything that was made: by default, all instances of the suite's installations."""
        if self.faults:
            self.faults.clear()
        handler = self.handler()
        for installation in (self.installation, f"{self.installation}-other", self.longest_installation):
            self._clear(handler, Owner(installation))

    def _clear(self, handler: ResourceHandler, owner: Owner) -> None:
        for _ in range(self.patience):
            left = [instance.id for instance in handler.list_owned(owner)]
            if not left:
                return
            handler.delete(left)
            self.settle()
        raise AssertionError(f"these instances cannot be deleted: {', '.join(left)}")
