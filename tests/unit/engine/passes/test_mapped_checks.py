"""Health checks with a name that `mappings` give: the attribute of another node as it is at present."""

from __future__ import annotations

import pytest

from occopus_core.api import Verdict
from occopus_core.descriptions.model import AttributeMapping, Dependency, Infrastructure
from occopus_core.descriptions.model import NodeDescription as Node
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import RECHECKED, Verb

from ..fakes import health_checker


def description(target="database_ip"):
    edge = Dependency("app", "db", (AttributeMapping("ip", target),))
    return Infrastructure("infra", (Node("db", "db"), Node("app", "app")), (edge,), user_id="me")


@pytest.fixture
def checker(world):
    checker = health_checker(lambda _probe: Verdict(True))
    world.install("health", "port", checker)
    world.define("db")
    world.define("app", implementations=[{"checks": {"port": "of {{ database_ip }}"}, "timeout": 20.0}])
    return checker


def present(world):
    """The instances by the names of their nodes."""
    return {row.node_name: row for row in world.store.instances("infra")}


def asked(checker):
    """The values that the checker was asked since the last call."""
    values = {probe.value for probes in checker.asked for probe in probes}
    checker.asked.clear()
    return values


def test_a_node_is_proved_by_the_address_of_its_dependee(world, checker):
    world.build(description())
    assert asked(checker) == {f"of {present(world)['db'].address}"}


def test_maintenance_checks_by_the_address_of_the_instance_that_replaces_the_dependee(world, checker):
    world.build(description())
    app, db = present(world)["app"], present(world)["db"]
    world.clock.time += 3600
    world.cloud.change(db.instance_id, "lose")
    world.convergence().maintain()
    asked(checker)
    world.convergence().maintain()
    assert present(world)["db"].address != db.address
    assert asked(checker) == {f"of {present(world)['db'].address}"}
    assert present(world)["app"].instance_id == app.instance_id


def test_a_plan_knows_the_name_and_a_build_proves_a_kept_instance_by_it(world, checker):
    world.define("app")
    assert [step.verb for step in world.convergence().plan(description()).steps] == [Verb.CREATE, Verb.CREATE]
    world.build(description())
    world.define("app", implementations=[{"checks": {"port": "of {{ database_ip }}"}, "timeout": 20.0}])
    steps = [(step.verb, step.node_name, step.reason) for step in world.convergence().plan(description()).steps]
    assert steps == [(Verb.KEEP, "db", ""), (Verb.KEEP, "app", RECHECKED)]
    world.build(description())
    assert asked(checker) == {f"of {present(world)['db'].address}"}


@pytest.mark.usefixtures("checker")
def test_a_name_that_no_mapping_gives_is_refused_before_the_build(world):
    with pytest.raises(InvalidDesignError, match="'database_ip' is undefined"):
        world.build(description("db_ip"))
    assert world.live() == []
