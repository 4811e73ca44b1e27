"""Requests to an engine, and descriptions that are refused without a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from occopus_core.api import PermanentError
from occopus_resource_docker import DockerHandler
from occopus_resource_docker import order as module


@pytest.fixture
def check(stageless):
    return stageless.check


@pytest.fixture
def stageless():
    """A handler that makes no calls."""
    from occopus_core.api import Connection  # noqa: PLC0415

    return DockerHandler(Connection("docker", {"endpoint": "unix:///nowhere.sock"}, {}))


@pytest.mark.parametrize(
    ("resource", "image"),
    [
        ({"image": "nginx"}, module.Image("nginx:latest")),
        ({"image": "nginx", "tag": "1.27"}, module.Image("nginx:1.27")),
        ({"image": "nginx", "tag": 1.27, "origin": "dockerhub"}, module.Image("nginx:1.27")),
        ({"image": "nginx:1.27"}, module.Image("nginx:1.27")),
        ({"image": "host:5000/team/web"}, module.Image("host:5000/team/web:latest")),
        ({"image": "web@sha256:0a", "origin": ""}, module.Image("web@sha256:0a")),
        ({"image": "web", "origin": "local"}, module.Image("web:latest", local=True)),
    ],
)
def test_images(resource, image):
    assert module.image(resource) == image


def test_a_minimal_request(order):
    assert module.container(order(command=None)) == {
        "name": "t-1",
        "image": "tiny:1",
        "command": None,
        "environment": [],
        "labels": {
            "occopus.installation": "here",
            "occopus.infra_id": "shop",
            "occopus.node_name": "web",
            "occopus.node_id": "id-t-1",
            "occopus.token": "t-1",
            "occopus.network": "",
        },
        "ports": [],
        "volumes": [],
    }
    assert module.host(order().resource) == {}


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        ({"ports": ["8080:80"]}, {"port_bindings": {"80": ["8080"]}}),
        ({"ports": [80]}, {"port_bindings": {"80": [None]}}),
        ({"ports": ["127.0.0.1:53:53/udp"]}, {"port_bindings": {"53/udp": [("127.0.0.1", "53")]}}),
        ({"volumes": ["data:/data", "/tmp"]}, {"binds": ["data:/data"]}),
        ({"network": "backend"}, {"network_mode": "backend"}),
        ({"network_mode": "host"}, {"network_mode": "host"}),
        ({"network_mode": "host", "network": "backend"}, {"network_mode": "backend"}),
        ({"restart": "always"}, {"restart_policy": {"Name": "always", "MaximumRetryCount": 0}}),
        ({"restart": "on-failure:3"}, {"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
        ({"restart": False}, {}),
        ({"restart": "no"}, {}),
        ({"mem_limit": "512m"}, {"mem_limit": 512 << 20}),
        ({"mem_limit": 1024}, {"mem_limit": 1024}),
        ({"cpus": "0.5"}, {"nano_cpus": 500_000_000}),
        ({"cpus": 2}, {"nano_cpus": 2_000_000_000}),
    ],
)
def test_every_key_becomes_a_setting(order, check, resource, host):
    assert set(resource) <= set(DockerHandler.schema()["properties"])
    assert module.host(order(**resource).resource) == host
    check(order(**resource))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'sleep 1'", ["sh", "-c", "sleep 1"]),
        (("sh", "-c", "sleep 1"), ["sh", "-c", "sleep 1"]),
        ("", None),
        (None, None),
    ],
)
def test_commands_are_split_into_words(order, command, words):
    assert module.container(order(command=command))["command"] == words


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"image": "web:1", "tag": "2"}, "resource.tag: the image 'web:1' has a tag or a digest already"),
        ({"origin": "ftp://x/y.tar"}, "resource.origin must be 'dockerhub', 'local' or an http(s) URL"),
        ({"origin": "https://x/y z.tar"}, "or an http(s) URL without spaces and quotes"),
        ({"ports": ["80:http"]}, 'resource.ports: Invalid port "80:http"'),
        ({"ports": ["80-82:80-81"]}, "resource.ports: Port ranges don't match in length"),
        ({"restart": "sometimes"}, "resource.restart must be 'no', 'always'"),
        ({"restart": "always:3"}, "resource.restart must be"),
        ({"restart": True}, "resource.restart must be"),
        ({"mem_limit": "much"}, "resource.mem_limit: "),
        ({"mem_limit": 0}, "resource.mem_limit must be more than nothing"),
        ({"cpus": "nan"}, "resource.cpus must be a number from 1e-9 to 9e9, not 'nan'"),
        ({"ports": ["70-60"]}, "resource.ports: '70-60': ports are from 1 to 65535, and ranges ascend"),
        ({"ports": ["90-80:70-60"]}, "resource.ports: '90-80:70-60': ports"),
        ({"ports": ["80", "999999:1"]}, "resource.ports: '999999:1': ports"),
        ({"ports": ["65536"]}, "resource.ports: '65536': ports"),
        ({"ports": ["127.0.0.1:0:80"]}, "resource.ports: '127.0.0.1:0:80': ports"),
        ({"ports": ["1-4000000000"]}, "resource.ports: '1-4000000000': ports"),
        ({"ports": [10**5000]}, "resource.ports: "),
        ({"restart": "on-failure:2147483648"}, "with at most 2147483647 times"),
        ({"restart": f"on-failure:{'9' * 5000}"}, "resource.restart must be"),
        ({"mem_limit": f"{'9' * 30}g"}, "resource.mem_limit must be more than nothing and below 8 EiB"),
        ({"mem_limit": "8589934592g"}, "resource.mem_limit must be"),
        ({"mem_limit": f"{'9' * 5000}g"}, "resource.mem_limit: "),
        ({"cpus": 1.0e300}, "resource.cpus must be"),
        ({"cpus": "1e308"}, "resource.cpus must be"),
        ({"cpus": 1e-12}, "resource.cpus must be"),
        ({"cpus": "9" * 5000}, "resource.cpus"),
        ({"cpus": "two"}, "resource.cpus: could not convert"),
        ({"command": "sh -c 'unfinished"}, "contextualisation.command: a quotation in it is not closed"),
    ],
)
def test_invalid_values_are_refused_without_a_call(order, check, resource, words):
    with pytest.raises(PermanentError) as refused:
        check(order(**{"tag": None, **resource}))
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


def test_the_name_of_an_imported_image_depends_only_on_its_url():
    first, same, other = (
        module.image({"image": image, "origin": url})
        for image, url in (("nginx:1.27", "https://x/y.tar"), ("web", "https://x/y.tar"), ("web", "https://x/z.tar"))
    )
    assert first == same
    assert first.url == "https://x/y.tar"
    assert first.reference.startswith("occopus.invalid/origin:")
    assert first.reference != other.reference


def test_the_guide_states_the_seconds_that_a_container_has_to_stop():
    guide = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"(default: {DockerHandler.stop_seconds:g}; `0`" in guide
    assert f"has `stop_seconds` ({DockerHandler.stop_seconds:g} s) to stop" in guide
