# ruff: noqa: D102 - each class says what it does wrong
"""Handlers that lose instances on later pages, or lose user data, environment, command or tags."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice

from occopus_core.api import Context, CreateRequest, Instance, InstanceId, InstanceState, Owner, ProviderError
from occopus_core.testing.broken.base import breaks
from occopus_core.testing.memory import MemoryHandler

_SHORT_LABEL = 32


@breaks("describe_reads_every_page")
class DescribesFirstPage(MemoryHandler):
    """Sends all ids, but reads only the first page of the answer: the others count as absent."""

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        found = {id: Instance(id, InstanceState.ABSENT) for id in ids}
        first_page = islice(self.listed("describe", {"ids": list(ids)}), self.page) if ids else ()
        return {**found, **{instance.id: instance for instance in first_page}}


@breaks("list_reads_every_page")
class ListsFirstPage(MemoryHandler):
    """Reads only the first page of the list."""

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return islice(self.listed("list", {"owner": asdict(owner)}), self.page)


@breaks("delete_reaches_every_page")
class DeletesFirstPage(MemoryHandler):
    """Deletes as many as one call accepts, and reports success for the others."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        return {**dict.fromkeys(ids), **super().delete(ids[: self.page])}


class _Changing(MemoryHandler):
    """Passes every request through `_changed`."""

    def create(self, request: CreateRequest) -> Instance:
        return super().create(replace(request, context=self._changed(request.context)))

    def _changed(self, context: Context) -> Context:
        return context


@breaks("user_data_arrives")
class DropsUserData(_Changing):
    """Drops the user data."""

    def _changed(self, context: Context) -> Context:
        return replace(context, user_data=None)


@breaks("user_data_arrives")
class StripsUserData(_Changing):
    """Strips trailing white space of the user data."""

    def _changed(self, context: Context) -> Context:
        return replace(context, user_data=context.user_data.rstrip() if context.user_data else None)


@breaks("user_data_arrives")
class UnixUserData(_Changing):
    """Changes the line ends of the user data."""

    def _changed(self, context: Context) -> Context:
        return replace(context, user_data=context.user_data.replace("\r\n", "\n") if context.user_data else None)


@breaks("environment_and_command_arrive")
class DropsEnvironment(_Changing):
    """Drops the environment."""

    def _changed(self, context: Context) -> Context:
        return replace(context, env=())


@breaks("environment_and_command_arrive")
class JoinsCommands(_Changing):
    """Joins the words of a command into one text without quotes."""

    def _changed(self, context: Context) -> Context:
        command = context.command
        return replace(context, command=command if isinstance(command, str) else " ".join(command or ()))


@breaks("environment_and_command_arrive")
class SplitsAtSpaces(_Changing):
    """Splits a command that is a text at its spaces, unlike a shell."""

    def _changed(self, context: Context) -> Context:
        command = context.command
        return replace(context, command=shlex.join(command.split()) if isinstance(command, str) else command)


class _Tagging(MemoryHandler):
    """Passes all tags through `_tags`."""

    def create(self, request: CreateRequest) -> Instance:
        return super().create(replace(request, owner=self._tags(request.owner)))

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        return super().list_owned(self._tags(owner))

    def _tags(self, owner: Owner) -> Owner:
        return owner


@breaks("longest_owner")
class CutsOwners(_Tagging):
    """Truncates tags to 32 characters."""

    def _tags(self, owner: Owner) -> Owner:
        cut = {name: value and value[:_SHORT_LABEL] for name, value in asdict(owner).items() if name != "node_id"}
        return replace(owner, **cut)


@breaks("longest_owner")
class LowersOwners(_Tagging):
    """Writes tags in lower case, although case matters."""

    def _tags(self, owner: Owner) -> Owner:
        return Owner(**{name: value and value.lower() for name, value in asdict(owner).items()})
