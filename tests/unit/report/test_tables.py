"""Tables that fit their terminal without cutting a word."""

import pytest

from occopus_core.report.tables import NARROWEST, SHORT, WIDEST, is_roomy, shortened, table_text

HEADS = ("ID", "NAME", "STATE", "NOTE")
LONG = "0f6c1f3e-8a57-4d0c-a9be-3a0f5b1c2d3e"
ROWS = [
    (LONG, "web-shop", "ready", "maintained by process 4711 on some-host since 2026-11-28T15:14:22Z, [bold]as it is"),
    ("shop", "db", "dropping", ""),
    ("other", "cache", "building", "frozen"),
]


@pytest.mark.parametrize("width", [NARROWEST, 72, 80, 81, 100, 120, 133, 160, WIDEST])
def test_every_word_is_there_and_no_line_is_too_long(width):
    text = table_text(HEADS, ROWS, width)
    assert max(map(len, text.splitlines())) <= width
    assert {word for row in ROWS for cell in row for word in cell.split()} <= set(text.split())
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_table_is_no_wider_than_it_needs_to_be():
    assert table_text(("A", "LONGER"), [("1", "2"), ("", "3")], 80) == "A  LONGER\n" + "─" * 9 + "\n1  2\n   3"


def test_rows_become_blocks_where_their_longest_words_do_not_fit():
    assert table_text(HEADS, ROWS[1:2], 60).startswith("ID")
    assert table_text(HEADS, ROWS[:2], 60).splitlines() == [
        LONG,
        "  NAME   web-shop",
        "  STATE  ready",
        "  NOTE   maintained by process 4711 on some-host since",
        "         2026-11-28T15:14:22Z, [bold]as it is",
        "shop",
        "  NAME   db",
        "  STATE  dropping",
    ]


@pytest.mark.parametrize("name", ["x", "x" * 40])
def test_lines_of_a_cell_keep_their_indentation(name):
    cell = "it failed:\n  File with many words and with more\n    raise\nValueError" + "r" * 20
    lines = table_text(("N", "NOTE"), [(name, cell)], 60).splitlines()
    first = next(number for number, line in enumerate(lines) if "it failed:" in line)
    at = lines[first].index("it failed:")
    assert [line[at:] for line in lines[first:]] == cell.splitlines()


def test_a_word_that_is_wider_than_the_terminal_is_left_whole():
    url = "https://" + "x" * 90
    assert url in table_text(("NODE", "URL"), [("web", url)], 60).split()


def test_ids_are_shortened_to_what_is_unique():
    other = "1" + LONG[1:]
    chosen = "shop-of-the-north"
    alike = LONG[:9] + "0" + LONG[10:]
    assert shortened([LONG, alike, other, chosen]) == {LONG: LONG[:10], alike: alike[:10], other: other[:SHORT]}
    assert shortened([]) == {}
    assert shortened([LONG, LONG]) == {LONG: LONG}


def test_there_is_room_where_nothing_is_wrapped():
    needed = max(map(len, table_text(HEADS, ROWS, WIDEST).splitlines()))
    assert is_roomy(HEADS, ROWS, needed)
    assert not is_roomy(HEADS, ROWS, needed - 1)
    assert is_roomy(HEADS, [("x" * 300, "", "", "")], WIDEST), "elsewhere than on a terminal, ids are whole"
