"""Image pulls, with given output lines in place of an engine."""

from __future__ import annotations

import contextlib
import queue
import time

import pytest

from occopus_core.api import NotFoundError, PermanentError, TransientError
from occopus_resource_docker import pulls as module
from occopus_resource_docker.order import Image

IMAGE = Image("tiny:1")
LONGEST = 600.0


class Lines:
    """An engine whose output lines the test provides."""

    def __init__(self):
        self.asked = []
        self.said = queue.Queue()

    def bring(self, image):
        self.asked.append(image)
        return iter(self.said.get, None)


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def pulls(lines):
    yield module.Pulls(lines.bring)
    lines.said.put(None)


def until(look):
    deadline = time.monotonic() + LONGEST
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def layer(id, current, total, status="Downloading"):
    return {"id": id, "status": status, "progressDetail": {"current": current, "total": total}}


def test_a_pull_is_started_once_for_all(pulls, lines):
    assert {pulls.progress(IMAGE) for _ in range(5)} == {"pulling tiny:1"}
    assert pulls.progress(Image("other:1")) == "pulling other:1"
    assert lines.asked == [IMAGE, Image("other:1")]
    lines.said.put(None)


def test_progress_covers_all_layers_and_never_decreases(pulls, lines):
    pulls.progress(IMAGE)
    for said, percent in (
        (layer("a", 19, 100), "10 %"),
        (layer("a", 55, 100), "50 %"),
        (layer("b", 0, 900), "50 %"),
        ({"id": "a", "status": "Pull complete", "progressDetail": {}}, "50 %"),
        (layer("b", 800, 900), "90 %"),
        ({"status": "Digest: sha256:0a"}, "90 %"),
        ({"id": "b", "status": "Download complete"}, "100 %"),
    ):
        lines.said.put(said)
        until(lambda percent=percent: pulls.progress(IMAGE) == f"pulling tiny:1: {percent}")


def test_the_result_is_remembered_for_a_while(pulls, lines, monkeypatch):
    pulls.progress(IMAGE)
    lines.said.put(None)
    until(lambda: pulls._pulls[IMAGE].is_over(time.monotonic() + module._MEMORY + 1))
    pulls.progress(IMAGE)
    assert len(lines.asked) == 1
    monkeypatch.setattr(module, "_MEMORY", -1.0)
    pulls.progress(IMAGE)
    assert len(lines.asked) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotFoundError("manifest unknown"), "manifest unknown"),
        (RuntimeError("what a stranger says"), "pulling tiny:1 failed: RuntimeError"),
    ],
)
def test_all_waiting_calls_get_its_failure(error, words):
    def bring(_image):
        raise error
        yield

    pulls = module.Pulls(bring)

    def failure():
        try:
            pulls.progress(IMAGE)
        except (NotFoundError, PermanentError) as raised:
            return raised
        return None

    until(failure)
    assert str(failure()) == words
    assert type(failure()) is (NotFoundError if isinstance(error, NotFoundError) else PermanentError)


def test_the_next_attempt_reports_the_last_failure_until_there_is_progress(lines, monkeypatch):
    monkeypatch.setattr(module, "_MEMORY", -1.0)
    failing = [TransientError("the registry cannot be reached")]

    def bring(image):
        if failing:
            raise failing.pop()
        yield from lines.bring(image)

    pulls = module.Pulls(bring)
    with contextlib.suppress(TransientError):
        pulls.progress(IMAGE)
    until(lambda: pulls._pulls[IMAGE].is_over(time.monotonic()))
    assert pulls.progress(IMAGE) == "pulling tiny:1 again (the registry cannot be reached)"
    lines.said.put(layer("a", 55, 100))
    until(lambda: pulls.progress(IMAGE) == "pulling tiny:1: 50 %")
    lines.said.put(None)
