"""The engine on CloudSigma, on virtual time: slow clones, refusals, storms, and how many calls it makes."""

from __future__ import annotations

import contextlib
import json

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.engine.passes.errors import BuildError, UnconfirmedError
from occopus_core.events import EventKind
from occopus_core.store.records import Stage
from occopus_resource_cloudsigma import CloudSigmaHandler, inventory
from occopus_resource_cloudsigma.testing import EMAIL, LIBRARY_DRIVE, PASSWORD, CloudSigma, Fault

from ..conftest import infrastructure, node


@pytest.fixture
def cloud(world, tmp_path, monkeypatch):
    """A CloudSigma on the clock of the engine, which has credentials for it."""
    auth_data = tmp_path / "auth_data.yaml"
    entry = {"type": "cloudsigma", "auth_data": {"email": EMAIL, "password": PASSWORD}}
    auth_data.write_text(json.dumps({"resource": [entry]}))
    auth_data.chmod(0o600)
    world.credentials = Credentials.load(str(auth_data))
    monkeypatch.setattr(inventory, "monotonic", world.clock.monotonic)
    world.install("resource", "cloudsigma", CloudSigmaHandler)
    with CloudSigma(clock=world.clock.now) as cloud:
        yield cloud


def define(world, *clouds, timeout=600.0, **resource):
    """The node type `web`, on any of these clouds."""
    server = {"cpu": 2000, "mem": 2**30, "vnc_password": "a-vnc-password"}
    place = {"type": "cloudsigma", "libdrive_id": LIBRARY_DRIVE}
    ways = [
        Implementation(
            {**place, "endpoint": cloud.url, "description": server, **resource},
            health_check=HealthCheck({}, timeout),
        )
        for cloud in clouds
    ]
    world.store.put_definitions([NodeDefinition("web", tuple(ways))])


def waited_for(world):
    return [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]


def settle(world, cloud):
    """So much later that whatever was begun has ended."""
    world.clock.time += 100
    return cloud.inventory()


def test_a_drive_clone_that_takes_ten_minutes(world, cloud):
    cloud.behaviour.clone_seconds = 600.0
    define(world, cloud, timeout=1800.0)
    began = world.clock.time
    world.build(infrastructure("web"))
    assert 600.0 <= world.clock.time - began < 640.0
    assert waited_for(world) == ["its drive is being cloned", "its server was asked to start"]
    (record,) = world.store.instances("infra")
    assert (record.stage, len(cloud.inventory())) == (Stage.READY, 2)
    world.destroy()
    assert settle(world, cloud) == []


def test_a_clone_that_outlasts_the_time_limit_of_the_node_is_undone_and_named(world, cloud):
    cloud.behaviour.clone_seconds = 700.0
    define(world, cloud)
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert "not created within 600 s: its drive is being cloned" in str(caught.value)
    assert settle(world, cloud) == []


def test_a_start_that_is_refused_for_credit_moves_the_node(world, cloud):
    cloud.behaviour.credit = False
    with CloudSigma(clock=world.clock.now) as another:
        define(world, cloud, another)
        world.build(infrastructure(node("web", min=6)))
        assert any("needs burst credit for 5 days" in event.text for event in world.events)
        assert (len(another.servers()), settle(world, cloud)) == (6, [])
        world.destroy()
        assert settle(world, another) == []


def test_a_start_that_is_refused_everywhere_is_reported_in_the_cloud_s_words(world, cloud):
    cloud.behaviour.credit = False
    define(world, cloud)
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert "Starting the guest needs burst credit for 5 days, and the account has less" in str(caught.value)
    assert settle(world, cloud) == []


def test_a_storm_of_503_is_waited_out_and_reported(world, cloud):
    cloud.behaviour.clone_seconds = cloud.behaviour.start_seconds = cloud.behaviour.stop_seconds = 5.0
    define(world, cloud)
    storm = Fault(
        "refuse", probability=0.4, status=503, error_type="concurrency", message="The object is being modified"
    )
    cloud.fail(storm)
    world.build(infrastructure(node("web", min=10)))
    assert (len(cloud.servers()), len(cloud.drives())) == (10, 10)
    assert any("The object is being modified" in text for text in waited_for(world))
    world.convergence().maintain()
    assert (len(cloud.servers()), len(cloud.drives())) == (10, 10)
    with contextlib.suppress(UnconfirmedError):  # for a minute, every other call was refused
        world.destroy()
    cloud.fail()
    if cloud.inventory():
        world.destroy()
    assert settle(world, cloud) == []


@pytest.mark.parametrize("count", [1, 10, 50])
def test_what_a_build_and_a_tick_cost(count, world, cloud):
    """A clone takes 30 s and a start 10 s: all that is waited for is looked at together."""
    cloud.behaviour.clone_seconds, cloud.behaviour.start_seconds, cloud.behaviour.stop_seconds = 30.0, 10.0, 5.0
    define(world, cloud)
    world.build(infrastructure(node("web", min=count)))
    assert len(cloud.servers()) == count
    built = cloud.calls()
    world.convergence().maintain()
    tick = cloud.calls() - built
    world.destroy()
    assert settle(world, cloud) == []
    assert tick == 1
    assert built <= 11 * count + 50
    assert cloud.calls() - built - tick <= 2 * count + 40


@pytest.mark.parametrize("heeds", [True, False], ids=["heeded", "falls back to running"])
def test_a_shutdown_before_the_deletion(heeds, world, cloud):
    """The grace is the core's; a guest that takes no notice runs again after a minute, and is then stopped."""
    cloud.behaviour.heeds_shutdown = heeds
    define(world, cloud, stop_seconds=90)
    world.build(infrastructure("web"))
    world.destroy()
    assert cloud.inventory() == []
    assert (cloud.calls("do=shutdown"), cloud.calls("do=stop")) == (1, 0 if heeds else 1)
    assert len(cloud.model.shut_down) == heeds
