"""Costs are what plugins answer, within bounds."""

from decimal import Decimal

import pytest

from occopus_core.engine.passes.costing import costs

from ..conftest import infrastructure


@pytest.fixture
def asked(world, monkeypatch):
    """The cost of the one instance, and the warnings, if its provider answers this."""
    world.define("web")
    world.build(infrastructure("web"))

    def ask(cost, left_out=()):
        answer = lambda _self, ids: {id: cost for id in ids if id not in left_out}  # noqa: E731
        monkeypatch.setattr(world.handler, "cost", answer)
        warnings = []
        resources = world.resources()
        found = costs(resources.connections, resources.store, resources.store.instances("infra"), warnings.append)
        (known,) = found["web"].values()
        return known, warnings

    return ask


@pytest.mark.parametrize("cost", [None, Decimal(0), Decimal("1.25"), Decimal(-3)])
def test_a_cost_is_what_the_provider_says(asked, cost):
    assert asked(cost) == (cost, [])


@pytest.mark.parametrize("cost", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+999999", "-1E+99999999", "1E+15"])
def test_an_impossible_cost_breaks_the_contract(asked, cost):
    known, (text,) = asked(Decimal(cost))
    assert known is None
    assert (
        f"breaks its contract: cost() answered Decimal('{cost}'), expected an amount below 1000000000000000 (" in text
    )


def test_another_type_breaks_the_contract(asked):
    known, (text,) = asked(1.5)
    assert known is None
    assert "breaks its contract: cost() did not answer a Decimal or None for each id" in text


def test_an_id_that_is_left_out_breaks_the_contract(asked, world):
    (row,) = world.store.instances("infra")
    known, (text,) = asked(Decimal(1), left_out={row.instance_id})
    assert known is None
    assert f"breaks its contract: cost() left out '{row.instance_id}' (" in text
