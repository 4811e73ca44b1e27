from __future__ import annotations

import pytest

from occopus_resource_docker import DockerHandler


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"endpoint": "unix:///var/run/docker.sock"}, "docker exec -it occopus-1 sh"),
        ({"endpoint": "tcp://engine:2375"}, "docker -H tcp://engine:2375 exec -it occopus-1 sh"),
        ({"endpoint": "unix:///a;b"}, "docker -H 'unix:///a;b' exec -it occopus-1 sh"),
    ],
)
def test_the_way_in_is_a_shell_in_the_container(settings, command):
    assert DockerHandler.way_in(settings, "occopus-1") == command
