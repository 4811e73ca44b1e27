import pytest

from occopus_core.descriptions.times import end_of, moment_of, seconds_of, since, written


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
