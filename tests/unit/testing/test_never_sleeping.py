"""Suites notice `time.sleep` of what they test, and leave it to other threads."""

import threading
import time

import pytest

from occopus_core.api import within
from occopus_core.testing.suite import never_sleeping


def test_a_sleep_is_found_and_does_not_last():
    began = time.monotonic()
    with pytest.raises(AssertionError, match="it sleeps"), never_sleeping("it sleeps"):
        time.sleep(1000)
    assert time.monotonic() - began < 500


def test_a_sleep_in_a_thread_that_it_starts_is_found():
    with pytest.raises(AssertionError, match="it sleeps"), never_sleeping("it sleeps"):
        within(1000, lambda: time.sleep(1000))


def test_other_threads_sleep_as_they_like():
    asked, slept = threading.Event(), threading.Event()

    def serve():
        asked.wait()
        before = time.monotonic()
        time.sleep(0.01)
        assert time.monotonic() - before >= 0.01
        slept.set()

    server = threading.Thread(target=serve)
    server.start()
    with never_sleeping("it sleeps"):
        asked.set()
        assert slept.wait(1000)
    server.join()


def test_all_is_as_before_afterwards():
    sleep, start = time.sleep, threading.Thread.start
    with never_sleeping("it sleeps"):
        pass
    assert (time.sleep, threading.Thread.start) == (sleep, start)
