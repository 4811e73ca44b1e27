"""Texts of several lines in what people read."""

from __future__ import annotations

import pytest

from occopus_core.cli.lines import indented


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
