"""The cost of instances: exact shares of the bill, or no figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from occopus_core.api import TransientError
from occopus_resource_cloudsigma import costs
from occopus_resource_cloudsigma.testing import Fault
from occopus_resource_cloudsigma.testing.billing import PRICES


def polls(cloud, count, later=timedelta(0)):
    """Measurements of usage at these times."""
    start = datetime.now(UTC) + later
    for number in range(count):
        cloud.model.poll(start + timedelta(minutes=5 * number + 1))


def price(cpu, mem, size, polls):
    return 300 * polls * (cpu * PRICES["cpu"] + mem * PRICES["mem"] + size * PRICES["dssd"])


def test_each_instance_pays_for_its_usage(connect, cloud, order, made):
    handler = connect()
    made(handler, order("occopus-1", cpu=1000))
    made(handler, order("occopus-2", cpu=3000))
    cloud.model.new_drive("somebody else's", 50 * 2**30)
    polls(cloud, 12)
    found = handler.cost(["occopus-1", "occopus-2", "absent"])
    assert found["absent"] is None
    for id, cpu in (("occopus-1", 1000), ("occopus-2", 3000)):
        assert found[id] == pytest.approx(price(cpu, 2**30, 10 * 2**30, 12), rel=Decimal("1e-9"))


def test_without_a_bill_there_is_no_figure(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    assert handler.cost(["occopus-1"]) == {"occopus-1": None}


def test_usage_covered_by_a_subscription_has_no_figure(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    cloud.behaviour.subscribed = 0.25
    polls(cloud, 1)
    assert handler.cost(["occopus-1"]) == {"occopus-1": None}
    cloud.behaviour.subscribed = 1.0
    polls(cloud, 3, timedelta(hours=1))
    assert handler.cost(["occopus-1"]) == {"occopus-1": None}


def test_usage_that_is_not_billed_yet_is_left_out(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    polls(cloud, 2)
    newest = cloud.model.ledger[0]["poll_time"]
    cloud.model.ledger[:] = [entry for entry in cloud.model.ledger if entry["poll_time"] != newest]
    assert handler.cost(["occopus-1"])["occopus-1"] == pytest.approx(
        price(2000, 2**30, 10 * 2**30, 1), rel=Decimal("1e-9")
    )


def test_an_unfinished_instance_costs_its_drive(connect, cloud, order):
    handler = connect()
    handler.create(order())
    polls(cloud, 3)
    assert handler.cost(["occopus-1"])["occopus-1"] == pytest.approx(
        300 * 3 * 10 * 2**30 * PRICES["dssd"], rel=Decimal("1e-9")
    )


def test_paged_usage_and_old_entries_that_are_not_read(connect, cloud, order, made, monkeypatch):
    monkeypatch.setattr(costs, "PAGE", 4)
    cloud.model.new_drive("older", 1)
    polls(cloud, 50, -timedelta(days=3))
    handler = connect()
    made(handler, order())
    polls(cloud, 6)
    before = cloud.calls()
    assert handler.cost(["occopus-1"])["occopus-1"] == pytest.approx(
        price(2000, 2**30, 10 * 2**30, 6), rel=Decimal("1e-9")
    )
    assert cloud.calls("ledger") < 8
    assert cloud.calls() - before < 20


def test_unexpected_entries_give_no_figure(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    polls(cloud, 1)
    cloud.model.usage[0]["amount"] = "much"
    with pytest.raises(TransientError, match="something is missing in its answer"):
        handler.cost(["occopus-1"])


def test_a_refusal_is_reported(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    cloud.fail(Fault("refuse", "ledger", status=500))
    with pytest.raises(TransientError, match="unknown error"):
        handler.cost(["occopus-1"])
