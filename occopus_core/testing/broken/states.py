# ruff: noqa: D102 - each class says what it does wrong
"""Handlers that report wrong states, and ensure, stop, mark or read the logs of instances wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from occopus_core.api import (
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
)
from occopus_core.testing.broken.base import breaks, pause
from occopus_core.testing.memory import MemoryHandler


class _Reporting(MemoryHandler):
    """Passes every described or listed instance through `_reported`."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return {id: self._reported(instance) for id, instance in super().describe(ids).items()}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return map(self._reported, super().list_owned(owner))

    def _reported(self, instance: Instance) -> Instance:
        return instance


@breaks("stopped_is_stopped")
class StoppedIsReady(_Reporting):
    """Reports every existing instance as running."""

    def _reported(self, instance: Instance) -> Instance:
        stopped = instance.state is InstanceState.STOPPED
        return replace(instance, state=InstanceState.READY) if stopped else instance


@breaks("stopped_is_stopped")
class ListsStoppedAsReady(_Reporting):
    """Describes a stopped instance correctly, but lists it as ready."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return MemoryHandler.describe(self, ids)

    def _reported(self, instance: Instance) -> Instance:
        stopped = instance.state is InstanceState.STOPPED
        return replace(instance, state=InstanceState.READY) if stopped else instance


@breaks("failed_is_failed")
class FailedIsPending(_Reporting):
    """Reports an instance that the provider gave up as pending."""

    def _reported(self, instance: Instance) -> Instance:
        failed = instance.state is InstanceState.FAILED
        return replace(instance, state=InstanceState.PENDING) if failed else instance


@breaks("unknown_is_unknown")
class UnknownIsReady(_Reporting):
    """Reports every unknown state as ready."""

    def _reported(self, instance: Instance) -> Instance:
        unknown = instance.state is InstanceState.UNKNOWN
        return replace(instance, state=InstanceState.READY) if unknown else instance


@breaks("unknown_is_unknown")
class HidesRawStates(_Reporting):
    """Does not report the provider's name of a state."""

    def _reported(self, instance: Instance) -> Instance:
        return replace(instance, raw_state="")


@breaks("stop_in_its_own_time")
class StopCutsOff(MemoryHandler):
    """Cuts the power instead of shutting down."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        for id in ids:
            self.cloud.change(id, "stop")
        return dict.fromkeys(ids)


@breaks("stop_in_its_own_time")
class ShuttingDownIsPending(_Reporting):
    """Does not report an instance that is shutting down as `READY`."""

    def _reported(self, instance: Instance) -> Instance:
        leaving = {machine["id"] for machine in self.cloud.inventory() if machine["stopped_at"] is not None}
        is_leaving = instance.id in leaving and instance.state is InstanceState.READY
        return replace(instance, state=InstanceState.PENDING) if is_leaving else instance


@breaks("stop_in_its_own_time")
class StopWaits(MemoryHandler):
    """Waits until the instance has stopped."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        answers = super().stop(ids)
        pause(1.0)
        return answers


@breaks("stop_repeated")
class SecondStopCutsOff(MemoryHandler):
    """Cuts the power at the second call."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        for machine in self.cloud.inventory():
            if machine["id"] in ids and machine["stopped_at"] is not None:
                self.cloud.change(machine["id"], "stop")
        return super().stop(ids)


@breaks("stop_repeated")
class StoppedCannotBeStopped(MemoryHandler):
    """Reports an error for a stopped instance."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        stopped = [id for id, each in self.describe(ids).items() if each.state is InstanceState.STOPPED]
        return {**super().stop(ids), **{id: PermanentError(f"{id} does not run") for id in stopped}}


@breaks("stop_answers_every_id")
class StopFailsOnAbsent(MemoryHandler):
    """Reports an error for an absent id."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        gone = [id for id, each in self.describe(ids).items() if each.state is InstanceState.ABSENT]
        return {**super().stop(ids), **{id: NotFoundError(f"no instance {id}") for id in gone}}


@breaks("stop_answers_every_id")
class StopsEverything(MemoryHandler):
    """Stops all instances."""

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        super().stop([machine["id"] for machine in self.cloud.inventory()])
        return dict.fromkeys(ids)


@breaks("stopped_can_be_deleted")
class DeletesStoppedOnly(MemoryHandler):
    """Does not delete an instance that is still shutting down."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        shutting_down = {machine["id"] for machine in self.cloud.inventory() if machine["stopped_at"] is not None}
        busy = {id: PermanentError(f"{id} is shutting down") for id in ids if id in shutting_down}
        return {**super().delete([id for id in ids if id not in busy]), **busy}


@breaks("logs_have_what_was_printed")
class LogsAscii(MemoryHandler):
    """Loses characters outside ASCII."""

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        found = super().logs(ids, lines)
        return {id: text and text.encode("ascii", "replace").decode() for id, text in found.items()}


@breaks("logs_are_the_last_lines")
class LogsEverything(MemoryHandler):
    """Returns all lines, whatever the limit."""

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:  # noqa: ARG002
        return super().logs(ids, 1000)


@breaks("logs_are_the_last_lines")
class LogsFirstLines(MemoryHandler):
    """Returns the first lines, not the last."""

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        found = super().logs(ids, 1000)
        return {id: text and "".join(text.splitlines(keepends=True)[:lines]) for id, text in found.items()}


@breaks("logs_since_leave_out_what_was_before")
class LogsSinceEver(MemoryHandler):
    """Ignores the time."""

    def logs_since(self, ids: Sequence[InstanceId], lines: int, since: float) -> Mapping[InstanceId, str | None]:  # noqa: ARG002
        return super().logs(ids, lines)


@breaks("logs_answer_every_id")
class LogsOfThePresent(MemoryHandler):
    """Has no key for an id that does not exist."""

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        return {id: text for id, text in super().logs(ids, lines).items() if text is not None}


@breaks("ensure_makes_no_instance")
class EnsuresByCreating(MemoryHandler):
    """Creates the instance in order to find out whether it can be created."""

    def ensure(self, request: CreateRequest) -> str:
        self.create(request)
        return super().ensure(request)


@breaks("ensure_finds_what_is_missing")
class EnsuresEverything(MemoryHandler):
    """Does not ask for the image."""

    def ensure(self, request: CreateRequest) -> str:
        super().ensure(replace(request, resource={}))
        return ""


@breaks("mark_writes_lost_tags_again")
class MarksNothing(MemoryHandler):
    """Does not write the tags."""

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:  # noqa: ARG002 - it is what is wrong
        self.describe([id])


@breaks("mark_writes_lost_tags_again")
class MarksWithAnotherToken(MemoryHandler):
    """Writes the owner with a wrong token."""

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        super().mark(id, owner, f"{token}-again")


@breaks("mark_writes_lost_tags_again")
class MarksAll(MemoryHandler):
    """Writes the tags to every instance of the account."""

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:  # noqa: ARG002 - it is what is wrong
        for machine in self.cloud.inventory():
            super().mark(machine["id"], owner, token)


@breaks("mark_writes_lost_tags_again")
class MarksOnce(MemoryHandler):
    """Refuses to write existing tags again."""

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        if any(found.id == id for found in self.list_owned(owner)):
            raise PermanentError("the tags are there already")
        super().mark(id, owner, token)


@breaks("mark_writes_lost_tags_again")
class FindsByTagsAlone(_Reporting):
    """Treats an instance without tags as one of another owner."""

    def _reported(self, instance: Instance) -> Instance:
        return instance if instance.token else replace(instance, state=InstanceState.ABSENT)
