"""Resources in a section that only one container at a time can have."""

from __future__ import annotations

import pytest

from occopus_resource_docker.handler import DockerHandler


@pytest.mark.parametrize(
    ("port", "names"),
    [
        ("8000:80", ["the host port 8000/tcp"]),
        ("127.0.0.1:8000:80", ["the host port 8000/tcp"]),
        ("[::1]:8000:80", ["the host port 8000/tcp"]),
        ("5353:53/udp", ["the host port 5353/udp"]),
        ("8000-8001:80-81", ["the host port 8000/tcp", "the host port 8001/tcp"]),
        ("80", []),
        (80, []),
        ("127.0.0.1::80", []),
        ("80-81", []),
        ("{{ variables.port }}:80", []),
        ("{{ variables.port }}", []),
        ("9-1:80", []),
        ("::", []),
        ("", []),
    ],
)
def test_a_published_port_with_a_fixed_number(port, names):
    assert DockerHandler.exclusive({"ports": [port]}) == names


@pytest.mark.parametrize(
    ("port", "names"),
    [
        ("8000:80", ["the host port 8000/tcp"]),
        ("0.0.0.0:8000:80", ["the host port 8000/tcp"]),
        ("127.0.0.1:8000:80", ["the host port 127.0.0.1:8000/tcp"]),
        ("[::1]:5353:53/udp", ["the host port [::1]:5353/udp"]),
        ("8000-8001:80-81", ["the host port 8000/tcp", "the host port 8001/tcp"]),
        ("8000-8001:80", []),
        ("80", []),
        ("127.0.0.1::80", []),
        ("80-81", []),
        ("{{ variables.port }}:80", []),
        ("9-1:80", []),
        ("::", []),
        ("", []),
    ],
)
def test_a_published_port_that_no_second_container_gets(port, names):
    assert DockerHandler.unshared({"ports": [port], "volumes": ["data:/var/lib/data"]}) == names


@pytest.mark.parametrize(
    ("volume", "names"),
    [
        ("data:/var/lib/data", ["the volume data"]),
        ("data:/var/lib/data:rw,z", ["the volume data"]),
        ("data:/var/lib/data:ro", []),
        ("data:/var/lib/data:z,ro", []),
        ("/srv/www/:/www", ["the folder /srv/www"]),
        ("/srv/www:/www:ro", []),
        ("/var/lib/data", []),
    ],
)
def test_a_writable_volume(volume, names):
    assert DockerHandler.exclusive({"volumes": [volume]}) == names


@pytest.mark.parametrize("section", [{}, {"ports": None}, {"ports": "80:80", "volumes": {"a": "b"}}])
def test_values_that_are_no_lists_are_ignored(section):
    assert DockerHandler.exclusive(section) == []


def test_each_is_named_once():
    section = {"ports": ["127.0.0.1:80:80", "127.0.0.2:80:80"], "volumes": ["data:/a", "data:/b"]}
    assert DockerHandler.exclusive(section) == ["the host port 80/tcp", "the volume data"]
