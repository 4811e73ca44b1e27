"""Containers that exit, restart or are unhealthy, and images of URLs, on real engines."""

from __future__ import annotations

import time

import pytest

from occopus_core.api import InstanceState
from occopus_resource_docker.order import IMPORTED
from occopus_resource_docker.testing.images import root_file_system

pytestmark = pytest.mark.integration

LONGEST = 600.0
SOME_RESTARTS = 4


def patiently(look):
    deadline = time.monotonic() + LONGEST
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def seen(handler, token="t-1"):
    return handler.describe([token])[token]


def restarts(stage, token="t-1"):
    return stage.engine.client().inspect_container(token)["RestartCount"]


def imports(stage):
    names = [name for image in stage.engine.client().images() for name in image["RepoTags"] or ()]
    return {name for name in names if name.startswith(IMPORTED)}


def ready(handler, request):
    return patiently(lambda: (found := handler.create(request)).state is InstanceState.READY and found)


def test_a_crash_loop_never_counts_as_running_after_its_first_restart(stage, order):
    handler = stage.handler()
    handler.create(order(restart="always", command="sh -c 'sleep 0.3; exit 1'"))
    patiently(lambda: restarts(stage) >= 1)
    states = set()
    while restarts(stage) < SOME_RESTARTS:
        states.add(seen(handler).state)
    assert states <= {InstanceState.PENDING, InstanceState.STOPPED}, "Podman lists it as exited for a moment"
    assert "restarted" in seen(handler).reason


def test_a_container_that_exits_at_once_never_counts_as_running(stage, order):
    handler, states = stage.handler(), set()
    instance = handler.create(order(command="sh -c 'exit 3'"))
    while instance.state is not InstanceState.STOPPED:
        states.add(instance.state)
        instance = seen(handler)
    assert InstanceState.READY not in states
    assert instance.reason == "it exited with code 3"


def test_a_container_that_exits_with_0_has_completed_and_is_not_ready(stage, order):
    handler = stage.handler()
    handler.create(order(command="echo hi"))
    found = patiently(lambda: (found := seen(handler)).state is InstanceState.STOPPED and found)
    assert found.reason.startswith("it completed: its process exited with code 0")


def test_a_job_is_ready_when_it_has_completed(stage, order):
    handler = stage.handler()
    handler.create(order(job=True, command="sh -c 'until [ -e /go ]; do sleep 0.05; done'"))
    assert seen(handler).state is InstanceState.PENDING
    client = stage.engine.client()
    client.exec_start(client.exec_create("t-1", ["mkdir", "/go"])["Id"])
    patiently(lambda: seen(handler).state is InstanceState.READY)
    handler.create(order("t-2", job=True, command="false"))
    found = patiently(lambda: (found := seen(handler, "t-2")).state is InstanceState.STOPPED and found)
    assert found.reason == "it exited with code 1"


def test_a_container_gets_its_own_stop_signal_and_time_to_stop(stage, order):
    handler = stage.handler()
    assert handler.stop_seconds >= 1
    trap = "sh -c 'trap \"echo clean; exit 0\" QUIT; echo up; while :; do sleep 0.05; done'"
    handler.create(order(stop_signal="SIGQUIT", restart="always", command=trap))
    client = stage.engine.client()
    patiently(lambda: b"up" in client.logs("t-1"))
    handler.stop(["t-1"])
    patiently(lambda: seen(handler).state is InstanceState.STOPPED)
    assert b"clean" in client.logs("t-1")


def test_the_health_check_of_an_image_counts_unless_disabled(docker_stage, order):
    stage, client = docker_stage, docker_stage.engine.client()
    client.import_image_from_data(
        root_file_system(),
        repository="sick",
        tag="1",
        changes=['HEALTHCHECK --interval=100ms --retries=1 CMD ["sh", "-c", "echo the disk is full; exit 1"]'],
    )
    handler = stage.handler()
    try:
        assert handler.create(order(image="sick")).state is InstanceState.PENDING
        found = patiently(lambda: "fails" in (found := seen(handler)).reason and found)
        assert found.state is InstanceState.PENDING
        assert found.reason == "its health check fails: the disk is full"
        ready(handler, order("t-2", image="sick", healthcheck=False))
    finally:
        stage.engine.clear()
        client.remove_image("sick:1", force=True)


def test_an_imported_image_has_a_new_name_and_is_deleted_with_its_last_container(stage, order):
    client, handler = stage.engine.client(), stage.handler()
    before = client.inspect_image("tiny:1")["Id"]
    requests = [order(f"t-{number}", origin=stage.registry.url) for number in range(2)]
    for request in requests:
        ready(handler, request)
    assert client.inspect_image("tiny:1")["Id"] == before, "the operator's image is what it was"
    assert len(imports(stage)) == 1
    handler.delete(["t-0"])
    assert len(imports(stage)) == 1, "a container of it is left"
    handler.delete(["t-1"])
    assert not imports(stage)


def test_an_image_that_is_imported_for_a_successor_outlives_what_makes_way_for_it(stage, order):
    handler = stage.handler()
    ready(handler, order("t-0", origin=stage.registry.url))
    successor = order("t-1", origin=f"{stage.registry.url}#another")
    patiently(lambda: not handler.ensure(successor))
    asked = stage.registry.asked["/tiny.tar"]
    handler.delete(["t-0"])
    assert len(imports(stage)) == 1
    ready(handler, successor)
    assert stage.registry.asked["/tiny.tar"] == asked
    handler.delete(["t-1"])
    assert not imports(stage)


def test_leftovers_of_an_interrupted_call_are_removed_by_the_next_one(stage, order):
    handler = stage.handler()
    ready(handler, order("t-0", origin=stage.registry.url))
    stage.engine.client().remove_container("t-0", force=True)
    assert imports(stage)
    ready(handler, order("t-1", origin=f"{stage.registry.url}#another"))
    handler.delete(["t-1"])
    assert not imports(stage)
