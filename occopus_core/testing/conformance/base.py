"""Code that the clauses share: making requests, waiting, calling by name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from occopus_core.api import (
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    Owner,
    ProviderError,
    ResourceHandler,
)
from occopus_core.sound_errors import fault_of_error
from occopus_core.testing.conformance.harness import (
    OPERATIONS,
    OPTIONAL,
    Fault,
    FaultInjector,
    Kind,
    Operation,
    ResourceHarness,
)
from occopus_core.testing.suite import secrets_of

_Clause = TypeVar("_Clause", bound=Callable[..., None])
_DECLARE = "the harness cannot {}: let it, or name the clause in `not_applicable` with the reason"


def order(
    harness: ResourceHarness, kind: Kind = "plain", *, infra: str = "i-1", node: str = "web", foreign: bool = False
) -> CreateRequest:
    """A request with a new token."""
    installation = harness.installation + ("-other" if foreign else "")
    owner = Owner(installation, infra, node, str(uuid.uuid4()))
    return harness.request(f"t-{uuid.uuid4().hex}", owner, kind)


def settled(harness: ResourceHarness, done: Callable[[], bool]) -> bool:
    """Settle until `done`; False if that takes longer than the harness allows."""
    for _ in range(harness.patience):
        if done():
            return True
        harness.settle()
    return False


def patiently(harness: ResourceHarness, done: Callable[[], bool], what: str) -> None:
    """Settle until `done`; otherwise fail with the message that `what` never happened."""
    assert settled(harness, done), f"{what}: not so after {harness.patience} times settling"


def make(harness: ResourceHarness, handler: ResourceHandler, request: CreateRequest) -> Instance:
    """Create until it is no longer provisioning."""
    latest: list[Instance] = []

    def made() -> bool:
        latest.append(handler.create(request))
        return latest[-1].state is not InstanceState.PROVISIONING

    patiently(harness, made, "creation comes to its end")
    return latest[-1]


def state(handler: ResourceHandler, id: InstanceId) -> InstanceState:
    """The state of one instance."""
    return handler.describe([id])[id].state


def until(harness: ResourceHarness, handler: ResourceHandler, id: InstanceId, wanted: InstanceState) -> None:
    """Settle until the instance is in the state."""
    patiently(harness, lambda: state(handler, id) is wanted, f"{id} becomes {wanted.value}")


def remove(harness: ResourceHarness, handler: ResourceHandler, id: InstanceId) -> None:
    """Delete until it is absent, as the core does."""

    def removed() -> bool:
        answers = handler.delete([id])
        assert answers[id] is None, f"deleting an instance answered {answers[id]!r}"
        return state(handler, id) is InstanceState.ABSENT

    patiently(harness, removed, "a deleted instance becomes absent")


def listed(harness: ResourceHarness, handler: ResourceHandler, owner: Owner, count: int) -> dict[str, Instance]:
    """The listed instances of the owner, by token, once there are `count`."""
    found: list[Instance] = []

    def complete() -> bool:
        found[:] = handler.list_owned(owner)
        return len(found) >= count

    patiently(harness, complete, f"{count} instances are listed for {owner}")
    assert len(found) == count, f"{len(found)} instances are listed for {owner}, not {count}"
    return {instance.token: instance for instance in found}


def raised(act: Callable[[], Any]) -> Exception | None:
    """The error of the call, if any."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - that nothing but ProviderError comes out is what is tested
        return error
    return None


BUSY_FACTOR = 10
"""A call may take this many times as long as an ordinary one on the same machine, in addition to its time limit."""


def seconds_of(act: Callable[[], object]) -> float:
    """The current duration of a call on this machine."""
    started = time.monotonic()
    act()
    return time.monotonic() - started


def operations(handler: ResourceHandler) -> tuple[Operation, ...]:
    """The operations of this handler."""
    return (*OPERATIONS, *(operation for feature, operation in OPTIONAL.items() if feature in handler.features))


def perform(handler: ResourceHandler, operation: Operation, request: CreateRequest, ids: Sequence[InstanceId]) -> Any:
    """Call the operation by its name; raises the error of an instance whose deletion failed."""
    if operation == "create":
        return handler.create(request)
    if operation == "describe":
        return handler.describe(ids)
    if operation == "list_owned":
        return list(handler.list_owned(request.owner))
    if operation == "logs":
        return handler.logs(ids, 1)
    if operation == "ensure":
        return handler.ensure(request)
    for error in (handler.stop(ids) if operation == "stop" else handler.delete(ids)).values():
        if error is not None:
            raise error
    return None


def needs(*faults: Fault) -> Callable[[_Clause], _Clause]:
    """Mark a clause that needs these faults: older harnesses may not be able to inject them."""
    return _marked("needs", faults)


def declares(form_or_feature: ContextForm | Feature) -> Callable[[_Clause], _Clause]:
    """Mark a clause about handlers that declare this form of context or feature."""
    return _marked("declares", form_or_feature)


def _marked(name: str, value: object) -> Callable[[_Clause], _Clause]:
    def mark(clause: _Clause) -> _Clause:
        setattr(clause, name, value)
        return clause

    return mark


def calls(harness: ResourceHarness) -> int:
    """The number of calls to the provider."""
    count = harness.provider_calls()
    assert count is not None, _DECLARE.format("count the provider's calls")
    return count


def injector(harness: ResourceHarness) -> FaultInjector:
    """The harness's faults."""
    assert harness.faults is not None, _DECLARE.format("make the provider fail")
    return harness.faults


_SHORT_WORD = 3
"""The length of a word of a command that may appear anywhere by chance."""


def secrets(handler: ResourceHandler, request: CreateRequest) -> list[str]:
    """Texts that must not be shown: secrets of the credentials, and the instance's context.

    Without `user` and the like of the credentials, and without short words of a command.
    """
    context = request.context
    command = context.command or ()
    texts = [*secrets_of(handler.connection.auth), context.user_data, *context.env]
    texts += [word for word in ([command] if isinstance(command, str) else command) if len(word) > _SHORT_WORD]
    found = [text for text in texts if text]
    assert found or not handler.context_forms, (
        "the harness's requests need user data, an environment or a command for this clause"
    )
    return found


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that a traceback would show with it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def assert_provider_error(error: Exception | None, what: str) -> None:
    """Fail unless it is one of the contract's errors, with attributes of the right types and a text."""
    assert isinstance(error, ProviderError), f"{what}: {error!r} is no ProviderError"
    fault = fault_of_error(error)
    assert not fault, f"{what}: {type(error).__name__}, whose {fault}"
