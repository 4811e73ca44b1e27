from __future__ import annotations

import pytest

from occopus_core.rest.limits import MOST_CLIENTS, Buckets
from occopus_core.rest.problems import Refused


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def buckets(now):
    return Buckets(2.0, lambda: now[0])


def exhaust(buckets, client):
    for _ in range(20):
        buckets.take(client)


def test_a_burst_is_allowed_up_to_its_limit(buckets):
    exhaust(buckets, "me")
    with pytest.raises(Refused) as refused:
        buckets.take("me")
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "1"})


def test_time_gives_requests_back_up_to_a_burst(buckets, now):
    exhaust(buckets, "me")
    now[0] += 0.5
    buckets.take("me")
    with pytest.raises(Refused):
        buckets.take("me")
    now[0] += 1000.0
    exhaust(buckets, "me")
    with pytest.raises(Refused):
        buckets.take("me")


def test_clients_have_separate_limits(buckets):
    exhaust(buckets, "me")
    buckets.take("you")


def test_the_least_recent_clients_are_dropped(buckets):
    exhaust(buckets, "first")
    for number in range(MOST_CLIENTS):
        buckets.take(str(number))
    buckets.take("first")
