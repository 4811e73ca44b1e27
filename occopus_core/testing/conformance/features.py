"""Clauses about features that a handler may declare."""

from __future__ import annotations

import time

from occopus_core.api import Feature, InstanceId, InstanceState, NotFoundError, Owner, ResourceHandler
from occopus_core.testing.conformance.base import (
    BUSY_FACTOR,
    declares,
    make,
    order,
    patiently,
    raised,
    seconds_of,
    state,
    until,
)
from occopus_core.testing.conformance.harness import PRINTED, Kind, ResourceHarness
from occopus_core.testing.suite import able, never_sleeping

_TOO_EARLY = (
    "`describe` answered another state than READY while it was shutting down: let it come to its own end, and answer "
    "READY until it has stopped, since the core deletes it as soon as it is not READY"
)


class StopClauses:
    """Clauses about `stop`."""

    @declares(Feature.STOP)
    def test_stop_in_its_own_time(self, harness: ResourceHarness) -> None:
        """`stop` asks an instance to shut down, returns at once, and lets the instance complete its shutdown."""
        handler = harness.handler()
        id = _running(harness, handler, "graceful")
        usual = seconds_of(lambda: handler.describe([id]))
        started = time.monotonic()
        with never_sleeping("stop called time.sleep: it returns at once, and the core waits"):
            assert handler.stop([id]) == {id: None}, "stopping a running instance is no success"
        took = time.monotonic() - started
        limit = harness.short_timeout + harness.grace + BUSY_FACTOR * usual
        assert took < limit, f"stop took {took:.1f} s: it returns at once"
        _until_stopped(harness, handler, id)
        assert able(lambda: harness.shut_down(id)), f"after `stop` the instance was cut off, or {_TOO_EARLY}"

    @declares(Feature.STOP)
    def test_stop_repeated(self, harness: ResourceHarness) -> None:
        """`stop` is idempotent: a repeat powers nothing off, and stopping a stopped instance is a success."""
        handler = harness.handler()
        id = _running(harness, handler, "graceful")
        for _ in range(2):
            assert handler.stop([id]) == {id: None}, "stopping again is no success"
        _until_stopped(harness, handler, id)
        assert able(lambda: harness.shut_down(id)), f"after a second `stop` the instance was cut off, or {_TOO_EARLY}"
        assert handler.stop([id]) == {id: None}, "stopping what is stopped is no success"
        assert state(handler, id) is not InstanceState.READY, "stopping what is stopped started it"

    @declares(Feature.STOP)
    def test_stop_answers_every_id(self, harness: ResourceHarness) -> None:
        """`stop` has a key for every id, an absent one is a success, and stops nothing else."""
        handler = harness.handler()
        id, other = (_running(harness, handler, "plain") for _ in range(2))
        absent = harness.absent_ids(1)[0]
        assert handler.stop([absent]) == {absent: None}, "an absent id is no success"
        assert handler.stop([absent, id]) == {absent: None, id: None}, "absent before an existing one"
        _until_stopped(harness, handler, id)
        assert state(handler, other) is InstanceState.READY, "an instance that was not named is stopped"

    @declares(Feature.STOP)
    def test_stopped_can_be_deleted(self, harness: ResourceHarness) -> None:
        """`delete` accepts an instance that is still shutting down, and does not wait for it."""
        handler = harness.handler()
        id = _running(harness, handler, "graceful")
        handler.stop([id])

        def removed() -> bool:
            assert handler.delete([id]) == {id: None}, "deleting an instance that shuts down is no success"
            return state(handler, id) is InstanceState.ABSENT

        patiently(harness, removed, "an instance that is deleted while it shuts down becomes absent")


class EnsureClauses:
    """Clauses about `ensure`."""

    @declares(Feature.ENSURE)
    def test_ensure_makes_no_instance(self, harness: ResourceHarness) -> None:
        """`ensure` comes to an empty text, can be repeated at any time, and makes nothing that has an owner."""
        handler, request = harness.handler(), order(harness, "stepwise")
        for again in ("", " again"):
            patiently(harness, lambda: not handler.ensure(request), f"`ensure` answers an empty text{again}")
        found = [instance.id for instance in handler.list_owned(Owner(harness.installation))]
        assert not found, f"`ensure` made {', '.join(found)}"
        id = make(harness, handler, request).id
        assert not handler.ensure(request), "the instance exists, and `ensure` says that it cannot be created yet"
        assert make(harness, handler, request).id == id, "after `ensure` the token does not find its instance"

    @declares(Feature.ENSURE)
    def test_ensure_finds_what_is_missing(self, harness: ResourceHarness) -> None:
        """`ensure` raises `NotFoundError` for a missing resource that the description names."""
        handler, request = harness.handler(), order(harness, "missing")
        errors: list[Exception | None] = []

        def refused() -> bool:
            errors.append(raised(lambda: handler.ensure(request)))
            return errors[-1] is not None

        patiently(harness, refused, "`ensure` raises an error for a missing image")
        assert isinstance(errors[-1], NotFoundError), f"a missing image is {errors[-1]!r}"


class MarkClauses:
    """Clauses about `mark`."""

    @declares(Feature.MARK)
    def test_mark_writes_lost_tags_again(self, harness: ResourceHarness) -> None:
        """`mark` restores the tags of an instance that lost them, and can be repeated; until then its id finds it."""
        handler = harness.handler()
        request = order(harness)
        id, other = make(harness, handler, request).id, make(harness, handler, order(harness)).id
        until(harness, handler, id, InstanceState.READY)
        able(lambda: harness.lose_tags(id))
        assert state(handler, id) is InstanceState.READY, "an instance without its tags is not found by its id any more"
        for again in ("", " again"):
            handler.mark(id, request.owner, request.token)
            listed = {found.id: (found.token, found.owner) for found in handler.list_owned(Owner(harness.installation))}
            assert listed.get(id) == (request.token, request.owner), f"it is not listed after mark was called{again}"
            assert set(listed) == {id, other}, f"the instances are not the same after mark was called{again}"
        assert listed[other] != listed[id], "an instance that was not named got the tags"
        assert make(harness, handler, request).id == id, "its token does not find it"


FAR_AWAY = 4_102_444_800.0
"""Seconds from 1970 to the year 2100."""


class LogsClauses:
    """Clauses about `logs`."""

    @declares(Feature.LOGS)
    def test_logs_have_what_was_printed(self, harness: ResourceHarness) -> None:
        """`logs` returns the output of the instance, as text."""
        handler = harness.handler()
        id = _running(harness, handler, "printing")

        def lost() -> list[str]:
            text = handler.logs([id], 1000)[id] or ""
            return [line for line in PRINTED if line not in text]

        patiently(harness, lambda: not lost(), f"the log has each line that was printed, of {PRINTED}")

    @declares(Feature.LOGS)
    def test_logs_are_the_last_lines(self, harness: ResourceHarness) -> None:
        """`logs` returns at most the requested number of lines, the last ones."""
        handler = harness.handler()
        id = _running(harness, handler, "printing")
        patiently(harness, lambda: PRINTED[-1] in (handler.logs([id], 1000)[id] or ""), "the log has the last line")
        text = handler.logs([id], 1)[id]
        assert text is not None, "it has no log of one line"
        assert len(text.splitlines()) == 1, f"one line was asked for, and there are {len(text.splitlines())}"
        assert PRINTED[0] not in text, "the first line is answered for the last one"

    @declares(Feature.LOGS)
    def test_logs_answer_every_id(self, harness: ResourceHarness) -> None:
        """`logs` has a key for every id, None for one that does not exist."""
        handler = harness.handler()
        id, absent = _running(harness, handler, "printing"), harness.absent_ids(1)[0]
        logs = handler.logs([absent, id], 10)
        assert set(logs) == {id, absent}, "the keys are not the ids"
        assert logs[absent] is None, f"an absent instance has the log {logs[absent]!r}"

    @declares(Feature.LOGS_SINCE)
    def test_logs_since_leave_out_what_was_before(self, harness: ResourceHarness) -> None:
        """`logs_since` returns the output after the time, and nothing from before it."""
        handler = harness.handler()
        id, absent = _running(harness, handler, "printing"), harness.absent_ids(1)[0]
        patiently(harness, lambda: PRINTED[-1] in (handler.logs([id], 1000)[id] or ""), "the log has the last line")
        assert PRINTED[-1] in (handler.logs_since([id], 1000, 0.0)[id] or ""), "what was printed since 1970 is left out"
        text = handler.logs_since([id, absent], 1000, FAR_AWAY)
        assert not text[id], f"{text[id]!r} was printed before the year 2100"
        assert text[absent] is None, f"an absent instance has the log {text[absent]!r}"


def _running(harness: ResourceHarness, handler: ResourceHandler, kind: Kind) -> InstanceId:
    """The id of a ready instance."""
    id = make(harness, handler, order(harness, kind)).id
    until(harness, handler, id, InstanceState.READY)
    if kind == "graceful":
        patiently(harness, lambda: harness.handles_stop(id), "a graceful instance is prepared for being stopped")
    return id


def _until_stopped(harness: ResourceHarness, handler: ResourceHandler, id: InstanceId) -> None:
    patiently(harness, lambda: state(handler, id) is not InstanceState.READY, "a stopped instance is no longer READY")
