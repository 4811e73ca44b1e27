"""The process is killed around each of its calls: the next process continues, with nothing duplicated or left over."""

from __future__ import annotations

import pytest

from occopus_core.api import InstanceState, Owner, ProviderError
from occopus_resource_cloudbroker.client import Client
from occopus_resource_cloudbroker.testing import Fault

pytestmark = pytest.mark.integration

OWNER = Owner("here", "shop")


class KilledError(BaseException):
    """The process was killed."""


@pytest.fixture
def kill(monkeypatch):
    """Kills the process at the nth call, before it is sent or after it has taken effect; counts the calls."""
    send, counted = Client._send, []

    def kill(nth, moment):
        counted.clear()

        def counting(self, *how):
            counted.append(how[:2])
            dies = len(counted) == nth
            if dies and moment == "before":
                raise KilledError
            answer = send(self, *how)
            if dies:
                raise KilledError
            return answer

        monkeypatch.setattr(Client, "_send", counting)
        return counted

    return kill


def dies(act):
    try:
        act()
    except KilledError:
        return True
    return False


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_while_it_creates(cloud, connect, order, kill, moment):
    for nth in range(1, 20):
        token = f"t-{nth}"
        kill(nth, moment)
        died = dies(lambda: connect().create(order(token)))  # noqa: B023
        kill(0, moment)
        made = connect().create(order(token))
        assert [each.id for each in connect().list_owned(OWNER)] == [made.id]
        assert [machine.id for machine in cloud.platform.running()] == [made.id]
        assert connect().delete([made.id]) == {made.id: None}
        if not died:
            break
    else:
        raise AssertionError("a creation has no end")
    assert nth > 4
    assert cloud.platform.running() == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_processes_killed_repeatedly_while_they_create(cloud, connect, order, kill, moment):
    """Each of them is killed at its nth call, until one finishes."""
    for nth in range(1, 8):
        kill(nth, moment)
        for _ in range(5):
            dies(lambda: connect().create(order("t-1")))
    kill(0, moment)
    made = connect().create(order("t-1"))
    assert cloud.calls()["create"] == 1
    assert [machine.id for machine in cloud.platform.running()] == [made.id]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_while_it_deletes(cloud, connect, order, kill, moment):
    for nth in range(1, 20):
        ids = [connect().create(order(f"t-{nth}-{number}")).id for number in range(3)]
        kill(nth, moment)
        died = dies(lambda: connect().delete(ids))  # noqa: B023
        kill(0, moment)
        assert connect().delete(ids) == dict.fromkeys(ids)
        assert {each.state for each in connect().describe(ids).values()} == {InstanceState.ABSENT}
        assert cloud.platform.running() == []
        if not died:
            break
    else:
        raise AssertionError("a deletion has no end")
    assert nth > 4


@pytest.mark.parametrize("kind", ["lost_reply", "cut_reply", "foreign_reply", "hang"])
@pytest.mark.parametrize("operation", ["list", "create", "stop"])
def test_every_answer_is_lost_once(cloud, connect, order, kind, operation):
    """Each call is made by another process, which does not know about earlier unanswered calls."""
    for after in range(4):
        cloud.set_faults(Fault(kind, operation, count=1, after=after))
        token, made, seconds = f"t-{after}", None, 4.0 if kind == "hang" else 30.0
        for _ in range(8):
            try:
                made = made or connect(timeout=seconds).create(order(token))
                results = connect(timeout=seconds).delete([made.id])
            except ProviderError:
                continue
            if results == {made.id: None}:
                break
        assert connect().delete([made.id]) == {made.id: None}
        assert len([each for each in cloud.platform.machines.values() if f"_{token}_" in each.name]) == 1
        assert cloud.platform.running() == []
