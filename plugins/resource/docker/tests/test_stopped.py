"""An engine that does not run: the first calls are repeated, later creations fail; looks and deletions are repeated."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from occopus_core.api import Connection, QuotaError, TransientError
from occopus_resource_docker import DockerHandler, engine

pytestmark = [  # the library leaves unconnected sockets to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def after(monkeypatch):
    """Sets the clock of the plugin to a number of seconds."""

    def after(seconds):
        monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: 1000.0 + seconds))

    after(0)
    return after


def handler(endpoint):
    return DockerHandler(Connection("docker", {"endpoint": endpoint}, {}))


def breaks(*_arguments, **_options):
    raise ConnectionResetError


@pytest.mark.parametrize("left", [False, True], ids=["no such socket", "a socket without a server"])
def test_a_creation_fails_after_the_time_of_a_restart(tmp_path, order, after, left):
    path = tmp_path / "docker.sock"
    if left:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    stopped = handler(f"unix://{path}")
    for seconds in (0, 9.9):
        after(seconds)
        with pytest.raises(TransientError, match="cannot be reached"):
            stopped.create(order())
    after(10)
    with pytest.raises(QuotaError, match=r"start the engine \(systemctl start docker\)") as raised:
        stopped.create(order())
    assert raised.value.unreached
    for ask in (stopped.describe, stopped.delete):
        with pytest.raises(TransientError):
            ask(["t-1"])


def test_the_time_begins_again_when_the_engine_was_reached(tmp_path, order, after, monkeypatch):
    restarted = handler(f"unix://{tmp_path}/docker.sock")
    with pytest.raises(TransientError):
        restarted.create(order())
    after(8)
    with monkeypatch.context() as reached:
        reached.setattr(engine, "APIClient", breaks)
        with pytest.raises(TransientError, match="the connection broke"):
            restarted.describe(["t-1"])
    for seconds in (9, 18):
        after(seconds)
        with pytest.raises(TransientError):
            restarted.create(order())


def test_an_engine_on_another_machine_may_be_away_for_longer(order, after):
    away = handler("tcp://127.0.0.1:1")
    for seconds in (0, 100):
        after(seconds)
        with pytest.raises(TransientError, match="nothing listens"):
            away.create(order())
