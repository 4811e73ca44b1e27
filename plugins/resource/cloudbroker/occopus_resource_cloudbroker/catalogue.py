"""Lists of the account's instances: page by page, and one list for all calls that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element

from occopus_core.api import Instance, InstanceId, InstanceState, TransientError
from occopus_resource_cloudbroker import answers, view
from occopus_resource_cloudbroker.client import Client

PATH = "/instances.xml"
PER_PAGE = 100
"""The instances that a page is asked to have; the platform may give fewer."""
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance of the list, with its place in the order of creation."""

    instance: Instance
    rank: tuple[str, str]

    @property
    def id(self) -> InstanceId:
        """The platform's id."""
        return self.instance.id

    @property
    def alive(self) -> bool:
        """Whether something of it may still run."""
        return self.instance.state is not InstanceState.ABSENT


class Catalogue:
    """The instances of one account. Thread-safe. Knows nothing of single instances between two calls."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._awaited: Future[list[Entry]] | None = None
        self.pages = 1
        """How many pages the last whole list had."""

    def whole(self) -> list[Entry]:
        """The whole list, read after this call began. Calls that wait for one share it. Raises `ProviderError`."""
        with self._lock:
            first = self._awaited is None
            if self._awaited is None:
                self._awaited = Future()
            awaited = self._awaited
        if first:
            self._fulfil(awaited)
        return awaited.result()

    def _fulfil(self, awaited: Future[list[Entry]]) -> None:
        """Read the list once an earlier one is done. Calls that come after its start wait for the next one."""
        begun = self._reading.acquire(timeout=self._client.seconds * (self.pages + 1))
        try:
            with self._lock:
                self._awaited = None
            if not begun:
                raise TransientError(f"{self._client.where}: an earlier list is still being read")
            awaited.set_result([entry for page in self.read() for entry in page])
        except BaseException as error:  # noqa: BLE001 - it is raised again in each thread that waits
            awaited.set_exception(error)
        finally:
            if begun:
                self._reading.release()

    def read(self) -> Iterator[list[Entry]]:
        """Page by page, each instance once. Raises `ProviderError` when iterated.

        The platform does not say how many pages there are, or how many instances it puts on one: the end is a page
        that brings nothing new.
        """
        seen: set[InstanceId] = set()
        for number in range(1, _MOST_PAGES):
            page = self._client.get(PATH, _entries, page=number, per_page=PER_PAGE)
            new = [entry for entry in page if entry.id not in seen]
            seen.update(entry.id for entry in new)
            if not new:
                self.pages = max(1, number - 1)
                return
            yield new
        raise TransientError(f"{self._client.where}: the pages of its list have no end")

    def one(self, id: InstanceId) -> Instance:
        """One instance by its id. Raises `ProviderError`."""
        return self._client.get(f"{path(id)}.xml", lambda root: view.instance(answers.instance(root)))


def path(id: InstanceId) -> str:
    """What the paths of an instance begin with."""
    return f"/instances/{quote(id, safe='')}"


def with_token(entries: Sequence[Entry], token: str) -> list[Entry]:
    """Everything that a token has made, the one that counts first: what is alive, in the order of creation."""
    found = [entry for entry in entries if entry.instance.token == token]
    return sorted(found, key=lambda entry: (not entry.alive, entry.rank))


def by_id(entries: Sequence[Entry]) -> Mapping[InstanceId, Entry]:
    """The entries by the platform's ids."""
    return {entry.id: entry for entry in entries}


def entry(fields: Mapping[str, str]) -> Entry:
    """One ``instance`` element. Raises `LookupError` where it has no id."""
    return Entry(view.instance(fields), (fields.get("created-at", ""), fields["id"]))


def _entries(root: Element | None) -> list[Entry]:
    return [entry(fields) for fields in answers.instances(root)]
