"""What a plugin's author writes for the suite to work with: how to get a handler, a request, and a failing provider."""

from __future__ import annotations

import enum
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from occopus_core.api import Context, CreateRequest, Feature, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.suite import Harness

Operation = Literal["create", "describe", "list_owned", "delete", "stop", "logs"]
OPERATIONS: tuple[Operation, ...] = ("create", "describe", "list_owned", "delete")
"""What every handler can do."""
OPTIONAL: Mapping[Feature, Operation] = {Feature.STOP: "stop", Feature.LOGS: "logs"}
"""What a handler can do that declares the feature."""
Kind = Literal["plain", "stepwise", "missing", "graceful", "printing"]
PRINTED = ("first of three", "second: \u00e4 \u20ac", "third and last")
"""The lines that an instance of kind ``printing`` prints."""
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
"""An answer arrives that is not the provider's."""


class FaultInjector(ABC):
    """Makes the provider of a harness fail."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault) - frozenset(GARBLED)
    """The faults that it can inject: those that have always been there, unless it says otherwise."""

    @abstractmethod
    def inject(self, fault: Fault, operation: Operation) -> None:
        """Have every call that the operation makes fail so, until `clear`.

        `stop` and `logs` are among the operations for handlers that declare the feature.
        """

    @abstractmethod
    def refuse_deletion(self, id: InstanceId) -> None:
        """Have the deletion of this one instance refused for good, until `clear`."""

    @abstractmethod
    def clear(self) -> None:
        """Have the provider work again. Idempotent."""


class ResourceHarness(Harness, ABC):
    """One account at one provider. The suite makes a new harness for each clause and closes it at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the provider's library, none of which may be imported for the schema."""
    page_size: ClassVar[int | None] = 100
    """How many instances one call lists or describes: one more are made, so let the provider's pages be small.

    None where the provider has no pages.
    """
    crowd: ClassVar[int] = 8
    """How many instances are made side by side to look for races."""
    patience: ClassVar[int] = 400
    """How many times `settle` is called before something that is under way counts as stuck."""
    short_timeout: ClassVar[float] = 0.5
    """A `call_timeout` in seconds that is cheap to wait for."""
    grace: ClassVar[float] = 1.5
    """Seconds by which a call may exceed `call_timeout`. The suite adds ten times what a call takes at present."""
    faults: FaultInjector | None = None
    """None where the provider cannot be made to fail."""

    def __init__(self) -> None:
        self.installation = f"conformance-{uuid.uuid4().hex[:12]}"
        """Whose everything is that the suite makes; it also makes a little for this name with ``-other`` at its end."""

    @abstractmethod
    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler object on the account, with a time limit in seconds for its calls or a sensible one."""

    @abstractmethod
    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A request for a small instance that becomes ready.

        ``stepwise`` asks for one that takes more than one call to create, ``missing`` for one that names an image, or
        whatever the provider has in its place, which does not exist. With `Feature.STOP`, ``graceful`` asks for one
        that takes longer to shut down than `short_timeout` and `grace`, see `shut_down`. With `Feature.LOGS`,
        ``printing`` asks for one that prints the lines of `PRINTED` and runs on.
        """

    @abstractmethod
    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Ids as the provider gives them, of instances that do not exist."""

    @abstractmethod
    def settle(self) -> None:
        """Let a little time pass, for what is under way to get on."""

    def provider_calls(self) -> int | None:
        """How many calls the provider has had so far; None if they cannot be counted."""
        return None

    def received(self, id: InstanceId, sent: Context) -> Context:
        """What the instance was given, read from the provider or the instance.

        `sent` is what should have arrived, for a harness that can only compare. An environment may have more in it.
        """
        raise NotImplementedError("say what an instance was given")

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Have the provider say that a ready instance is `STOPPED`, `FAILED`, or in a state of another name.

        `UNKNOWN` stands for a state that no handler knows, such as one that the provider adds later.
        """
        raise NotImplementedError(f"put an instance into the state {state.value}")

    def handles_stop(self, id: InstanceId) -> bool:  # noqa: ARG002 - for overriding
        """Whether a ready instance of kind ``graceful`` can already be stopped gracefully: its system has started."""
        return True

    def shut_down(self, id: InstanceId) -> bool:
        """Whether an instance of kind ``graceful`` has come to its own end, rather than being cut off."""
        raise NotImplementedError("distinguish an instance that shut down from one that was cut off")

    def lose_tags(self, id: InstanceId) -> None:
        """Have owner and token removed from an instance, as by another user of the account; with `Feature.MARK`."""
        raise NotImplementedError("remove the tags of an instance")

    @property
    def longest_installation(self) -> str:
        """Another name that the suite owns instances by, as long as one can be."""
        return f"{self.installation}-{_FILLING}"[:_LABEL]

    def close(self) -> None:
        """Leave nothing behind: here, delete all that carries the suite's installations."""
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
