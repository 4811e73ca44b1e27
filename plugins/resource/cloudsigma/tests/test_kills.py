"""The process is killed after any HTTP call, or its answer is lost: another one continues, and nothing is left."""

from __future__ import annotations

import contextlib

import pytest
import requests

from occopus_core.api import InstanceState, Owner, TransientError
from occopus_resource_cloudsigma.testing import CloudSigma


class KilledError(BaseException):
    """The process was killed here."""


@pytest.fixture
def mortal(monkeypatch):
    """Kill the process after a number of HTTP calls, or lose the answer to the last of them."""

    left, error = 0, None
    request = requests.Session.request

    def counted(*given, **options):
        nonlocal left
        answer = request(*given, **options)
        left -= 1
        if left == 0:
            raise error
        return answer

    def mortal(calls, how=KilledError):
        nonlocal left, error
        left, error = calls, how

    monkeypatch.setattr(requests.Session, "request", counted)
    return mortal


@pytest.fixture(params=[{}, {"clone_takes_meta": False}, {"clone_takes_size": False}], ids=["", "no meta", "no size"])
def cloud(request, clock):
    times = dict.fromkeys(("clone_seconds", "start_lag", "start_seconds", "stop_seconds", "resize_seconds"), 1.5)
    with CloudSigma(clock=clock) as cloud:
        cloud.reset(**times, **request.param)
        yield cloud


def advance(handler, request, clock):
    """Call `create` until the instance is made, and wait until it runs."""
    for _ in range(100):
        if handler.create(request).state is not InstanceState.PROVISIONING:
            break
        clock.time += 1
    for _ in range(100):
        if handler.describe([request.token])[request.token].state is InstanceState.READY:
            return
        clock.time += 1
    raise AssertionError("it never runs")


def clear(handler, token, cloud, clock):
    for _ in range(100):
        handler.delete([token])
        clock.time += 1
        if handler.describe([token])[token].state is InstanceState.ABSENT:
            return
    raise AssertionError(cloud.inventory())


def assert_one(cloud, request, handler):
    assert (len(cloud.servers()), len(cloud.drives())) == (1, 1)
    (found,) = handler.list_owned(Owner("here"))
    assert (found.token, found.owner, found.state) == (request.token, request.owner, InstanceState.READY)
    assert cloud.servers()[0]["drives"][0]["drive"]["uuid"] == cloud.drives()[0]["uuid"]


def how_many(cloud, work):
    """The number of HTTP calls that some work makes."""
    before = cloud.calls()
    work()
    return cloud.calls() - before


MORE = 2**30 * 20
DEATHS = {"killed": KilledError, "lost": requests.ConnectionError("reset")}


@pytest.mark.parametrize("how", DEATHS.values(), ids=DEATHS)
def test_a_creation_killed_after_any_call_continues(how, connect, cloud, order, clock, mortal):
    first = order("occopus-first", resource={"drive_size": MORE})
    calls = how_many(cloud, lambda: advance(connect(), first, clock))
    clear(connect(), first.token, cloud, clock)
    assert calls > 10
    for number in range(1, calls + 1):
        request = order(f"occopus-{number}", resource={"drive_size": MORE})
        mortal(number, how)
        with pytest.raises((KilledError, TransientError)):
            advance(connect(), request, clock)
        mortal(0)
        handler = connect()
        advance(handler, request, clock)
        assert_one(cloud, request, handler)
        clear(handler, request.token, cloud, clock)
        assert cloud.inventory() == []


def test_a_creation_killed_after_any_call_can_be_deleted(connect, cloud, order, clock, mortal):
    calls = how_many(cloud, lambda: advance(connect(), order("occopus-first"), clock))
    clear(connect(), "occopus-first", cloud, clock)
    for number in range(1, calls + 1):
        request = order(f"occopus-{number}")
        mortal(number)
        with pytest.raises(KilledError):
            advance(connect(), request, clock)
        mortal(0)
        clear(connect(), request.token, cloud, clock)
        assert cloud.inventory() == []


@pytest.mark.parametrize("how", DEATHS.values(), ids=DEATHS)
def test_a_deletion_killed_after_any_call_continues(how, connect, cloud, order, clock, mortal):
    advance(connect(), order("occopus-first"), clock)
    calls = how_many(cloud, lambda: clear(connect(), "occopus-first", cloud, clock))
    assert calls > 5
    for number in range(1, calls + 1):
        request = order(f"occopus-{number}")
        advance(connect(), request, clock)
        mortal(number, how)
        with contextlib.suppress(KilledError, TransientError):  # or it is in the answer of `delete`
            clear(connect(), request.token, cloud, clock)
        mortal(0)
        clear(connect(), request.token, cloud, clock)
        assert cloud.inventory() == []
