import math
import re

import pytest

from occopus_core.descriptions.times import LATEST, end_of, moment_of, refuse_too_late, seconds_of, since, written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("8h", 28_800), ("1d12h", 129_600), ("2w", 1_209_600), (" 1h30m ", 5_400), ("0s", 0)],
)
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1.5h", "-1h", "1h 30m", "30m1h", "1y", "1" * 12 + "s", "soon"])
def test_what_is_no_duration(text):
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T01:01:00+01:00", 60),
        ("1970-01-01T00:01", 60),
        ("1970-01-02", 86_400),
    ],
)
def test_times(text, seconds):
    assert moment_of(text) == seconds


def test_an_end_is_a_time_or_so_long_after_the_beginning():
    assert end_of("2m", 1000.0) == 1120.0
    assert end_of("1970-01-01T00:01:00Z", 1000.0) == 60.0
    assert since("2m", 1000.0) == 880.0
    with pytest.raises(ValueError, match=r"expected a duration such as 90m.*got 'soon'"):
        end_of("soon", 0.0)
    assert written(60.0) == "1970-01-01T00:01:00+00:00"


TOO_LATE = ["999999999w", "365251d", "9999-01-01", "9999-12-31T23:59-12:00", "9998-12-31T23:59-12:00"]


@pytest.mark.parametrize("text", TOO_LATE)
def test_an_end_that_is_too_late_is_refused_and_clipped_where_it_is_stored(text):
    with pytest.raises(ValueError, match=re.escape(f"'{text}' is too long: a life time is at most 365250d")):
        refuse_too_late(text, 1.7e9)
    assert written(end_of(text, LATEST - 1)) == "9999-01-01T00:00:00+00:00"


@pytest.mark.parametrize("text", ["365250d", "9998-12-31T23:59Z", "0001-01-01T00:00+12:00", "1h", "soon"])
def test_ends_that_are_not_too_late(text):
    refuse_too_late(text, 1.7e9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e300, "9999-01-01T00:00:00+00:00"),
        (math.inf, "9999-01-01T00:00:00+00:00"),
        (math.nan, "9999-01-01T00:00:00+00:00"),
        (999_999_999 * 604_800.0, "9999-01-01T00:00:00+00:00"),
        (-1e300, "0001-01-02T00:00:00+00:00"),
        (-math.inf, "0001-01-02T00:00:00+00:00"),
    ],
)
def test_a_time_that_no_calendar_has_is_shown_as_the_nearest(seconds, text):
    assert written(seconds) == text


def test_output_is_wanted_since_1970_at_the_earliest():
    assert since("999999999w", 1.7e9) == 0.0
    assert since("9999-12-31T23:59-12:00", 1.7e9) == LATEST
