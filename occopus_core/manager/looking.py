"""Records when single passes and builds have last looked at an infrastructure; periodic maintenance does it itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.passes.errors import UnconfirmedError
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store


def record_look(store: Store, infra_id: str, at: float) -> None:
    """Record the time in seconds since 1970. A failure of the store is ignored: the time is only for reports."""
    with contextlib.suppress(StoreError):
        store.looks.put({infra_id: at})


@contextlib.contextmanager
def looking_by_build(store: Store, infra_id: str) -> Iterator[None]:
    """Record the end of a build that succeeds, also where a deletion is unconfirmed."""
    try:
        yield
    except UnconfirmedError:
        record_look(store, infra_id, SystemClock().now())
        raise
    record_look(store, infra_id, SystemClock().now())
