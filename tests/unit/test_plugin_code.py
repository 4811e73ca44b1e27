"""Errors from the code of plugins, and interrupts by the user of the process."""

from __future__ import annotations

import signal
import threading

import pytest

from occopus_core.plugin_code import plugin_code


class BrokenError(Exception):
    pass


def broken(error):
    return BrokenError(type(error).__name__)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_whatever_is_raised_is_of_the_plugin(kind):
    with pytest.raises(BrokenError, match=f"^{kind.__name__}$") as caught, plugin_code(broken):
        raise kind("secret")
    assert isinstance(caught.value.__cause__, kind)


def test_what_it_returns_unchanged_is_raised_as_it_is():
    error = ValueError("known")
    with pytest.raises(ValueError, match="known") as caught, plugin_code(lambda raised: raised):
        raise error
    assert caught.value is error
    assert error.__cause__ is None


@pytest.fixture
def interruptible():
    """SIGINT raises `KeyboardInterrupt`, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_by_the_user_passes():
    with pytest.raises(KeyboardInterrupt), plugin_code(broken):
        signal.raise_signal(signal.SIGINT)


def test_the_handler_of_signals_is_as_before():
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: calls.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with plugin_code(broken):
            signal.raise_signal(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert calls == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_works_in_any_thread():
    raised = []

    def run():
        try:
            with plugin_code(broken):
                raise KeyboardInterrupt
        except BrokenError as error:
            raised.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert raised == ["KeyboardInterrupt"]
