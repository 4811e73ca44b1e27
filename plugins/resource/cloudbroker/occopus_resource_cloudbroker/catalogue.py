"""Lists the account's instances page by page, and shares one list among all waiting calls."""

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
"""The requested page size; the platform may return fewer."""
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed instance, with its place in the order of creation."""

    instance: Instance
    rank: tuple[str, str]

    @property
    def id(self) -> InstanceId:
        """The platform's id."""
        return self.instance.id

    @property
    def alive(self) -> bool:
        """Whether a part of it may still run."""
        return self.instance.state is not InstanceState.ABSENT


class Catalogue:
    """The instances of one account. Thread-safe. Caches no instance between calls."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._awaited: Future[list[Entry]] | None = None
        self.pages = 1
        """The number of pages of the last complete list."""

    def whole(self) -> list[Entry]:
        """The complete list, read after this call began. Waiting calls share it. Raises `ProviderError`."""
        with self._lock:
            first = self._awaited is None
            if self._awaited is None:
                self._awaited = Future()
            awaited = self._awaited
        if first:
            self._fulfil(awaited)
        return awaited.result()

    def _fulfil(self, awaited: Future[list[Entry]]) -> None:
        """Read the list after an earlier one has ended. Calls that arrive after its start wait for the next one."""
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

        The platform reports neither the number of pages nor their size: a page without new instances is the end.
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
    """The first part of the paths of an instance."""
    return f"/instances/{quote(id, safe='')}"


def with_token(entries: Sequence[Entry], token: str) -> list[Entry]:
    """All instances of a token, the one that counts first: those alive come first, in order of creation."""
    found = [entry for entry in entries if entry.instance.token == token]
    return sorted(found, key=lambda entry: (not entry.alive, entry.rank))


def by_id(entries: Sequence[Entry]) -> Mapping[InstanceId, Entry]:
    """The entries by the platform's ids."""
    return {entry.id: entry for entry in entries}


def entry(fields: Mapping[str, str]) -> Entry:
    """Translate one ``instance`` element. Raises `LookupError` if it has no id."""
    return Entry(view.instance(fields), (fields.get("created-at", ""), fields["id"]))


def _entries(root: Element | None) -> list[Entry]:
    return [entry(fields) for fields in answers.instances(root)]
