from __future__ import annotations

import pytest

from occopus_resource_docker import DockerHandler


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volumes", ["/:/host"]),
        ("volumes", ["/srv/data", "/etc:/etc:ro"]),
        ("volumes", ["data:/var/lib/data"]),
        ("volumes", ["{{ variables.volume }}"]),
        ("volumes", ["/{{ variables.volume }}"]),
        ("volumes", ["{% if true %}/:/host{% endif %}"]),
        ("volumes", ["../x"]),
        ("network", "host"),
        ("network", "Host"),
        ("network", "container:db"),
        ("network", "ns:/proc/1/ns/net"),
        ("network", "{{ variables.network }}"),
        ("network_mode", "host"),
    ],
)
def test_powers_beyond_the_container_are_named(key, value):
    (power,) = DockerHandler.powers({"endpoint": "tcp://engine:2376", "image": "i", key: value})
    assert power.startswith(f"{key}: '")


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"volumes": ["/var/lib/data", "/srv"]},
        {"network": "backend"},
        {"network": "none"},
        {"network_mode": "bridge"},
    ],
)
def test_a_plain_container_has_no_powers(section):
    assert not DockerHandler.powers({"endpoint": "tcp://engine:2376", "image": "i", "ports": ["80:80"], **section})


@pytest.mark.parametrize(
    ("section", "source"),
    [
        ({"image": "nginx", "origin": "http://10.77.6.1:8998/fs.tar"}, "http://10.77.6.1:8998/fs.tar"),
        ({"image": "nginx", "origin": "{{ variables.where }}"}, "{{ variables.where }}"),
        ({"image": "127.0.0.1:8999/x"}, "127.0.0.1:8999"),
        ({"image": "registry.example.org/team/web", "origin": "dockerhub"}, "registry.example.org"),
        ({"image": "localhost/x"}, "localhost"),
        ({"image": "HOST/x"}, "HOST"),
        ({"image": "{{ variables.image }}"}, "{{ variables.image }}"),
        ({"image": "{% if true %}127.0.0.1:1/x{% endif %}"}, "{% if true %}127.0.0.1:1/x{% endif %}"),
        ({"image": "evil.invalid/{{ x }}"}, "evil.invalid/{{ x }}"),
    ],
)
def test_foreign_sources_of_images(section, source):
    assert DockerHandler.sources({"endpoint": "tcp://engine:2376", **section}) == (source,)


@pytest.mark.parametrize(
    "section",
    [
        {"image": "nginx"},
        {"image": "team/web", "origin": "dockerhub"},
        {"image": "docker.io/library/nginx", "origin": ""},
        {"image": "127.0.0.1:8999/x", "origin": "local"},
        {"image": "nginx:1.27@sha256:00"},
    ],
)
def test_docker_hub_and_local_images_are_no_foreign_sources(section):
    assert not DockerHandler.sources({"endpoint": "tcp://engine:2376", **section})
