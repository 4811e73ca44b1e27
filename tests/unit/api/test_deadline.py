"""A time limit that holds whatever the call does."""

from __future__ import annotations

import threading

import pytest

from occopus_core.api import within


def test_the_answer_and_the_error_are_the_calls():
    assert within(10.0, lambda: 7) == 7
    with pytest.raises(LookupError):
        within(10.0, lambda: {}["nothing"])


def test_a_call_that_does_not_end_is_left():
    released = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.01, released.wait)
    released.set()
