"""The number of calls of each operation: the table in the README."""

from __future__ import annotations

import pytest

from occopus_core.api import InstanceState


def cost(cloud, work):
    """The number of calls that some work makes."""
    before = cloud.calls()
    work()
    return cloud.calls() - before


@pytest.mark.parametrize("count", [1, 10, 50])
def test_the_calls_for_each_number_of_instances(count, connect, cloud, order, clock):
    cloud.behaviour.clone_seconds = 60.0
    cloud.behaviour.start_lag = cloud.behaviour.start_seconds = 1.0
    handler, requests = connect(), [order(f"occopus-{number}") for number in range(count)]
    ids = [request.token for request in requests]

    def create():
        for request in requests:
            handler.create(request)

    building = cost(cloud, create)
    for _ in range(5):
        clock.time += 1
        assert cost(cloud, create) == 1  # a look at drives that are being cloned
    assert cost(cloud, lambda: handler.describe(ids)) == 2
    clock.time += 55
    assert cost(cloud, lambda: handler.describe(ids)) == 2
    building += cost(cloud, create)
    clock.time += 1
    building += cost(cloud, create)
    clock.time += 1
    tick = cost(cloud, lambda: handler.describe(ids))
    assert {instance.state for instance in handler.describe(ids).values()} == {InstanceState.READY}
    assert (building + tick, tick) == (11 * count + 2, 1)
    assert cost(cloud, lambda: handler.stop(ids)) == 1 + count
    clock.time += 5
    assert cost(cloud, lambda: handler.delete(ids)) == 2 + count
    assert cost(cloud, lambda: handler.describe(ids)) == 2
    assert cloud.inventory() == []
