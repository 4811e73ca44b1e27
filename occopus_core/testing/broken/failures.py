# ruff: noqa: D102 - each class says what it does wrong
"""Handlers that handle a provider's failures wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from occopus_core.api import (
    AuthError,
    Connection,
    CreateRequest,
    Instance,
    InstanceId,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.broken.base import breaks, fresh, pause
from occopus_core.testing.memory import MemoryCloud, MemoryHandler

_T = TypeVar("_T")


@breaks("lost_reply_to_create")
class FreshTokenAfterFailure(MemoryHandler):
    """Assumes that a `create` without an answer had no effect."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection, cloud)
        self._failed = False

    def create(self, request: CreateRequest) -> Instance:
        try:
            return super().create(fresh(request) if self._failed else request)
        except TransientError:
            self._failed = True
            raise


@breaks("lost_reply_leaves_an_owner")
class TagsLater(MemoryHandler):
    """Writes the owner in a second call, after the first was answered."""

    _tags: ClassVar[dict[str, Owner]] = {}
    _no_owner: ClassVar[Owner] = Owner("nobody")

    def create(self, request: CreateRequest) -> Instance:
        instance = super().create(replace(request, owner=self._no_owner))
        self._tags[request.token] = request.owner
        return replace(instance, owner=request.owner)

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        for instance in super().list_owned(self._no_owner):
            tagged = self._tags.get(instance.token)
            if tagged and owner.matches(tagged):
                yield replace(instance, owner=tagged)


@breaks("lost_reply_to_delete")
class BelievesInDeletion(MemoryHandler):
    """Treats an unanswered deletion as done."""

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        try:
            return super().delete(ids)
        except TransientError:
            return dict.fromkeys(ids)


class _Believing(MemoryHandler):
    """Interprets invalid answers with `_believed`."""

    def asked(self, operation: str, body: Mapping[str, Any], part: str) -> Mapping[str, Any]:
        answer = self.cloud.call(operation, body)
        return answer if part in answer else {part: self._believed(operation, part)}

    def _believed(self, operation: str, part: str) -> Any:
        raise TransientError(f"{operation}: there is no {part} in the answer")


@breaks("garbled_reply_to_create")
class GivesUpAtGarbage(_Believing):
    """Takes an invalid answer as a permanent failure, although the call took effect."""

    def _believed(self, operation: str, part: str) -> Any:
        raise PermanentError(f"{operation}: there is no {part} in the answer")


@breaks("garbled_reply_is_not_absence")
class SeesNothingInGarbage(_Believing):
    """Treats an answer without results as an empty one."""

    def _believed(self, operation: str, part: str) -> Any:
        return () if part == "instances" else super()._believed(operation, part)


@breaks("garbled_reply_to_delete")
class TripsOverGarbage(MemoryHandler):
    """Reads missing fields from the answer to a deletion."""

    def asked(self, operation: str, body: Mapping[str, Any], part: str) -> Mapping[str, Any]:
        return {part: self.cloud.call(operation, body)[part]}


class _Translating(MemoryHandler):
    """Passes every operation's errors through `_translated`."""

    def create(self, request: CreateRequest) -> Instance:
        return self._translated(lambda: MemoryHandler.create(self, request))

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return self._translated(lambda: MemoryHandler.describe(self, ids))

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        yield from self._translated(lambda: list(MemoryHandler.list_owned(self, owner)))

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        return self._translated(lambda: MemoryHandler.delete(self, ids))

    def _translated(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except ProviderError as error:
            raise self._wrong(error) from None

    def _wrong(self, error: ProviderError) -> Exception:
        return error


@breaks("refused_credentials")
class AuthIsTransient(_Translating):
    """Continues with refused credentials."""

    def _wrong(self, error: ProviderError) -> Exception:
        return TransientError(error.message) if isinstance(error, AuthError) else error


@breaks("missing_image")
class MissingIsPermanent(_Translating):
    """Does not distinguish a missing image from other refusals."""

    def _wrong(self, error: ProviderError) -> Exception:
        return PermanentError(error.message) if isinstance(error, NotFoundError) else error


@breaks("no_room")
class QuotaIsPermanent(_Translating):
    """Reports a full cloud as a permanent failure."""

    def _wrong(self, error: ProviderError) -> Exception:
        return PermanentError(error.message) if isinstance(error, QuotaError) else error


@breaks("throttled")
class ForgetsRetryAfter(_Translating):
    """Does not report the time of a retry."""

    def _wrong(self, error: ProviderError) -> Exception:
        return ThrottledError(error.message) if isinstance(error, ThrottledError) else error


@breaks("throttled")
class LeavesRetryAfterAText(_Translating):
    """Reports the time of a retry as a text."""

    def _wrong(self, error: ProviderError) -> Exception:
        if isinstance(error, ThrottledError):
            error.retry_after = "5"  # type: ignore[assignment]  # this is what is wrong
        return error


@breaks("refused_for_good")
class EverythingIsTransient(_Translating):
    """Reports permanent failures as transient."""

    def _wrong(self, error: ProviderError) -> Exception:
        return TransientError(error.message)


@breaks("internal_error")
class InternalIsPermanent(_Translating):
    """Reports an internal error of the provider as permanent."""

    def _wrong(self, error: ProviderError) -> Exception:
        return PermanentError(error.message) if isinstance(error, TransientError) else error


@breaks("only_provider_errors")
class LeaksForeignErrors(_Translating):
    """Raises an error of the provider's library."""

    def _wrong(self, error: ProviderError) -> Exception:
        return ConnectionError(error.message)


class _UnmadeError(TransientError):
    def __init__(self, code: str) -> None:
        self.code = code


@breaks("only_provider_errors")
class LeavesErrorsUnmade(_Translating):
    """Raises a subclass whose constructor does not call that of the contract's class."""

    def _wrong(self, error: ProviderError) -> Exception:
        return _UnmadeError(error.message)


@breaks("errors_keep_secrets")
class TellsCredentials(_Translating):
    """Quotes the credentials in its errors."""

    def _wrong(self, error: ProviderError) -> Exception:
        error.message += f" (sent {dict(self.connection.auth)})"
        return error


@breaks("hang")
class WaitsForEver(_Translating):
    """Has its own time limit, longer than the connection's."""

    def _wrong(self, error: ProviderError) -> Exception:
        pause(self.connection.call_timeout * 10)
        return error


@breaks("never_retries")
class Retries(_Translating):
    """Repeats a failed call."""

    def _translated(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except TransientError:
            return act()
