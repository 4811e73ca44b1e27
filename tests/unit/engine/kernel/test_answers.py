"""Secrets that a provider repeats are taken out where calls return."""

from __future__ import annotations

import base64

import pytest

from occopus_core.api.config import ConfigState, ConfigStatus
from occopus_core.api.errors import PermanentError, ThrottledError
from occopus_core.api.health import Verdict
from occopus_core.api.resource import Instance, InstanceId, InstanceState
from occopus_core.engine.kernel.answers import without_secrets
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.loop import Loop, Outcome
from occopus_core.redaction import Redactor
from occopus_core.sound_errors import LONGEST_TEXT
from occopus_core.testing.time import InlineExecutor

SECRET = "correct horse"
SAID = f"refused: Basic {base64.b64encode(f'demo:{SECRET}'.encode()).decode()}"
REDACT = Redactor([SECRET])


def hidden(text):
    return "***" in text and SECRET not in text and "Y29ycmVjd" not in text


@pytest.mark.parametrize(
    "error",
    [
        PermanentError(f"no: {SECRET}"),
        ThrottledError(f"later: {SECRET}", request_id=SECRET),
        KeyError(SECRET),
        OSError(5, f"no: {SECRET}", f"/tmp/{SECRET}"),
    ],
)
def test_errors_keep_their_type_and_lose_the_secret(error):
    safe = without_secrets(Outcome(error=error), REDACT).error
    assert type(safe) is type(error)
    assert hidden(str(safe))
    assert SECRET not in repr(safe)


def test_the_texts_of_answers_lose_the_secret():
    instance = Instance(InstanceId("i-1"), InstanceState.FAILED, reason=SAID)
    status = ConfigStatus(ConfigState.FAILED, SAID, SAID, {"url": f"http://x/{SECRET}", "port": [SECRET, 1]})
    value = {"a": instance, "b": [Verdict(False, SAID)], "c": Outcome(value=status), "d": (None, 1, "as it is")}
    safe = without_secrets(Outcome(value=value), REDACT).get()
    assert hidden(safe["a"].reason)
    assert safe["a"].id == "i-1"
    assert hidden(safe["b"][0].reason)
    assert hidden(safe["c"].get().reason)
    assert hidden(safe["c"].get().progress)
    assert safe["c"].get().attributes == {"url": "http://x/***", "port": ["***", 1]}
    assert safe["d"] == (None, 1, "as it is")


def test_the_reason_of_a_verdict_is_one_short_line_without_control_characters():
    made = [Verdict(False, f"\x1b[31mport\n\n80\x00 {SAID}"), Verdict(False, "x" * 9_000_000)]
    said, long = without_secrets(Outcome(value=made), REDACT).get()
    assert said.reason.startswith("port 80  refused: ")
    assert hidden(said.reason)
    assert len(long.reason) == LONGEST_TEXT


class Loud(str):
    """A text that raises when it is written."""

    __slots__ = ()

    def __str__(self):
        raise RuntimeError

    __format__ = __str__


class OwnInstance(Instance):
    pass


class OwnStatus(ConfigStatus):
    pass


class OwnVerdict(Verdict):
    pass


def test_answers_of_a_plugins_own_classes_become_plain_ones_and_lose_the_secret():
    instance = OwnInstance(InstanceId(Loud("i-1")), InstanceState.FAILED, token=Loud("t"), reason=Loud(SAID))
    status = OwnStatus(ConfigState.FAILED, Loud(SAID), generation=Loud("g"))
    value = {"a": instance, "b": [OwnVerdict(False, Loud(SAID))], "c": Outcome(value=status)}
    safe = without_secrets(Outcome(value=value), REDACT).get()
    plain = [safe["a"], safe["b"][0], safe["c"].get()]
    assert [type(one) for one in plain] == [Instance, Verdict, ConfigStatus]
    assert all(hidden(one.reason) for one in plain)
    assert f"{plain[0].id} {plain[0].token} {plain[2].generation}" == "i-1 t g"


def test_answers_that_break_the_contract_are_left_for_those_who_check_them():
    status = ConfigStatus("ready", None, 5, attributes=7)
    assert without_secrets(Outcome(value={"a": status}), REDACT).get()["a"] == status


def test_an_answer_that_raises_is_an_error():
    class Raising(dict):
        def items(self):
            raise RuntimeError(SECRET)

    status = ConfigStatus(ConfigState.READY, attributes=Raising(a=1))
    error = without_secrets(Outcome(value=status), REDACT).error
    assert str(error) == "the plugin answered what raises RuntimeError"


def test_every_call_of_the_loop_returns_without_secrets():
    loop, outcomes = Loop(SystemClock(), InlineExecutor()), []
    loop.redact = REDACT

    def fail():
        raise PermanentError(SAID)

    loop.submit(fail, outcomes.append)
    loop.submit(lambda: [Verdict(False, SAID)], outcomes.append)
    loop.run_until(lambda: len(outcomes) == 2)
    assert hidden(str(outcomes[0].error))
    assert hidden(outcomes[1].get()[0].reason)


def test_the_reason_of_a_verdict_is_one_line_of_limited_length_without_control_characters():
    verdicts = [Verdict(False, "a\x1b[31m\nb"), Verdict(False, "p" * 10**6)]
    first, second = without_secrets(Outcome(value=verdicts), str).get()
    assert (first.reason, len(second.reason)) == ("a b", 2000)
