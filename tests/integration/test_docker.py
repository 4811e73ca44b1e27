"""The commands on Docker's engine and on Podman's: a life cycle, mistakes as one line each, and other clouds."""

from __future__ import annotations

import importlib.util
import json
import signal
from contextlib import ExitStack

import pytest
import yaml

from occopus_resource_docker.testing import DockerEngine, Network, PodmanEngine, Proxy, Registry, Rule, missing

pytestmark = pytest.mark.integration

INFRASTRUCTURE = """\
infra_name: docker-ping
user_id: somebody@example.org
nodes:
  - &R
    name: ping-receiver
    type: docker_ping_receiver_node
    variables:
      message: "Hello World! I am the receiver node."
  - &S
    name: ping-sender
    type: docker_ping_sender_node
    scaling: {min: 1, max: 3}
dependencies:
  - [*S, *R]
"""
DEFINITIONS = """\
'node_def:docker_ping_receiver_node':
  -
    resource:
      type: docker
      endpoint: %(endpoint)s
      origin: %(receiver)s
      image: busybox_helloworld
      tag: latest
    contextualisation:
      type: docker
      env: ["message={{variables.message}}"]
      command: "sh -c /root/start.sh"
    health_check:
      ping: True

'node_def:docker_ping_sender_node':
  -
    resource:
      type: docker
      endpoint: %(endpoint)s
      origin: %(sender)s
      image: busybox_ping
      tag: latest
    contextualisation:
      type: docker
      env: ["target_ip={{getip('ping-receiver')}}"]
      command: "sh -c /root/start.sh"
    health_check:
      ping: False
"""
SCRIPTS = {
    "receiver": '#!/bin/sh\necho "$message"\nexec sleep 100000\n',
    "sender": '#!/bin/sh\nping -c 1 "$target_ip"\nexec sleep 100000\n',
}


class Stage:
    """An engine, a proxy before it, and a registry."""

    def __init__(self, name, stack, folder):
        network = stack.enter_context(Network())
        self.registry = stack.enter_context(Registry(network.address))
        for part, script in SCRIPTS.items():
            self.registry.publish(f"/{part}.tar", {"root/start.sh": script})
        kind = DockerEngine(network) if name == "docker" else PodmanEngine(network, [self.registry.address])
        self.engine = stack.enter_context(kind)
        self.proxy = stack.enter_context(Proxy(self.engine.socket, folder))

    @property
    def values(self):
        images = {part: f"http://{self.registry.address}/{part}.tar" for part in SCRIPTS}
        return {"endpoint": self.proxy.endpoint, **images}

    def running(self):
        return [each for each in self.engine.containers() if each["State"] == "running"]

    def of(self, node):
        return [each["Id"] for each in self.running() if each["Labels"]["occopus.node_name"] == node]

    def said(self, id):
        return self.engine.client().logs(id).decode()

    def resource(self, **more):
        settings = {"type": "docker", "endpoint": self.proxy.endpoint, "image": "tiny", "tag": "1", "origin": "local"}
        return {**settings, **more}


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    started = {}
    with ExitStack() as stack:

        def stage(name):
            if lacking := missing(*{"docker": DockerEngine, "podman": PodmanEngine}[name].programs):
                pytest.skip(lacking)
            if name not in started:
                started[name] = Stage(name, stack, tmp_path_factory.mktemp(name))
            return started[name]

        yield stage


@pytest.fixture(params=["docker", "podman"])
def stage(request, stages):
    """Each engine in turn."""
    yield stages(request.param)
    clean(stages(request.param))


@pytest.fixture
def docker(stages):
    yield stages("docker")
    clean(stages("docker"))


def clean(stage):
    stage.proxy.start()
    stage.proxy.set_rules([])
    left = stage.engine.containers()
    stage.engine.clear()
    assert left == []


def definition(*resources, timeout=60, command="sleep 100000"):
    contexts = {"docker": {"type": "docker", "command": command}}
    return [
        {
            "resource": resource,
            **({"contextualisation": contexts[resource["type"]]} if resource["type"] in contexts else {}),
            "health_check": {"ping": False, "timeout": timeout},
        }
        for resource in resources
    ]


def infrastructure(name, *types, **scaling):
    nodes = [{"name": type, "type": type, "scaling": {"min": 1, **scaling}} for type in types]
    return json.dumps({"user_id": "me", "infra_name": name, "nodes": nodes})


def test_a_life(workspace, stage, until):
    """Imported from a URL, built, reported, scaled, healed and destroyed."""
    ended = workspace.ready("import", workspace.write("nodes.yaml", DEFINITIONS % stage.values))
    assert "docker_ping_receiver_node, docker_ping_sender_node" in ended.stdout
    built = workspace.ready("build", workspace.write("infra.yaml", INFRASTRUCTURE), "-i", "ping")
    assert f"importing {stage.values['receiver']}" in built.stderr
    report = workspace.report("ping")
    (receiver,) = report["ping-receiver"]["instances"].values()
    (there,) = stage.of("ping-receiver")
    (sender,) = stage.of("ping-sender")
    until(lambda: stage.said(there) == "Hello World! I am the receiver node.\n")
    until(lambda: "1 packets received" in stage.said(sender))
    assert f"PING {receiver['resource_address']} " in stage.said(sender)

    workspace.ready("scale", "-i", "ping", "-n", "ping-sender", "-s", "3")
    workspace.ready("maintain", "-i", "ping")
    assert (len(stage.of("ping-receiver")), len(stage.of("ping-sender"))) == (1, 3)

    stage.engine.client().remove_container(sender, force=True)

    def healed():
        workspace.ready("maintain", "-i", "ping")
        return len(stage.of("ping-sender")) == 3

    until(healed)  # a missing youngest instance may only be invisible yet
    assert sender not in stage.of("ping-sender")

    workspace.ready("destroy", "-i", "ping")
    assert stage.engine.containers() == []
    assert workspace.rows("ping") == 0


def test_an_engine_that_lists_nothing_any_more_has_an_outage(workspace, stage):
    """It may have another disk: nothing is made there until a user orders it."""
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(stage.resource())})))
    description = workspace.write("infra.yaml", infrastructure("empty", "web", min=4))
    workspace.ready("build", description, "-i", "empty")
    stage.engine.clear()
    ended = workspace.run("maintain", "-i", "empty")
    assert ended.code == 1
    assert "error: all 4 instances on docker " in ended.stderr
    assert "are missing at once: this is treated as an outage" in ended.stderr
    assert stage.engine.containers() == []
    workspace.ready("build", description, "-i", "empty", "--parallelize")
    assert len(stage.running()) == 4
    workspace.ready("destroy", "-i", "empty")


@pytest.fixture
def pulled(docker):
    """The name of the image in the registry, which the engine does not have."""
    client, image = docker.engine.client(), f"{docker.registry.address}/tiny"
    if client.images(image):
        client.remove_image(f"{image}:1", force=True)
    docker.registry.asked.clear()
    return image


def test_the_progress_of_a_pull_is_reported(workspace, docker, pulled):
    docker.registry.seconds_per_chunk = 0.1
    resource = docker.resource(image=pulled, origin="dockerhub")
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(resource)})))
    built = workspace.ready("build", workspace.write("infra.yaml", infrastructure("pull", "web", min=5)), "-i", "pull")
    docker.registry.seconds_per_chunk = 0.0
    assert f"pulling {pulled}:1: " in built.stderr
    assert docker.registry.asked["layers"] == 1, "five instances want it, and it is pulled once"
    assert len(docker.running()) == 5
    workspace.ready("destroy", "-i", "pull")


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGTERM])
def test_a_build_that_dies_during_the_pull(workspace, docker, pulled, what, until):
    """Nothing is made yet; whoever carries on has the image brought anew, and a deletion finds nothing to delete."""
    docker.registry.flowing.clear()
    resource = docker.resource(image=pulled, origin="dockerhub")
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(resource)})))
    description = workspace.write("infra.yaml", infrastructure("cut", "web"))
    with workspace.start("build", description, "-i", "cut") as build:
        for line in build.stderr:
            if "pulling" in line:
                break
        build.send_signal(what)
        build.stderr.read()
    docker.registry.flowing.set()
    if what is signal.SIGTERM:
        assert workspace.rows("cut") == 0
        return
    until(lambda: workspace.run("maintain", "-i", "cut").code == 0)
    assert len(docker.running()) == 1
    workspace.ready("destroy", "-i", "cut")


def test_an_update_whose_image_cannot_be_had_keeps_the_container(workspace, stage):
    """What a volume belongs to is deleted first, and only when its successor can be made."""
    image = f"{stage.registry.address}/tiny"

    def build(tag):
        resource = stage.resource(image=image, tag=tag, origin="dockerhub", volumes=["kept:/kept"])
        nodes = workspace.write("nodes.yaml", json.dumps({"node_def:db": definition(resource)}))
        return workspace.run(
            "build", workspace.write("infra.yaml", infrastructure("kept", "db")), "--nodes", nodes, "-i", "kept"
        )

    assert build("1").code == 0
    (before,) = stage.of("db")
    failed = build("99")
    assert failed.code == 1, failed
    (line,) = [line for line in failed.complaint if line.startswith("error: ")]
    assert f"pulling {image}:99 failed: the registry {stage.registry.address} has no such image" in line
    assert stage.of("db") == [before]
    workspace.ready("maintain", "-i", "kept")
    assert stage.of("db") == [before]
    workspace.ready("destroy", "-i", "kept")
    stage.engine.client().remove_volume("kept")


def test_a_bad_day_makes_nothing_twice_and_leaves_nothing(workspace, stage):
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(stage.resource())})))
    requests = ("^POST .*/create", "^POST .*/start", "^GET .*/json", "^DELETE ")
    faults = [
        {"kind": "lost_reply"},
        {"kind": "refuse", "status": 500, "message": "an internal error"},
        {"kind": "refuse", "status": 429, "message": "too many", "retry_after": 1},
        {"kind": "html", "status": 502},
    ]
    stage.proxy.set_rules([Rule(request=request, count=2, **fault) for request in requests for fault in faults])
    description = workspace.write("infra.yaml", infrastructure("bad-day", "web", min=8))
    workspace.ready("build", description, "-i", "bad-day", "--parallelize")
    made = [each["Labels"]["occopus.token"] for each in stage.engine.containers()]
    assert len(set(made)) == len(made) == 8
    workspace.ready("destroy", "-i", "bad-day")


@pytest.mark.parametrize(("how", "restart"), [(signal.SIGTERM, "no"), (signal.SIGKILL, "always")])
def test_an_engine_restarted_during_a_build_and_during_maintenance(workspace, docker, how, restart, until):
    """The build goes on; what ended with the engine comes back or is made anew: nothing is made twice or left."""
    resource = docker.resource(endpoint=docker.engine.endpoint, restart=restart)
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(resource)})))
    description = workspace.write("infra.yaml", infrastructure("anew", "web", min=8))

    def tokens(containers):
        return sorted(each["Labels"]["occopus.token"] for each in containers)

    def complete():
        rows = workspace.query("SELECT token, stage FROM instances WHERE infra_id = 'anew'")
        return sorted(rows) == [(token, "ready") for token in tokens(docker.running())] and len(rows) == 8

    def well():
        return complete() and not workspace.query("SELECT 1 FROM instances WHERE unhealthy_since IS NOT NULL")

    def start_anew():
        docker.engine.stop(how)
        docker.engine.start()

    build = workspace.start("build", description, "-i", "anew")
    until(lambda: len(docker.engine.containers()) >= 3)
    start_anew()
    ended = workspace.end(build)
    assert ended.code == 0, ended
    made = tokens(docker.engine.containers())
    assert len(set(made)) == len(made) == 8

    maintenance = workspace.start("maintain", "-c", "-i", "anew", "-t", "1", "--parallelize")
    try:
        until(complete)  # instances that did not come back with the engine have been healed
        start_anew()
        if restart == "always":
            until(well)
        else:
            until(docker.running)  # the engine itself says that they stopped: no outage, healed one after another
    finally:
        maintenance.send_signal(signal.SIGTERM)
        stopped = workspace.end(maintenance)
    assert (stopped.code, "Traceback" in stopped.stderr) == (0, False)
    if restart == "no":  # an explicit order does not wait for the budget and the back-off of healing
        workspace.ready("build", description, "-i", "anew", "--parallelize")
    assert complete()
    assert tokens(docker.engine.containers()) == tokens(docker.running()), "what was replaced is gone"
    workspace.ready("destroy", "-i", "anew")
    assert docker.engine.containers() == []


MISTAKES = {
    "image": ({"image": "nothing"}, "the engine has no image 'nothing:1', and resource.origin is 'local'"),
    "pull": ({"image": "{registry}/nothing", "origin": "dockerhub"}, "(manifest unknown) (resource.image)"),
    "network": ({"network": "nowhere"}, "(resource.network)"),
    "volume": ({"volumes": ["./relative:/x"]}, "(resource.volumes)"),
    "refused": (
        {"endpoint": "tcp://127.0.0.1:1"},
        "not created within 1 s: Docker engine tcp://127.0.0.1:1: it cannot be reached",
    ),
    "html": ({"endpoint": "{html}"}, "not as Docker does: is resource.endpoint that of an engine?"),
    "hang": ({"endpoint": "{hang}"}, "not created within 1 s: Docker engine {hang}: no answer within 30 s"),
}


def test_mistakes_and_outages_are_one_line_each(workspace, stage, tmp_path):
    """Side by side, as most of the time is waiting: for a time limit, or for what a refused call may have made."""
    with ExitStack() as stack:
        odd = {}
        for name in ("html", "hang"):
            (tmp_path / name).mkdir()
            odd[name] = stack.enter_context(Proxy(stage.engine.socket, tmp_path / name))
        odd["html"].set_rules([Rule("html", status=200)])
        odd["hang"].set_rules([Rule("hang", "^POST ")])
        values = {"registry": stage.registry.address, **{name: proxy.tcp_endpoint for name, proxy in odd.items()}}
        definitions = {}
        for name, (wrong, _) in MISTAKES.items():
            more = {key: value.format(**values) if isinstance(value, str) else value for key, value in wrong.items()}
            resource = stage.resource(name=f"my-{name}", **more)
            definitions[f"node_def:{name}"] = definition(resource, timeout=1 if name in ("refused", "hang") else 60)
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
        builds = {
            name: workspace.start("build", workspace.write(f"{name}.yaml", infrastructure(name, name)), "-i", name)
            for name in MISTAKES
        }
        for name, (_, words) in MISTAKES.items():
            ended = workspace.end(builds[name])
            assert ended.code == 1, (name, ended)
            (line,) = [line for line in ended.complaint if line.startswith("error: ")]
            assert line.startswith(f"error: node '{name}' (my-{name}): "), line
            assert words.format(**values) in line
            assert workspace.rows(name) == 0
    assert stage.engine.containers() == []


def test_invalid_values_are_reported_before_any_call(workspace, docker):
    resources = {
        "a": {"ports": ["80:http"]},
        "b": {"restart": "sometimes"},
        "c": {"origin": "ftp://example.org/x.tar"},
    }
    definitions = {f"node_def:{name}": definition(docker.resource(**more)) for name, more in resources.items()}
    before = len(docker.proxy.requests)
    ended = workspace.run("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    assert ended.code != 0
    assert [word for word in ("restart", "origin") if word in ended.stderr] == ["restart", "origin"]
    alone = workspace.write("ports.yaml", json.dumps({"node_def:a": definitions["node_def:a"]}))
    ended = workspace.run("import", alone)
    assert ended.code != 0
    assert "resource.ports: Invalid port" in ended.stderr
    assert len(docker.proxy.requests) == before


def test_a_former_key_is_warned_of(workspace, docker):
    resource = docker.resource(network_mode="bridge")
    ended = workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": definition(resource)})))
    assert "network_mode" in ended.stderr
    assert "give 'network' in its place" in ended.stderr


# With other clouds


@pytest.fixture(scope="session")
def ec2_process():
    absent = [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(
            f"{absent[0]} is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus"
        )
    from occopus_resource_ec2.testing import Ec2Cloud  # noqa: PLC0415

    with Ec2Cloud() as cloud:
        yield cloud


@pytest.fixture
def ec2(ec2_process, workspace):
    """An EC2 without instances, and the user's keys for it."""
    from occopus_resource_ec2 import testing  # noqa: PLC0415

    ec2_process.reset()
    keys = {"accesskey": testing.ACCESS_KEY, "secretkey": testing.SECRET_KEY}
    auth_data = workspace.home / ".occopus" / "auth_data.yaml"
    auth_data.parent.mkdir()
    auth_data.write_text(json.dumps({"resource": [{"type": "ec2", "auth_data": keys}]}))
    auth_data.chmod(0o600)
    return ec2_process


def machine(ec2, **more):
    from occopus_resource_ec2 import testing  # noqa: PLC0415

    settings = {"endpoint": ec2.endpoint, "regionname": testing.REGION, "image_id": testing.IMAGE}
    return {"type": "ec2", "instance_type": "t3.micro", **settings, **more}


def test_one_description_on_three_clouds(workspace, docker, ec2):
    nodes = [{"name": name, "type": name} for name in ("container", "machine", "process")]
    description = {
        "user_id": "me",
        "infra_name": "hybrid",
        "nodes": nodes,
        "dependencies": [["container", "machine"], ["machine", "process"]],
    }
    local = {"resource": {"type": "local"}, "health_check": {"timeout": 60}}
    local["contextualisation"] = {"type": "docker", "command": "sleep 100000"}
    container = definition(docker.resource())
    container[0]["contextualisation"] = {
        "type": "docker",
        "env": ["machine={{ getip('machine') }}", "process={{ getip('process') }}"],
        "command": "sleep 100000",
    }
    definitions = {
        "node_def:container": container,
        "node_def:machine": definition(machine(ec2)),
        "node_def:process": [local],
    }
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    workspace.ready("build", workspace.write("infra.yaml", json.dumps(description)), "-i", "hybrid")
    addresses = {
        name: next(iter(node["instances"].values()))["resource_address"]
        for name, node in workspace.report("hybrid").items()
    }
    (there,) = docker.running()
    environment = docker.engine.client().inspect_container(there["Id"])["Config"]["Env"]
    assert {f"machine={addresses['machine']}", f"process={addresses['process']}"} <= set(environment)
    assert len(ec2.inventory()) > 0
    workspace.ready("destroy", "-i", "hybrid")
    assert ec2.inventory() == []
    assert workspace.rows("hybrid") == 0


def test_where_the_first_cloud_is_full_the_second_takes_over_and_the_log_says_why(workspace, docker, ec2):
    """Sixteen instances, each of which would try either cloud first: EC2 is asked once, and then left alone."""
    full = {"kind": "refuse", "action": "RunInstances", "status": 400, "code": "VcpuLimitExceeded"}
    ec2.set_faults([{**full, "message": "You have requested more vCPU capacity than your limit of 0 allows"}])
    ways = definition(machine(ec2, name="my-ec2"), docker.resource(name="my-docker"))
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:web": ways})))
    description = workspace.write("infra.yaml", infrastructure("full", "web", min=16))
    built = workspace.ready("build", description, "-i", "full")
    assert len(docker.running()) == 16
    reported = [line for line in built.complaint if line.startswith("node moved web")]
    asked = [line for line in reported if ": EC2 " in line and "lately" not in line]
    passed_over = [line for line in reported if "my-ec2 is passed over" in line]
    assert len(asked) == ec2.calls()["RunInstances"] == 1, "one instance at a time, and after the first nobody asks"
    assert all("VcpuLimitExceeded: You have requested more vCPU capacity" in line for line in reported)
    assert all(line.endswith("trying my-docker") for line in reported)
    assert len(asked + passed_over) == len(reported)
    log = workspace.ready("maintain", "-i", "full", "--events").stdout
    assert log.count("node moved") == len(reported)
    assert "VcpuLimitExceeded" in log
    workspace.ready("destroy", "-i", "full")


def test_the_example_is_built(workspace, docker, request, until):
    example = request.config.rootpath / "examples" / "docker"
    image = f"{docker.registry.address}/tiny"
    for file in example.glob("*.yaml"):
        text = file.read_text().replace("unix:///var/run/docker.sock", docker.proxy.endpoint)
        workspace.write(file.name, text.replace("image: busybox", f"image: {image}\n      tag: '1'"))
    assert all("docker.sock" not in (workspace.folder / file.name).read_text() for file in example.glob("*.yaml"))
    assert yaml.safe_load((workspace.folder / "infra.yaml").read_text())["nodes"]
    workspace.ready("import", "nodes.yaml")
    workspace.ready("build", "infra.yaml", "-i", "example")
    (reader,) = docker.of("reader")
    assert len(docker.of("web")) == 2
    for web in workspace.report("example")["web"]["instances"].values():
        until(lambda web=web: f"{web['resource_address']}: Hello from" in docker.said(reader))
    workspace.ready("destroy", "-i", "example")


@pytest.mark.parametrize("restart", ["no", "on-failure"])
def test_why_a_node_failed(workspace, docker, restart):
    """The exit code and the last output: in the event, and at the end of the build, which removed the container."""
    crash = "sh -c 'echo cannot open the database >&2; exit 3'"
    definitions = {"node_def:crash": definition(docker.resource(restart=restart), timeout=8, command=crash)}
    definitions["node_def:crash"][0]["health_check"]["ports"] = [80]
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    ended = workspace.run("build", workspace.write("infra.yaml", infrastructure("crash", "crash")), "-i", "crash")
    assert ended.code == 1
    error = ended.stderr[ended.stderr.index("\nerror: node 'crash'") :]
    assert "it exited with code 3" in error
    assert "; its last output:\n    cannot open the database\n" in error
    assert ("8 s" in error) == (restart == "on-failure"), "one that is not restarted is a failure at once"
    assert docker.engine.containers() == []
    events = workspace.ready("maintain", "-i", "crash", "--events").stdout
    assert "; its last output:\n    cannot open the database\n" in events


def test_what_ends_soon_is_not_ready(workspace, docker):
    """With `min_ready_seconds` a build fails where a container ends, once or again and again."""
    ends = {"crash": ("always", "sh -c 'sleep 0.3; echo no database >&2; exit 1'"), "once": ("no", "echo hi")}
    for name, (restart, command) in {**ends, "runs": ("always", "sleep 100000")}.items():
        made = definition(docker.resource(restart=restart), timeout=6, command=command)
        made[0]["health_check"]["min_ready_seconds"] = 1
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps({f"node_def:{name}": made})))
        ended = workspace.run("build", workspace.write("infra.yaml", infrastructure(name, name)), "-i", name)
        assert ended.code == (1 if name in ends else 0), ended.stderr
        if name == "crash":
            assert "not ready within 6 s: " in ended.stderr
            assert "; its last output:\n    no database\n" in ended.stderr
        elif name == "once":
            assert "it completed: its process exited with code 0" in ended.stderr
        assert len(docker.engine.containers()) == (0 if name in ends else 1)
    workspace.ready("destroy", "-i", "runs")


HELD = ["the host port 18080/tcp", "the volume occopus-test"]


def exclusive(workspace, stage, number=1, **more):
    """The description of a node that publishes a port of the host and has a volume with a name."""
    resource = stage.resource(ports=["127.0.0.1:18080:80"], volumes=["occopus-test:/data"], stop_seconds=0, **more)
    command = f"sh -c 'echo {number}; exec sleep 100000'"
    nodes = json.dumps({"node_def:proxy": definition(resource, command=command)})
    workspace.ready("import", workspace.write("nodes.yaml", nodes))
    return workspace.write("infra.yaml", infrastructure("held", "proxy"))


def test_a_published_port_is_given_up_before_it_is_taken(workspace, stage):
    """By an update, by `--replace`, and where maintenance heals a container that is paused."""
    description = exclusive(workspace, stage)
    workspace.ready("build", description, "-i", "held")
    (first,) = stage.of("proxy")

    description = exclusive(workspace, stage, 2)
    plan = workspace.ready("build", description, "-i", "held", "--plan").stdout
    assert f"(it is deleted first: it holds {' and '.join(HELD)})" in plan
    workspace.ready("build", description, "-i", "held", "-y")
    (second,) = stage.of("proxy")
    assert (stage.said(second), second != first) == ("2\n", True)

    workspace.ready("build", description, "-i", "held", "--replace", "proxy", "-y")
    (third,) = stage.of("proxy")
    assert third != second

    stage.engine.client().pause(third)
    healed = workspace.run("maintain", "-i", "held")
    (fourth,) = stage.of("proxy")
    assert fourth != third, healed.stderr
    workspace.ready("destroy", "-i", "held")
    stage.engine.client().remove_volume("occopus-test")


def test_a_kill_between_the_deletion_and_the_creation(workspace, docker, until):
    """The next pass makes the new container; it carries the update on."""
    workspace.ready("build", exclusive(workspace, docker), "-i", "held")
    description = exclusive(workspace, docker, 2)
    docker.proxy.set_rules([Rule("hang", "^POST .*/create")])
    with workspace.start("build", description, "-i", "held", "-y") as build:
        for line in build.stderr:
            if "node dropped" in line:
                break
        build.send_signal(signal.SIGKILL)
        build.stderr.read()
    assert docker.engine.containers() == []
    docker.proxy.set_rules([])
    until(lambda: workspace.run("maintain", "-i", "held").code == 0)
    (made,) = docker.of("proxy")
    until(lambda: docker.said(made) == "2\n")
    workspace.ready("destroy", "-i", "held")
    docker.engine.client().remove_volume("occopus-test")
