"""Operations on an account: create instances once for each token, describe, stop and price them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

from occopus_core.api import (
    AuthError,
    Connection,
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_cloudbroker import answers
from occopus_resource_cloudbroker.catalogue import PATH, Catalogue, Entry, by_id, entry, path, with_token
from occopus_resource_cloudbroker.client import Client
from occopus_resource_cloudbroker.errors import SilenceError, WrongStatusError, is_certain, with_key
from occopus_resource_cloudbroker.order import order
from occopus_resource_cloudbroker.tokens import Tokens

_AT_ONCE = 4
"""Concurrent calls of one deletion or one cost query."""


class Account:
    """One account at one platform. Thread-safe."""

    def __init__(self, connection: Connection, window: float) -> None:
        self._client = Client(connection)
        self._catalogue = Catalogue(self._client)
        self._tokens = Tokens(window)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for errors that can be found without a call."""
        order(request)

    # Creation

    def create(self, request: CreateRequest) -> Instance:
        """The instance of the token; see `CloudBrokerHandler.create`. Raises `ProviderError`."""
        body = order(request)
        with self._tokens.held(request.token, self._client.seconds):
            found = with_token(self._catalogue.whole(), request.token)
            if found:
                return self._settled(found)
            if self._tokens.unanswered(request.token):
                raise TransientError(
                    f"{self._client.where}: an earlier creation was not answered; it is looked for before another one"
                )
            return self._confirmed(self._make(request, body), request.token)

    def _make(self, request: CreateRequest, body: bytes) -> Entry:
        try:
            made = self._client.post(PATH, body, lambda root: entry(answers.instance(root)))
        except ProviderError as error:
            if not is_certain(error):
                self._tokens.remember(request.token)
            raise self._looked_after(with_key(error), request.token) from None
        return replace(made, instance=replace(made.instance, token=request.token, owner=request.owner))

    def _looked_after(self, error: ProviderError, token: str) -> ProviderError:
        """Mark a refusal as without effect if the list shows no instance: the core then need not wait and search."""
        if isinstance(error, NotFoundError | PermanentError | QuotaError):
            with contextlib.suppress(ProviderError):
                error.unreached = not with_token(self._catalogue.whole(), token)
        return error

    def _confirmed(self, made: Entry, token: str) -> Instance:
        """Check the list after a creation.

        Another process may have made an instance, or the platform may have changed the name. If the list cannot be
        read, the instance is returned all the same: its id is now known.
        """
        try:
            entries = self._catalogue.whole()
        except ProviderError:
            return made.instance
        listed = by_id(entries).get(made.id)
        if listed is None:
            entries = [*entries, made]
        elif listed.instance.token != token:
            self._refuse(made.id)
        return self._settled(with_token(entries, token))

    def _refuse(self, id: InstanceId) -> None:
        """Stop an instance whose name makes it untraceable. Raises `PermanentError`."""
        error = self._ended(id)
        raise PermanentError(
            f"{self._client.where} has not kept the name of a new instance, by which Occopus finds it again; instance "
            f"{id} was {f'not stopped: {error.message}' if error else 'stopped'}"
        )

    def _settled(self, found: Sequence[Entry]) -> Instance:
        """Stop all instances of a token except the one that counts. Raises `ProviderError`."""
        counts, *others = found
        for error in map(self._end, others):
            if error is not None:
                error.unreached = False  # there is an instance
                raise error
        return counts.instance

    # Description and lists

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """See `CloudBrokerHandler.describe`. Raises `ProviderError`."""
        if len(ids) < self._catalogue.pages:
            found = {id: instance for id in ids if (instance := self._one(id)) is not None and is_alive(instance)}
            if len(found) == len(ids):
                return found
        return self._listed(ids)

    def _one(self, id: InstanceId) -> Instance | None:
        """The instance, None if the platform does not find it: only the list can show that it is absent."""
        try:
            return self._catalogue.one(id)
        except NotFoundError:
            return None

    def _listed(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """Read the list until all are found alive. One may move to an earlier page between two requests."""
        wanted, found, pages = set(ids), dict[InstanceId, Entry](), 0
        for page in self._catalogue.read():
            pages += 1
            found.update(by_id(page))
            if all(id in found and found[id].alive for id in wanted):
                break
        described = {id: found[id].instance if id in found else Instance(id, InstanceState.ABSENT) for id in wanted}
        if pages > 1:
            for id in wanted - found.keys():
                described[id] = self._one(id) or described[id]
        return described

    def owned(self, owner: Owner) -> Iterator[Instance]:
        """Every instance of the owner that may still run. Raises `ProviderError`."""
        for each in self._catalogue.whole():
            if each.alive and each.instance.owner is not None and owner.matches(each.instance.owner):
                yield each.instance

    # Deletion

    def delete(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """See `CloudBrokerHandler.delete`. Raises `ProviderError`."""
        known = by_id(self._catalogue.whole())
        gave_up: list[ProviderError] = []

        def end(id: InstanceId) -> ProviderError | None:
            if gave_up:  # the other calls would wait just as long
                return gave_up[0]
            error = self._end(known[id]) if id in known else self._not_listed(id)
            if isinstance(error, SilenceError | ThrottledError | AuthError):
                gave_up.append(error)
            return error

        with ThreadPoolExecutor(min(_AT_ONCE, len(ids))) as pool:
            results = dict(zip(ids, pool.map(end, ids), strict=True))
        if gave_up and None not in results.values():
            raise gave_up[0]
        return results

    def _not_listed(self, id: InstanceId) -> ProviderError | None:
        """Stop an instance that is not in the list by its id: it may not be listed yet."""
        error = self._ended(id)
        return TransientError(error.message) if isinstance(error, WrongStatusError) else error

    def _end(self, one: Entry) -> ProviderError | None:
        """Stop an instance that is not stopping yet; one that cannot be stopped now is left to a later call."""
        if one.instance.state in (InstanceState.DELETING, InstanceState.ABSENT):
            return None
        error = self._ended(one.id)
        if isinstance(error, WrongStatusError):
            return None if one.instance.state is InstanceState.PENDING else TransientError(error.message)
        return error

    def _ended(self, id: InstanceId) -> ProviderError | None:
        try:
            self._stop(id)
        except NotFoundError:
            return None
        except ProviderError as error:
            return error
        return None

    def _stop(self, id: InstanceId) -> None:
        self._client.put(f"{path(id)}/stop.xml")

    # Costs

    def cost(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Decimal | None]:
        """See `CloudBrokerHandler.cost`. Raises `ProviderError`."""

        def price(id: InstanceId) -> Decimal | None:
            try:
                return self._client.get(f"{path(id)}/costs.xml", answers.total)
            except NotFoundError:
                return None

        with ThreadPoolExecutor(min(_AT_ONCE, len(ids))) as pool:
            return dict(zip(ids, pool.map(price, ids), strict=True))


def is_alive(instance: Instance) -> bool:
    """Whether a part of it may still run."""
    return instance.state is not InstanceState.ABSENT
