"""The simulated cloud as a process: its state after a kill, and its faults over HTTP."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from occopus_core.api import (
    AuthError,
    Connection,
    Context,
    CreateRequest,
    InstanceId,
    InstanceState,
    Owner,
    PermanentError,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.simcloud.process import SimulatedCloud
from occopus_resource_sim import SimHandler

from .conftest import LONGEST

pytestmark = pytest.mark.integration

OWNER = Owner("us", "i-1", "web", "n-1")


@pytest.fixture(scope="module")
def server():
    with SimulatedCloud() as server:
        yield server


@pytest.fixture
def cloud(server):
    server.reset()
    return server


def connect(cloud: SimulatedCloud, call_timeout: float = LONGEST, **auth: str) -> SimHandler:
    return SimHandler(Connection("sim", {"endpoint": cloud.endpoint}, auth, call_timeout))


def request(token: str = "t-1", **resource: object) -> CreateRequest:
    return CreateRequest(token, OWNER, resource, Context(user_data="#cloud-config\n"))


def until(handler: SimHandler, id: InstanceId, state: InstanceState) -> None:
    deadline = time.monotonic() + LONGEST
    while handler.describe([id])[id].state is not state:
        assert time.monotonic() < deadline, f"{id} did not become {state}"
        time.sleep(0.01)


def test_every_answered_create_survives_sigkill(tmp_path):
    with SimulatedCloud(tmp_path / "cloud.sqlite") as cloud:
        handler, answered, killed = connect(cloud), {}, threading.Event()

        def create(number: int) -> None:
            if number > 200:
                killed.wait(LONGEST)
            try:
                instance = handler.create(request(f"t-{number}", steps=1 + number % 2))
            except TransientError:
                return
            answered[instance.token] = instance.id
            if number == 100:
                cloud.kill()
                killed.set()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(create, range(400)))
        assert 50 < len(answered) < 400
        endpoint = cloud.endpoint
        cloud.restart()
        assert cloud.endpoint == endpoint
        kept = {instance.token: instance.id for instance in handler.list_owned(OWNER)}
        assert answered.items() <= kept.items()
        assert handler.create(request("t-new")).id not in kept.values()


def test_deletion_and_boot_go_on_across_a_restart(tmp_path):
    with SimulatedCloud(tmp_path / "cloud.sqlite") as cloud:
        handler = connect(cloud)
        booting, half = handler.create(request("t-1", boot_seconds=0.3)), handler.create(request("t-2", steps=2))
        leaving = handler.create(request("t-3", delete_seconds=0.2)).id
        handler.delete([leaving])
        cloud.restart()
        assert handler.describe([half.id])[half.id].state is InstanceState.PROVISIONING
        assert handler.create(request("t-2", steps=2)).state is InstanceState.READY
        until(handler, leaving, InstanceState.ABSENT)
        until(handler, booting.id, InstanceState.READY)
        cloud.stop()
        cloud.start()
        assert {machine["token"] for machine in cloud.inventory()} == {"t-1", "t-2"}


def test_the_key_is_asked_for():
    with SimulatedCloud(api_key="right") as cloud:
        connect(cloud, api_key="right").create(request())
        for auth in ({}, {"api_key": "wrong"}):
            with pytest.raises(AuthError, match=r"missing or wrong \(request req-"):
                connect(cloud, **auth).create(request("t-2"))
        assert len(cloud.inventory()) == 1


def test_a_hanging_call_has_no_effect_and_ends_with_its_client(cloud):
    cloud.set_faults([{"kind": "hang", "operation": "create", "count": 1}])
    with pytest.raises(TransientError, match=r"no answer within 0\.2 s"):
        connect(cloud, call_timeout=0.2).create(request())
    assert cloud.inventory() == []
    connect(cloud).create(request())


def test_a_lost_reply_breaks_the_connection_after_the_effect(cloud):
    cloud.set_faults([{"kind": "lost_reply", "operation": "create", "count": 1}])
    with pytest.raises(TransientError, match="broke before the answer"):
        connect(cloud).create(request())
    (machine,) = cloud.inventory()
    assert connect(cloud).create(request()).id == machine["id"]
    assert cloud.log()[0]["outcome"] == "lost_reply"


def test_latency_and_calls_side_by_side(cloud):
    """The calls last longer and longer until all of them are under way at once, however busy the machine is."""
    handler = connect(cloud)
    for seconds in (0.2, 2.0, 20.0, 200.0):
        cloud.set_faults([{"kind": "latency", "operation": "describe", "seconds": seconds}])
        started = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: handler.describe([InstanceId("sim-1")]), range(8)))
        assert time.monotonic() - started >= seconds
        if cloud.calls()["most_at_once"] == 8:
            return
    pytest.fail(f"{cloud.calls()}")


def test_throttling_has_its_header(cloud):
    cloud.set_faults([{"kind": "throttle", "seconds": 4}])
    with pytest.raises(ThrottledError) as caught:
        connect(cloud).describe([InstanceId("sim-1")])
    assert caught.value.retry_after == 4
    assert post(cloud, "/instances/describe", {"ids": []}).headers["Retry-After"] == "4"


def test_many_ids_take_a_call_a_page(cloud):
    ids = [InstanceId(f"sim-{number:08x}") for number in range(25_000)]
    handler = connect(cloud)
    assert len(handler.describe(ids)) == 25_000
    assert set(handler.delete(ids).values()) == {None}
    assert {op: count for op, count in cloud.calls()["total"].items() if count} == {"describe": 3, "delete": 3}


def test_a_change_from_outside(cloud):
    handler = connect(cloud)
    id = handler.create(request()).id
    cloud.change(id, "stop", "maintenance")
    assert handler.describe([id])[id].state is InstanceState.STOPPED
    with pytest.raises(ValueError, match="no instance 'sim-x'"):
        cloud.change("sim-x", "stop")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/instances/create", {"owner": {}}, "needs a token and an owner"),
        ("/instances/create", [], "must be a JSON object"),
        ("/instances/describe", {"ids": "sim-1"}, "needs ids"),
        ("/instances/describe", {"ids": ["x"] * 10_001}, "at most 10000 ids"),
        ("/change", {"name": "x"}, "name"),
    ],
)
def test_a_wrong_body_is_refused_in_a_sentence(cloud, path, body, message):
    answer = post(cloud, path, body)
    assert answer.status == 422
    assert message in answer.body["message"]


def test_rules_and_limits_that_make_no_sense_are_refused(cloud):
    with pytest.raises(ValueError, match="'earthquake' is not one of"):
        cloud.set_faults([{"kind": "earthquake"}])
    cloud.set_faults([{"kind": "permanent", "reason": "no more of this"}])
    with pytest.raises(PermanentError, match="no more of this"):
        connect(cloud).create(request())


def test_bad_options_are_one_clear_message(tmp_path):
    (tmp_path / "text").write_text("this is no database, however long it may be" * 100)
    command = [sys.executable, "-m", "occopus_core.testing.simcloud.server", "--database"]
    for options in ([str(tmp_path / "text")], [str(tmp_path / "no" / "folder")], [str(tmp_path / "d"), "--port=99999"]):
        ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=LONGEST, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Traceback" not in ended.stderr
        assert options[-1].removeprefix("--port=") in ended.stderr


def test_a_server_that_cannot_start_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match="did not start"):
        SimulatedCloud(tmp_path / "no" / "folder").start()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, json.loads(response.read())


def post(cloud: SimulatedCloud, path: str, body: object) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint).netloc, timeout=LONGEST)
    connection.request("POST", path, json.dumps(body))
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()
