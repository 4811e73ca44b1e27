"""Both engines, each behind a proxy, and a registry; handlers and requests for them."""

from __future__ import annotations

import gc
import importlib.util
from contextlib import ExitStack

import pytest

from occopus_core.api import Context, CreateRequest, Owner
from occopus_resource_docker.testing import DockerEngine, Network, PodmanEngine, Proxy, Registry, missing
from occopus_resource_docker.testing.harness import Stage

ENGINES = ("docker", "podman")


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    """Starts each engine when it is first needed."""
    started = {}
    with ExitStack() as stack:

        def start(name):
            kind = {"docker": DockerEngine, "podman": PodmanEngine}[name]
            if lacking := missing(*kind.programs):
                pytest.skip(lacking)
            if "network" not in started:
                started["network"] = stack.enter_context(Network())
                address = started["network"].address
                started["registries"] = [
                    stack.enter_context(Registry(address, private=private)) for private in (False, True)
                ]
            network, registries = started["network"], started["registries"]
            engine = stack.enter_context(
                DockerEngine(network, tls=certificates(tmp_path_factory, network))
                if name == "docker"
                else PodmanEngine(network, [registry.address for registry in registries])
            )
            proxy = stack.enter_context(Proxy(engine.socket, tmp_path_factory.mktemp(name)))
            return Stage(engine, proxy, *registries)

        def stage(name):
            if name not in started:
                started[name] = start(name)
            return started[name]

        yield stage


def certificates(tmp_path_factory, network):
    if importlib.util.find_spec("trustme") is None:
        pytest.skip(
            "trustme is not installed: pip install './plugins/resource/docker[testing]' in a checkout of Occopus"
        )
    import trustme  # noqa: PLC0415

    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, identity in (("server", network.engines_address), ("client", "somebody@example.org")):
        issued = authority.issue_cert(identity)
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
    return folder / "ca.pem", folder / "server.pem", folder / "server-key.pem"


@pytest.fixture(autouse=True)
def released():
    """Collect garbage: the library leaves unconnected sockets to the garbage collector, which warns about them."""
    yield
    gc.collect()


@pytest.fixture(params=ENGINES)
def stage(request, stages):
    """Each engine in turn, emptied."""
    yield clean(stages(request.param))
    stages(request.param).engine.clear()


@pytest.fixture
def docker_stage(stages):
    """Docker's engine only."""
    yield clean(stages("docker"))
    stages("docker").engine.clear()


def clean(stage):
    stage.proxy.start()
    stage.proxy.set_rules([])
    return stage


@pytest.fixture
def order():
    """Makes requests."""

    def order(token="t-1", *, installation="here", infra="shop", node="web", env=(), command="sleep 1000", **resource):
        owner = Owner(installation, infra, node, f"id-{token}")
        section = {
            "type": "docker",
            "endpoint": "unix:///x",
            "image": "tiny",
            "tag": "1",
            "origin": "local",
            **resource,
        }
        return CreateRequest(token, owner, section, Context(env=env, command=command))

    return order
