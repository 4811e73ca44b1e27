import pytest

from occopus_core.api import last_lines


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("one\ntwo\nthree\n", 2, "two\nthree"),
        ("one\r\ntwo\r\n", 5, "one\ntwo"),
        ("one\ntwo", 1, "two"),
        ("one\n\n", 1, ""),
        ("one\ntwo\n", 0, ""),
        ("", 3, ""),
    ],
)
def test_the_last_lines(text, lines, expected):
    assert last_lines(text, lines) == expected
