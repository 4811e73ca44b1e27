"""Signals while something is under way, and after it."""

import io
import os
import signal
import sys

import pytest

from occopus_core.cli.interruption import REPEAT_SECONDS, interruptible


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_decides_the_exit_code(number):
    reasons, clock = [], Clock()
    with interruptible(reasons.append, "undoing", clock) as interruption:
        assert interruption.number is None
        signal.raise_signal(number)
        clock.now += REPEAT_SECONDS
        signal.raise_signal(signal.SIGINT)
    assert interruption.exit_code == 128 + number
    assert reasons == [f"interrupted by {number.name}", "interrupted by SIGINT"]


def test_the_notice_is_printed_once(capfd):
    clock = Clock()
    with interruptible(lambda _reason: None, "undoing; once more to stop", clock):
        signal.raise_signal(signal.SIGINT)
        clock.now += REPEAT_SECONDS
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr() == ("", "undoing; once more to stop\nstopping at once\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_repeats_within_a_second_are_one_signal(number, capfd):
    reasons, clock = [], Clock()
    with interruptible(reasons.append, "undoing", clock) as interruption:
        for _ in range(5):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(number)
            clock.now += REPEAT_SECONDS / 8
        assert reasons == ["interrupted by SIGTERM"]
        clock.now += REPEAT_SECONDS
        for _ in range(5):
            signal.raise_signal(number)
    assert reasons == ["interrupted by SIGTERM", f"interrupted by {number.name}"]
    assert interruption.exit_code == 128 + signal.SIGTERM
    assert capfd.readouterr().err == "undoing\nstopping at once\n"


def test_a_signal_after_the_end_changes_nothing():
    reasons = []
    with pytest.raises(ValueError, match="failed"), interruptible(reasons.append, "undoing") as interruption:
        raise ValueError("failed")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)
    assert (reasons, interruption.number) == ([], None)


class InterruptedWhileWriting(io.RawIOBase):
    """A stderr on which every write is met by a signal."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, data):
        signal.raise_signal(signal.SIGINT)
        return os.write(self.descriptor, data)


def test_a_signal_may_come_in_the_midst_of_a_print(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(reading) as said, io.TextIOWrapper(io.BufferedWriter(InterruptedWhileWriting(writing))) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with interruptible(lambda _reason: None, "undoing"):
            print("node ready", file=sys.stderr, flush=True)
        os.close(writing)
        assert said.read() == "undoing\nnode ready\n"


def test_a_terminal_that_is_gone_is_no_reason_to_fail(monkeypatch):
    reasons = []
    with open("/dev/full", "w") as full, interruptible(reasons.append, "undoing"):  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        signal.raise_signal(signal.SIGINT)
    assert reasons == ["interrupted by SIGINT"]
