"""How instances are shut down, stopped and deleted with all parts."""

from __future__ import annotations

import pytest

from occopus_core.api import InstanceState, PermanentError, ThrottledError, TransientError
from occopus_resource_cloudsigma.testing import Fault


def state(handler, id="occopus-1"):
    return handler.describe([id])[id].state


def removed(handler, cloud, clock, ids, looks=60):
    """Call `delete` as the core does, until nothing is left; returns the number of calls."""
    for number in range(looks):
        if not cloud.inventory():
            return number
        assert handler.delete(ids) == dict.fromkeys(ids)
        clock.time += 1
    raise AssertionError(cloud.inventory())


def test_a_server_is_stopped_and_then_deleted_with_its_drive(connect, cloud, order, made, clock):
    cloud.behaviour.stop_seconds = 3.0
    handler = connect()
    made(handler, order())
    assert removed(handler, cloud, clock, ["occopus-1"]) == 4
    assert cloud.calls("do=stop") == 1
    assert cloud.calls("^DELETE /servers/.*recurse=all_drives") == 1
    assert cloud.calls("^DELETE /drives") == 0
    assert state(handler) is InstanceState.ABSENT


def test_a_shutdown_that_succeeds(connect, cloud, order, made, clock):
    handler = connect()
    made(handler, order())
    assert handler.stop(["occopus-1", "absent"]) == {"occopus-1": None, "absent": None}
    assert state(handler) is InstanceState.READY  # it runs until it is stopped
    assert handler.stop(["occopus-1"]) == {"occopus-1": None}
    clock.time += 5
    assert state(handler) is InstanceState.STOPPED
    assert handler.stop(["occopus-1"]) == {"occopus-1": None}
    assert cloud.calls("do=shutdown") == 1
    assert removed(handler, cloud, clock, ["occopus-1"]) == 1
    assert cloud.calls("do=stop") == 0


def test_a_shutdown_that_is_ignored(connect, cloud, order, made, clock):
    cloud.behaviour.heeds_shutdown = False
    handler = connect()
    made(handler, order())
    handler.stop(["occopus-1"])
    assert handler.delete(["occopus-1"]) == {"occopus-1": None}  # CloudSigma sends the signal for a minute
    assert cloud.servers()[0]["status"] == "stopping"
    clock.time += 60
    assert cloud.servers()[0]["status"] == "running"
    assert removed(handler, cloud, clock, ["occopus-1"]) == 2
    assert cloud.calls("do=stop") == 2  # the first one was refused


def test_a_shutdown_that_can_be_interrupted(connect, cloud, order, made, clock):
    cloud.behaviour.heeds_shutdown = False
    cloud.behaviour.stops_while_stopping = True
    handler = connect()
    made(handler, order())
    handler.stop(["occopus-1"])
    assert removed(handler, cloud, clock, ["occopus-1"]) == 2
    clock.time += 100
    assert cloud.inventory() == []


def test_a_server_that_has_stopped_by_itself_is_no_error(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    in_state = Fault("refuse", "do=(stop|shutdown)", status=403, error_type="permission", message='in state "stopped"')
    cloud.fail(in_state)
    assert handler.stop(["occopus-1"]) == {"occopus-1": None}
    assert handler.delete(["occopus-1"]) == {"occopus-1": None}


def test_an_unfinished_instance_that_is_still_being_cloned(connect, cloud, order, clock):
    cloud.behaviour.clone_seconds = 10.0
    handler = connect()
    handler.create(order())
    assert removed(handler, cloud, clock, ["occopus-1"]) == 11


def test_a_server_that_never_started(connect, cloud, order, made, clock):
    cloud.behaviour.credit = False
    handler = connect()
    with pytest.raises(Exception, match="credit"):
        made(handler, order())
    assert removed(handler, cloud, clock, ["occopus-1"]) == 1


def test_a_server_that_is_starting(connect, cloud, order, made, clock):
    cloud.behaviour.start_seconds = 4.0
    handler = connect()
    made(handler, order())
    assert state(handler) is InstanceState.PENDING
    assert removed(handler, cloud, clock, ["occopus-1"]) == 5


def test_a_server_in_an_unknown_state_is_stopped_or_reported(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    cloud.servers()[0]["status"] = "hibernated"
    cloud.fail(Fault("refuse", "do=stop", status=403, error_type="permission", message='in state "hibernated"'))
    error = handler.delete(["occopus-1"])["occopus-1"]
    assert isinstance(error, TransientError)
    assert "hibernated" in error.message


def test_a_drive_attached_to_a_server_of_the_user(connect, cloud, order, made, clock):
    handler = connect()
    made(handler, order())
    (server,), (drive,) = cloud.servers(), cloud.drives()
    cloud.model.stop(server)
    cloud.model.delete_server(server, "")
    disk = {"drive": drive["uuid"], "dev_channel": "0:0", "device": "virtio"}
    other = {"name": "theirs", "cpu": 1, "mem": 1, "vnc_password": "x", "drives": [disk]}
    theirs = cloud.model.create_server(other)
    error = handler.delete(["occopus-1"])["occopus-1"]
    assert type(error) is PermanentError
    assert (
        error.message
        == f"its drive {drive['uuid']} is attached to the server {theirs['uuid']}: detach it, and it is deleted"
    )
    cloud.model.delete_server(theirs, "")
    assert removed(handler, cloud, clock, ["occopus-1"]) == 1


def test_a_drive_that_cannot_be_deleted_is_reported(connect, cloud, order):
    handler = connect()
    handler.create(order())
    cloud.fail(Fault("refuse", "^DELETE", status=403, error_type="permission", message="operation not allowed"))
    assert type(handler.delete(["occopus-1"])["occopus-1"]) is PermanentError


@pytest.mark.parametrize("fault", [Fault("lost_reply", "do=stop"), Fault("refuse", "do=stop", status=429)])
def test_after_a_timeout_no_other_call_is_made(fault, connect, cloud, order, made):
    handler, ids = connect(), [f"occopus-{number}" for number in range(5)]
    for id in ids:
        made(handler, order(id))
    cloud.fail(fault)
    errors = handler.delete(ids)
    assert set(errors) == set(ids)
    assert all(isinstance(error, TransientError | ThrottledError) for error in errors.values())
    assert cloud.calls("do=stop") == 1


def test_a_busy_instance_does_not_block_others(connect, cloud, order, made):
    handler, ids = connect(), [f"occopus-{number}" for number in range(3)]
    for id in ids:
        made(handler, order(id))
    cloud.fail(Fault("refuse", "do=stop", count=1, status=503, error_type="concurrency", message="busy"))
    errors = handler.delete(ids)
    assert [type(error) for error in errors.values()] == [TransientError, type(None), type(None)]
