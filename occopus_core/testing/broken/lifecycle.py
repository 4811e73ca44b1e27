# ruff: noqa: D102 - each class says what it does wrong
"""Handlers that make, find or delete instances wrongly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from occopus_core.api import (
    Connection,
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    ProviderError,
)
from occopus_core.testing.broken.base import MOMENT, breaks, fresh, pause
from occopus_core.testing.memory import MemoryCloud, MemoryHandler


@breaks("create_repeated_is_the_same_instance")
class IgnoresTokens(MemoryHandler):
    """Makes another instance at every call."""

    def create(self, request: CreateRequest) -> Instance:
        return super().create(fresh(request))


@breaks("create_by_another_handler_is_the_same_instance")
class RemembersTokens(MemoryHandler):
    """Recognises tokens only by its own memory."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection, cloud)
        self._requests: dict[str, CreateRequest] = {}

    def create(self, request: CreateRequest) -> Instance:
        return super().create(self._requests.setdefault(request.token, fresh(request)))


@breaks("create_concurrently_is_the_same_instance")
class LooksThenCreates(MemoryHandler):
    """Searches for the owner first, ignoring what happens between search and creation."""

    def create(self, request: CreateRequest) -> Instance:
        for instance in self.list_owned(request.owner):
            return instance
        pause(MOMENT)
        return super().create(fresh(request))


@breaks("create_side_by_side")
class SharesItsRequest(MemoryHandler):
    """Stores the request in an attribute that all threads share."""

    def create(self, request: CreateRequest) -> Instance:
        self._request = request
        pause(MOMENT)
        return super().create(self._request)


@breaks("create_and_delete_never_sleep")
class WaitsForReady(MemoryHandler):
    """Waits in `create` until the instance is ready."""

    def create(self, request: CreateRequest) -> Instance:
        instance = super().create(request)
        time.sleep(MOMENT)
        return instance


@breaks("half_made_is_listed")
class HidesHalfMade(MemoryHandler):
    """Lists servers only, not the parts made before them."""

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return (each for each in super().list_owned(owner) if each.state is not InstanceState.PROVISIONING)


@breaks("half_made_is_continued")
class NeverContinues(MemoryHandler):
    """Finds the parts made by an earlier call, but does not continue."""

    def create(self, request: CreateRequest) -> Instance:
        for instance in self.list_owned(request.owner):
            return instance
        return super().create(request)


@breaks("half_made_can_be_deleted")
class KeepsHalfMade(MemoryHandler):
    """Deletes complete instances only."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        states = self.describe(ids)
        complete = [id for id in ids if states[id].state is not InstanceState.PROVISIONING]
        return {**dict.fromkeys(ids), **super().delete(complete)}


@breaks("listed_with_token_and_owner")
class ListsWithoutTokens(MemoryHandler):
    """Does not report the tokens of listed instances."""

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return (replace(instance, token="") for instance in super().list_owned(owner))


@breaks("listed_by_owner")
class ListsByInstallation(MemoryHandler):
    """Lists the whole installation for every query."""

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return super().list_owned(Owner(owner.installation))


@breaks("foreign_is_not_listed")
class ListsForeign(MemoryHandler):
    """Lists an infrastructure by its id, ignoring the installation."""

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return super().list_owned(replace(owner, installation=None))  # type: ignore[arg-type]


@breaks("ready_in_the_end")
class HidesAddresses(MemoryHandler):
    """Does not report addresses."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return {id: replace(instance, addresses=()) for id, instance in super().describe(ids).items()}


@breaks("describe_answers_every_id")
class OmitsAbsent(MemoryHandler):
    """Has no key for an id that does not exist."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return {id: each for id, each in super().describe(ids).items() if each.state is not InstanceState.ABSENT}


@breaks("describe_answers_every_id")
class MissesAbsent(MemoryHandler):
    """Raises for an id that does not exist."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        found = super().describe(ids)
        if any(instance.state is InstanceState.ABSENT for instance in found.values()):
            raise NotFoundError("no such instance")
        return found


@breaks("describe_costs_pages")
class DescribesOneByOne(MemoryHandler):
    """Makes one call for each instance."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return {id: MemoryHandler.describe(self, [id])[id] for id in ids}


@breaks("no_ids_call_nobody")
class CallsForNothing(MemoryHandler):
    """Calls the provider with an empty list of ids."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        self.cloud.call("describe", {"ids": []})
        return super().describe(ids)


@breaks("cost_answers_every_id")
class PricesNothing(MemoryHandler):
    """Leaves out instances without a price."""

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Any]:
        return dict.fromkeys(ids[1:])


@breaks("deleted_becomes_absent")
class NeverDeletes(MemoryHandler):
    """Reports deletions without making them."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        return dict.fromkeys(ids)


@breaks("delete_answers_every_id")
class AnswersFailuresOnly(MemoryHandler):
    """Has no key for an id that was deleted."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        return {id: error for id, error in super().delete(ids).items() if error}


@breaks("delete_absent_is_success")
class FailsOnAbsent(MemoryHandler):
    """Reports an error for an absent id."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        states = self.describe(ids)
        gone = [id for id in ids if states[id].state is InstanceState.ABSENT]
        return {**super().delete(ids), **{id: NotFoundError(f"no instance {id}") for id in gone}}


@breaks("delete_goes_on_past_a_failure")
class StopsAtFirstFailure(MemoryHandler):
    """Stops deleting at the first failure."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        results: dict[InstanceId, ProviderError | None] = {}
        for id in ids:
            results.update(super().delete([id]))
            if results[id]:
                return {**dict.fromkeys(ids, results[id]), **results}
        return results
