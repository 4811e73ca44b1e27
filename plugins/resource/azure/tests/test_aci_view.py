"""States and addresses of container groups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from occopus_core.api import AddressKind, InstanceState
from occopus_resource_azure.aci.view import Parts, instance

MARKS = {"occopus-installation": "here", "occopus-token": "occopus-1", "occopus-type": "azure_aci"}
RUNNING = {"currentState": {"state": "Running", "startTime": "2026-01-01T00:00:00Z"}, "restartCount": 0}


def group(provisioning="Succeeded", state="Running", view=None, events=(), ip="20.0.0.1"):
    address = {"type": "Public", "fqdn": "occopus-1.westeurope.azurecontainer.io", **({"ip": ip} if ip else {})}
    return {
        "id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/occopus-1",
        "tags": MARKS,
        "properties": {
            "provisioningState": provisioning,
            "instanceView": {"state": state, "events": list(events)},
            "ipAddress": address,
            "containers": [{"name": "c", "properties": {"ports": [{"port": 80}], "instanceView": view or RUNNING}}],
        },
    }


def seen(*arguments, **more):
    return instance("occopus-1", Parts(containers=[group(*arguments, **more)]))


@pytest.mark.parametrize(
    ("provisioning", "state", "expected"),
    [
        ("Pending", "Pending", InstanceState.PENDING),
        ("Creating", "Pending", InstanceState.PENDING),
        ("Repairing", "Running", InstanceState.PENDING),
        ("Unhealthy", "Running", InstanceState.PENDING),
        ("Succeeded", "Pending", InstanceState.PENDING),
        ("Succeeded", "Running", InstanceState.READY),
        ("Succeeded", "Stopped", InstanceState.STOPPED),
        ("Succeeded", "Failed", InstanceState.FAILED),
        ("Failed", "", InstanceState.FAILED),
        ("Succeeded", "Odd", InstanceState.UNKNOWN),
    ],
)
def test_states(provisioning, state, expected):
    assert seen(provisioning, state).state is expected


def test_an_exited_process_is_stopped_with_its_exit_code():
    ended = {"currentState": {"state": "Terminated", "exitCode": 0, "detailStatus": "Completed"}}
    found = seen("Succeeded", "Succeeded", ended)
    assert found.state is InstanceState.STOPPED
    assert "exit code 0" in found.reason


def _waiting(restarts):
    return {
        "currentState": {"state": "Waiting", "detailStatus": "CrashLoopBackOff"},
        "previousState": {"state": "Terminated", "exitCode": 3, "detailStatus": "Error"},
        "restartCount": restarts,
    }


def test_a_crash_loop_is_failed():
    first = seen(view=_waiting(1))
    assert first.state is InstanceState.PENDING
    assert "exit code 3" in first.reason
    assert seen(view=_waiting(3)).state is InstanceState.FAILED


def test_a_process_between_two_crashes_is_not_ready():
    def running(seconds):
        started = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        return {**_waiting(2), "currentState": {"state": "Running", "startTime": started}}

    assert seen(view=running(1)).state is InstanceState.PENDING
    assert seen(view=running(60)).state is InstanceState.READY


def test_an_image_that_cannot_be_pulled_is_the_reason():
    event = {"name": "Failed", "type": "Warning", "message": 'Failed to pull image "x"', "lastTimestamp": "2026"}
    view = {"currentState": {"state": "Waiting"}, "events": [event]}
    found = seen("Succeeded", "Pending", view)
    assert found.reason == 'Failed: Failed to pull image "x"'


def test_no_capacity_is_raised_by_the_next_create():
    event = {"name": "InsufficientCapacity.", "message": "no room", "lastTimestamp": "2026"}
    found = seen("Failed", "Failed", events=[event])
    assert found.state is InstanceState.PROVISIONING
    assert "InsufficientCapacity" in found.reason


def test_the_name_is_also_an_address():
    assert [(each.value, each.kind) for each in seen().addresses] == [
        ("20.0.0.1", AddressKind.PUBLIC),
        ("occopus-1.westeurope.azurecontainer.io", AddressKind.PUBLIC),
    ]


def test_without_an_address_it_is_not_ready_yet():
    assert seen(ip="").state is InstanceState.PENDING
