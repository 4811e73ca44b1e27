"""Something is requested of an infrastructure while another process removes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.events import Event, EventKind
from occopus_core.store.records import NO_END, NoSuchInfrastructureError, ScaleKind
from occopus_core.store.repository import Store

from .builders import infrastructure
from .test_definition_races import waits_or_ended

EXTENDED = Event(EventKind.LIFE_TIME_CHANGED, "i")


@pytest.mark.parametrize(
    "request_of",
    [
        lambda store: store.request_scaling("i", "web", ScaleKind.SET, 2, "", 1.0),
        lambda store: store.request_scaling("i", "web", ScaleKind.REPLACE, 0, "", 1.0),
        lambda store: store.request_destroy("i"),
        lambda store: store.put_life_time("i", NO_END, EXTENDED, 1.0),
        lambda store: store.updates.request("i", infrastructure(), 1.0, lambda _record: None),
        lambda store: store.acquire("i", "me", 1000.0),
    ],
    ids=["scale", "replace", "destroy", "extend", "update", "lease"],
)
def test_a_request_waits_for_a_removal_and_says_that_there_is_no_such_infrastructure(opened, store_url, request_of):
    store, other = Store(opened(store_url)), Store(opened(store_url))
    lease = store.add_infrastructure("i", infrastructure(), {"web": 1}, "me", 1.0)
    with ThreadPoolExecutor(1) as threads:
        with store.changing(lease) as change:
            change.remove_infrastructure()
            asked = threads.submit(request_of, other)
            waits_or_ended(store, asked)
        with pytest.raises(NoSuchInfrastructureError):
            asked.result(600)
