"""The handler on real engines: what it makes, pulls and leaves there."""

from __future__ import annotations

import logging
import re
import threading
import time

import pytest

from occopus_core.api import (
    Address,
    AddressKind,
    AuthError,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_resource_docker.testing import PASSWORD, USERNAME, Proxy, Rule

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]

LONGEST = 600.0


def patiently(look):
    """Repeat `look` until it finds something."""
    deadline = time.monotonic() + LONGEST
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def made(handler, request):
    """The instance once it runs or has failed, and the messages until then."""
    said = []

    def look():
        instance = handler.create(request)
        said.append(instance.reason)
        return instance if instance.state not in {InstanceState.PROVISIONING, InstanceState.PENDING} else None

    return patiently(look), said


def calls(stage, act):
    before = len(stage.proxy.requests)
    act()
    return len(stage.proxy.requests) - before


def inspected(stage, token="t-1"):
    return stage.engine.client().inspect_container(token)


def test_a_container_matches_its_description(stage, order, tmp_path):
    request = order(
        env=("message=Hello world", "empty="),
        command="sh -c 'exec sleep 1000'",
        ports=["127.0.0.1:18099:80", "53/udp", 8080],
        volumes=["data:/data", f"{tmp_path}:/host:ro", "/scratch"],
        restart="on-failure:3",
        mem_limit="64m",
        cpus="0.5",
    )
    handler = stage.handler()
    handler.check(request)
    instance, _ = made(handler, request)
    assert (instance.id, instance.token, instance.state) == ("t-1", "t-1", InstanceState.READY)
    assert instance.owner == request.owner
    found = inspected(stage)
    assert found["Name"] in ("/t-1", "t-1")
    assert {"message=Hello world", "empty="} <= set(found["Config"]["Env"])
    assert found["Config"]["Cmd"] == ["sh", "-c", "exec sleep 1000"]
    host = found["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (64 << 20, 500_000_000)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    published = {port: binding and binding[0]["HostIp"] for port, binding in host["PortBindings"].items()}
    assert published["80/tcp"] == "127.0.0.1"
    assert set(published) == {"80/tcp", "53/udp", "8080/tcp"}
    mounts = {mount["Destination"]: mount for mount in found["Mounts"]}
    assert set(mounts) == {"/data", "/host", "/scratch"}
    assert (mounts["/data"]["Name"], mounts["/host"]["RW"]) == ("data", False)

    assert "data" in stage.engine.volumes()
    assert mounts["/scratch"]["Name"] in stage.engine.volumes()
    assert handler.delete(["t-1"]) == {"t-1": None}
    assert "data" in stage.engine.volumes(), "a volume with a name is its owner's"
    assert mounts["/scratch"]["Name"] not in stage.engine.volumes()
    stage.engine.client().remove_volume("data")


def test_addresses(stage, order):
    handler = stage.handler()
    (address,) = handler.create(order()).addresses
    assert address.kind is AddressKind.PRIVATE
    networks = inspected(stage)["NetworkSettings"]["Networks"]
    assert address.value in {network["IPAddress"] for network in networks.values()}
    assert address.value.startswith(stage.engine.network.address.rpartition(".")[0])

    assert handler.create(order("t-2", network="host")).addresses == (Address("127.0.0.1", AddressKind.PRIVATE),)
    assert handler.create(order("t-3", network="none")).addresses == ()
    client = stage.engine.client()
    client.create_network("backend")
    try:
        assert not any(handler.ensure(order("t-4", network=each)) for each in ("backend", "bridge", "host", "none"))
        (address,) = handler.create(order("t-4", network_mode="backend")).addresses
        assert address.value == inspected(stage, "t-4")["NetworkSettings"]["Networks"]["backend"]["IPAddress"]
    finally:
        stage.engine.clear()
        client.remove_network("backend")
    remote = stage.handler(stage.proxy.tcp_endpoint.replace("127.0.0.1", "localhost"))
    assert remote.create(order(network="host")).addresses[0].value == "localhost"


def test_many_instances_are_one_call(stage, order):
    handler = stage.handler()
    handler.create(order())
    found = {}
    asked = [*(f"t-{number}" for number in range(1000, 2000)), "t-1"]
    assert calls(stage, lambda: found.update(handler.describe(asked))) == 1
    assert [id for id, instance in found.items() if instance.state is not InstanceState.ABSENT] == ["t-1"]
    assert list(found) == asked


def test_an_exited_container_shows_its_exit_code(stage, order):
    handler = stage.handler()
    handler.create(order(command="sh -c 'exit 7'"))
    stopped = patiently(lambda: (one := handler.describe(["t-1"])["t-1"]).state is InstanceState.STOPPED and one)
    assert stopped.reason == "it exited with code 7"
    assert handler.create(order(command="sh -c 'exit 7'")).state is InstanceState.STOPPED, "it is not started again"


def test_a_created_container_is_found_and_started(stage, order):
    handler = stage.handler()
    stage.proxy.set_rules([Rule("refuse", "^POST .*/start", message="not now")])
    with pytest.raises(TransientError):
        handler.create(order())
    (half_made,) = handler.list_owned(Owner("here"))
    assert (half_made.state, half_made.owner) == (InstanceState.PROVISIONING, order().owner)
    stage.proxy.set_rules([])
    assert made(handler, order())[0].state is InstanceState.READY


def test_a_container_started_by_another_call_is_an_instance(stage, order):
    handler, request = stage.handler(), order()
    improper = "container 7 must be in Created or Stopped state to be started: container state improper"
    stage.proxy.set_rules([Rule("refuse", "^POST .*/start", status=500, message=improper, count=1)])
    first = handler.create(request)
    assert first.state is InstanceState.PROVISIONING
    assert made(handler, request)[0].id == first.id


def test_a_container_of_a_user_has_the_name(stage, order):
    stage.engine.client().create_container("tiny:1", "sleep 1000", name="t-1")
    instance = stage.handler().create(order())
    assert (instance.state, instance.reason) == (
        InstanceState.PROVISIONING,
        "a container with its name is being created, or has another owner",
    )


def test_deleting_kills_before_it_removes(stage, order):
    """A forced removal alone first waits for ten seconds in Podman."""
    handler = stage.handler()
    made(handler, order())
    stage.proxy.set_rules([Rule("refuse", "^DELETE ", status=409, message="not now")])
    assert handler.delete(["t-1"])["t-1"] is not None
    assert inspected(stage)["State"]["Running"] is False
    stage.proxy.set_rules([])
    assert handler.delete(["t-1", "t-2"]) == {"t-1": None, "t-2": None}
    assert stage.engine.containers() == []


@pytest.mark.parametrize("status", [404, 409, 500])
def test_a_container_that_cannot_be_killed_is_removed(docker_stage, order, status):
    handler = docker_stage.handler()
    made(handler, order())
    docker_stage.proxy.set_rules([Rule("refuse", "^POST .*/kill", status=status, message="no such container")])
    assert handler.delete(["t-1"]) == {"t-1": None}
    assert docker_stage.engine.containers() == []


def test_a_renamed_container_is_still_found(stage, order):
    handler, client = stage.handler(), stage.engine.client()
    made(handler, order())
    client.rename("t-1", "somebody")
    stranger = client.create_container("tiny:1", "sleep 1000", name="t-1")["Id"]
    assert handler.describe(["t-1"])["t-1"].state is InstanceState.READY
    assert made(handler, order())[0].state is InstanceState.READY
    assert handler.delete(["t-1"]) == {"t-1": None}
    gone = handler.describe(["t-1"])["t-1"]
    assert (gone.is_missing, gone.may_be_hidden) == (True, False)
    assert [each["Id"] for each in client.containers(all=True)] == [stranger], "it only has the name"


def test_a_renamed_container_is_not_made_again(stage, order):
    handler, client = stage.handler(), stage.engine.client()
    handler.create(order())
    before = inspected(stage)["Id"]
    client.rename("t-1", "somebody")
    assert made(handler, order())[0].state is InstanceState.READY
    assert [each["Id"] for each in stage.engine.containers()] == [before]


def test_a_container_of_an_image_made_from_an_instance_is_no_instance(stage, order):
    handler, client = stage.handler(), stage.engine.client()
    made(handler, order())
    client.commit("t-1", "snapshot", "1")
    users = client.create_container("snapshot:1", "true", name="users")["Id"]
    assert handler.describe(["t-1"])["t-1"].state is InstanceState.READY
    assert [each.id for each in handler.list_owned(Owner("here"))] == ["t-1"]
    assert handler.delete(["t-1"]) == {"t-1": None}
    assert handler.describe(["t-1"])["t-1"].state is InstanceState.ABSENT
    assert [each["Id"] for each in client.containers(all=True)] == [users]


def test_labels_of_an_image_are_ignored(stage, order):
    handler, client = stage.handler(), stage.engine.client()
    handler.create(order(network="host"))
    client.commit("t-1", "snapshot", "2")
    (address,) = handler.create(order("t-2", image="snapshot", tag="2")).addresses
    assert address.value != "127.0.0.1"
    client.rename("t-2", "somebody")
    assert handler.delete(["t-2"]) == {"t-2": None}
    assert {each["Labels"]["occopus.token"] for each in stage.engine.containers()} == {"t-1"}


@pytest.fixture
def pulled(stage):
    """The reference of an image in the registry that the engine does not have."""
    client, registry = stage.engine.client(), stage.registry
    for name in (f"{registry.address}/tiny:1", f"{stage.private.address}/tiny:1", "imported:1"):
        if any(repo.endswith(name) for image in client.images() for repo in image["RepoTags"] or ()):
            client.remove_image(name, force=True)
    registry.asked.clear()
    registry.flowing.set()
    yield f"{registry.address}/tiny"
    registry.flowing.set()


def test_an_image_is_pulled_once_for_all_without_blocking_calls(stage, pulled, order):
    stage.registry.flowing.clear()
    handler = stage.handler(timeout=LONGEST)
    requests = [order(f"t-{number}", image=pulled, origin="dockerhub") for number in range(3)]
    for request in requests:
        instance = handler.create(request)
        assert (instance.state, instance.id) == (InstanceState.PROVISIONING, request.token)
        assert instance.reason.startswith(f"pulling {pulled}:1")
        assert handler.describe([instance.id])[instance.id].state is InstanceState.ABSENT
    stage.registry.flowing.set()
    for request in requests:
        assert made(handler, request)[0].state is InstanceState.READY
    assert stage.registry.asked["layers"] == 1


def test_an_image_is_pulled_before_a_container_is_made(stage, pulled, order):
    stage.registry.flowing.clear()
    handler, request = stage.handler(), order(image=pulled, origin="dockerhub")
    assert handler.ensure(request).startswith(f"pulling {pulled}:1")
    stage.registry.flowing.set()
    patiently(lambda: not handler.ensure(request))
    assert stage.engine.containers() == []
    assert handler.create(request).state is not InstanceState.PROVISIONING
    assert stage.registry.asked["layers"] == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"tag": "99"}, r"pulling \S+/tiny:99 failed: the registry \S+ has no such image, .*\(resource\.image\)"),
        ({"network": "nowhere"}, r"\(resource\.network\)"),
        ({"tag": "99", "origin": "local"}, r"the engine has no image '\S+/tiny:99'"),
        ({"origin": "http://{registry}/nothing.tar"}, r"importing \S+/nothing.tar failed: .*\(resource\.origin\)"),
    ],
)
def test_what_cannot_be_had_is_found_before_a_container_is_made(stage, pulled, order, section, words):
    section = {key: value.format(registry=stage.registry.address) for key, value in section.items()}
    handler, request = stage.handler(), order(**{"image": pulled, "origin": "dockerhub", **section})

    def failure():
        try:
            handler.ensure(request)
        except ProviderError as error:
            return error
        return None

    assert re.search(words, str(patiently(failure)))


def test_a_pull_that_ended_with_its_process_is_started_again(stage, pulled, order):
    stage.registry.flowing.clear()
    request = order(image=pulled, origin="")
    stage.handler().create(request)
    stage.proxy.stop()  # clients are cut off; the proxy's own connection ends with the answer
    stage.proxy.start()
    stage.registry.flowing.set()
    assert made(stage.handler(), request)[0].state is InstanceState.READY


def test_progress_is_reported_in_coarse_steps(docker_stage, order):
    """Docker's engine only: Podman does not report progress."""
    stage = docker_stage
    image = f"{stage.registry.address}/tiny"
    client = stage.engine.client()
    steps = {"", f"pulling {image}:1", *(f"pulling {image}:1: {tens}0 %" for tens in range(1, 11))}
    try:
        for seconds in (0.1, 0.5, 2.5):  # the pull takes longer each time, until some of its steps are seen
            stage.engine.clear()
            if client.images(image):
                client.remove_image(f"{image}:1", force=True)
            stage.registry.seconds_per_chunk = seconds
            _, said = made(stage.handler(), order(image=image, origin="dockerhub"))
            assert set(said) <= steps
            if len(set(said)) > 3:
                return
    finally:
        stage.registry.seconds_per_chunk = 0.0
    pytest.fail(f"{said}")


def test_an_image_is_imported_from_a_url(stage, pulled, order):
    request = order(image="imported", tag="1", origin=stage.registry.url)
    instance, said = made(stage.handler(), request)
    assert instance.state is InstanceState.READY
    assert said[0].startswith(f"importing {stage.registry.url}")
    assert stage.registry.asked["/tiny.tar"] == 1
    assert made(stage.handler(), order("t-2", image="imported", tag="1", origin=stage.registry.url))
    assert stage.registry.asked["/tiny.tar"] == 1, "an image that is there is not imported again"


@pytest.mark.parametrize("where", ["127.0.0.1:9/x.tar", "{registry}/nothing.tar"])
def test_secrets_of_a_url_are_in_no_message(stage, order, caplog, where):
    where = where.format(registry=stage.registry.address)
    request = order(image="nowhere", origin=f"http://me:SECRET@{where}?signature=SECRET")
    handler, said = stage.handler(), []

    def failure():
        try:
            said.append(handler.create(request).reason)
        except ProviderError as error:
            return error
        return None

    said.append(str(patiently(failure)))
    assert said[0] == f"importing http://{where}"
    assert "SECRET" not in f"{said}{caplog.text}"


def test_a_private_image_needs_a_password(stage, pulled, order, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    request = order(image=f"{stage.private.address}/tiny", origin="dockerhub")
    message = (
        r"\((unauthorized|no basic auth credentials)\) \(resource\.image: username and password belong into auth_data"
    )
    with pytest.raises(PermanentError, match=message):
        made(stage.handler(), request)
    auth = {"username": USERNAME, "password": PASSWORD}
    assert made(stage.handler(auth=auth), request)[0].state is InstanceState.READY


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"image": "nothing"}, NotFoundError, "no image 'nothing:1', and resource.origin is 'local'"),
        ({"image": "{registry}/nothing", "origin": "dockerhub"}, NotFoundError, "manifest unknown.*resource.image"),
        ({"image": "127.0.0.1:1/x", "origin": ""}, TransientError, "connection refused"),
        ({"image": "UPPER", "origin": "dockerhub"}, PermanentError, "resource.image"),
        ({"image": "occopus.invalid/origin", "origin": ""}, PermanentError, "names below occopus.invalid"),
        ({"image": "a", "origin": "{url}.gz"}, (NotFoundError, PermanentError), "resource.origin"),
        ({"network": "nowhere"}, NotFoundError, "resource.network"),
        ({"network": "container:nope"}, NotFoundError, "nope.*resource.network"),
        ({"volumes": ["/proc/nope:/x"]}, PermanentError, "resource.volumes"),
        ({"command": "no-such-program"}, PermanentError, "no-such-program.*contextualisation.command"),
        ({"volumes": ["./relative:/x"]}, PermanentError, "resource.volumes"),
        ({"mem_limit": "1k"}, PermanentError, "resource.mem_limit"),
    ],
)
def test_missing_resources_are_named_with_their_key(stage, order, wrong, kind, message):
    values = {"registry": stage.registry.address, "url": stage.registry.url}
    wrong = {key: value.format(**values) if isinstance(value, str) else value for key, value in wrong.items()}
    handler = stage.handler()
    with pytest.raises(kind, match=message) as refused:
        made(handler, order(**wrong))
    assert "\n" not in str(refused.value)
    handler.delete(["t-1"])
    assert stage.engine.containers() == []


def test_a_published_port_in_use_is_a_quota_error(stage, order):
    handler = stage.handler()
    handler.create(order(ports=["18098:80"]))
    with pytest.raises(QuotaError, match=r"resource\.ports"):
        handler.create(order("t-2", ports=["18098:80"]))


def test_too_many_cpus_are_a_quota_error(docker_stage, order):
    """Docker's engine only: Podman accepts any number."""
    with pytest.raises(QuotaError, match=r"resource\.cpus"):
        docker_stage.handler().create(order(cpus=4096))


def test_certificates(docker_stage, order, tmp_path):
    """Certificates at the engine's own TLS port."""
    files = dict(zip(("ca", "server", "key"), docker_stage.engine.tls, strict=True))
    folder, endpoint = files["ca"].parent, docker_stage.engine.tls_endpoint
    good = {
        "tlscacert": files["ca"].read_text(),
        "tlscert": (folder / "client.pem").read_text(),
        "tlskey": (folder / "client-key.pem").read_text(),
    }
    handler = docker_stage.handler(endpoint, auth=good)
    (address,) = handler.create(order(network="host")).addresses
    assert address.value == docker_stage.engine.network.engines_address
    refused = {
        "needed in auth_data": (PermanentError, {}),
        "is not trusted: tlscacert": (PermanentError, {**good, "tlscacert": (folder / "client.pem").read_text()}),
        "does not accept the certificate": (AuthError, {"tlscacert": good["tlscacert"]}),
        "tlscacert, tlscert and tlskey in auth_data": (AuthError, {**good, "tlskey": "no key"}),
    }
    for message, (kind, auth) in refused.items():
        with pytest.raises(kind, match=message):
            docker_stage.handler(endpoint, auth=auth).describe(["t-1"])
    with pytest.raises(PermanentError, match="does not speak TLS"):
        docker_stage.handler(docker_stage.proxy.tcp_endpoint, auth=good).describe(["t-1"])


@pytest.mark.parametrize(("status", "kind"), [(200, PermanentError), (404, PermanentError), (502, TransientError)])
def test_a_web_page_is_no_answer_of_an_engine(docker_stage, order, status, kind):
    docker_stage.proxy.set_rules([Rule("html", status=status)])
    for act in (
        lambda handler: handler.create(order()),
        lambda handler: handler.describe(["t-1"]),
        lambda handler: list(handler.list_owned(Owner("here"))),
    ):
        with pytest.raises(kind, match=r"answered.* not as Docker does: is resource\.endpoint that of an engine\?"):
            act(docker_stage.handler())


def test_an_answer_that_drips_ends_in_time(docker_stage, order):
    handler = docker_stage.handler(timeout=1.0)
    docker_stage.handler().create(order())
    docker_stage.proxy.set_rules([Rule("drip")])
    with pytest.raises(TransientError, match="no answer within 1 s"):
        handler.describe(["t-1"])


def test_an_unreachable_endpoint(tmp_path, docker_stage):
    for endpoint in (f"unix://{tmp_path}/nothing.sock", "tcp://127.0.0.1:1"):
        with pytest.raises(TransientError, match="it cannot be reached"):
            docker_stage.handler(endpoint).describe(["t-1"])
    with pytest.raises(PermanentError, match="port is required"):
        docker_stage.handler("tcp://127.0.0.1").describe(["t-1"])


def test_too_many_calls(docker_stage):
    docker_stage.proxy.set_rules([Rule("refuse", status=429, message="later", retry_after=7)])
    with pytest.raises(ThrottledError) as refused:
        docker_stage.handler().describe(["t-1"])
    assert refused.value.retry_after == 7


def test_secrets_of_the_context_are_in_no_log(docker_stage, order, caplog):
    with caplog.at_level(logging.DEBUG):
        request = order(env=("password=hush-hush",))
        docker_stage.handler().create(request)
    assert "hush-hush" not in caplog.text + repr(request)


def test_an_engine_that_dies_during_a_call(docker_stage, order, tmp_path):
    """A proxy simulates it: the connection ends without an answer, and the next call finds the container."""
    with Proxy(docker_stage.engine.socket, tmp_path) as proxy:
        handler = docker_stage.handler(proxy.endpoint)
        proxy.set_rules([Rule("lost_reply", "^POST .*/create", count=1)])
        with pytest.raises(TransientError, match="the connection broke"):
            handler.create(order())
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(handler.create(order()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {answer.id for answer in answers} == {"t-1"}
    assert len(docker_stage.engine.containers()) == 1


def test_a_container_created_by_an_incompletely_answered_call_is_found(stage, order):
    handler = stage.handler()
    stage.proxy.set_rules([Rule("cut_reply", r"^POST .*/create\b", count=1)])
    with pytest.raises(TransientError, match="answered, not as Docker does") as raised:
        handler.create(order())
    assert not raised.value.unreached
    assert len(stage.engine.containers()) == 1
    assert made(handler, order())[0].state is InstanceState.READY
    assert len(stage.engine.containers()) == 1


def test_an_incomplete_list_is_requested_again(stage, order):
    handler = stage.handler()
    handler.create(order())
    stage.proxy.set_rules([Rule("cut_reply", "^GET .*/containers/json")])
    for look in (lambda: handler.describe(["t-1"]), lambda: list(handler.list_owned(Owner("here")))):
        with pytest.raises(TransientError):
            look()


FOREIGN = [
    "<html><body>Welcome</body></html>",
    " ",
    "{}",
    "null",
    "true",
    '"OK"',
    "[{}]",
    '{"Id": null}',
    '[{"Id": "x"}]',
]


@pytest.mark.parametrize("body", FOREIGN)
def test_an_answer_of_a_gateway_leaves_the_outcome_unknown(stage, order, body):
    """A gateway forwarded the call: no container is made twice, and none is considered absent."""
    handler = stage.handler()
    made = handler.create(order())
    stage.proxy.set_rules([Rule("foreign_reply", "^(POST .*/create|GET .*/containers/json)", message=body)])
    acts = [
        lambda: handler.create(order("t-2")),
        lambda: handler.describe([made.id]),
        lambda: list(handler.list_owned(Owner("here"))),
        lambda: handler.delete([made.id]),
    ]
    for act in acts:
        with pytest.raises(TransientError) as caught:
            act()
        assert not caught.value.unreached
    stage.proxy.set_rules([])
    again = handler.create(order("t-2"))
    assert {each.id for each in handler.list_owned(Owner("here"))} == {made.id, again.id}
    assert len(stage.engine.containers()) == 2
