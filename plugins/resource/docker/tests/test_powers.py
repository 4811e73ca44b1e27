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
def test_what_reaches_beyond_the_container_is_told(key, value):
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
def test_a_container_by_itself_has_no_powers(section):
    assert not DockerHandler.powers({"endpoint": "tcp://engine:2376", "image": "i", "ports": ["80:80"], **section})
