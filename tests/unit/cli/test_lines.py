"""Texts of several lines in what people read."""

from __future__ import annotations

import dataclasses

import pytest

from occopus_core.cli.lines import ShortLines, indented
from occopus_core.engine.instance.output import with_output
from occopus_core.events import Event, EventKind


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one line", "one line"),
        (
            "failed; its last output:\n    Traceback:\n      File x\n        raise\n    end",
            "failed; its last output:\n    Traceback:\n      File x\n        raise\n    end",
        ),
        ("failed:\nTraceback:\n  File x\n\nend", "failed:\n    Traceback:\n      File x\n\n    end"),
        ("failed:\n\tat a\n\t\tat b", "failed:\n        at a\n                at b"),
        ("failed:\n  a\x1b[2J\x07", "failed:\n      a [2J"),
    ],
)
def test_further_lines_are_indented_and_keep_their_own_indentation(text, shown):
    assert indented(text) == shown


def test_the_reason_of_a_rollback_is_not_repeated():
    lines = ShortLines()
    failed = Event(EventKind.NODE_FAILED, "i", "web", "0123456789", "no room")
    rolling_back = Event(EventKind.ROLLING_BACK, "i", text="node 'web' (ec2): no room")
    assert lines.of(rolling_back) == "rolling back: node 'web' (ec2): no room"
    assert lines.of(failed) == "node failed web 01234567: no room"
    assert lines.of(dataclasses.replace(failed, node_id="another-one")) == "node failed web another-"
    assert lines.of(rolling_back) == "rolling back"
    assert lines.of(Event(EventKind.ROLLING_BACK, "i", text="interrupted by SIGINT")) == (
        "rolling back: interrupted by SIGINT"
    )


def test_the_reason_of_a_rollback_is_not_repeated_where_the_failure_has_the_last_output():
    lines = ShortLines()
    lines.of(Event(EventKind.NODE_FAILED, "i", "web", "0123456789", with_output("it exited", "    hello")))
    assert lines.of(Event(EventKind.ROLLING_BACK, "i", text="node 'web' (docker): it exited")) == "rolling back"
