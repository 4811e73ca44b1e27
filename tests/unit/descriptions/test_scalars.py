"""Plain scalars by the core schema of YAML 1.2.2, section 10.3."""

import math

import pytest
import yaml

from occopus_core.api import scalars
from occopus_core.api.written import as_written, as_yaml
from occopus_core.descriptions.encoding import decoded, encoded
from occopus_core.descriptions.loader import load

CORE = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    "0": 0, "-0": 0, "7": 7, "+12": 12, "-19": -19, "0644": 644, "012345": 12345, "685230": 685230,
    "0o7": 7, "0o14": 12, "0x3A": 58, "0xC": 12, "0xdeadBEEF": 0xDEADBEEF, "12345678901234567890": 12345678901234567890,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0, "1.10": 1.1, "1e3": 1000.0, "1.": 1.0,
    "12.3015e+02": 1230.15, ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf, "08": 8, "6.8523015e+5": 685230.15,
}  # fmt: skip
TEXT = [
    "yes",
    "Yes",
    "YES",
    "no",
    "No",
    "NO",
    "on",
    "On",
    "ON",
    "off",
    "OFF",
    "y",
    "n",
    "Y",
    "N",
    "nULL",
    "tRue",
    "TrUe",
    "null!",
    "~~",
    "nil",
    "1_000",
    "1:30",
    "12:30:00",
    "190:20:30",
    "22:22",
    "0b11",
    "0b1010_0111",
    "-0o7",
    "+0x1F",
    "0o8",
    "0xG",
    "0O7",
    "0X1F",
    "1.2.3",
    "1e",
    "1e+",
    "e3",
    ".",
    "+",
    "-",
    "-.",
    "._",
    "1,000",
    "1'000",
    "2001-12-14",
    "2001-12-14T21:59:43.10-05:00",
    ".InF",
    ".NAn",
    "-.nan",
    "inf",
    "nan",
    "NaN",
    "Infinity",
    "=",
    "<<",
    "1k",
    "0x",
    "0o",
    "٣",
    "12e03.5",
    "--1",
    "+-1",
    "08:00",
    "10.0.0.1",
    "4294967296G",
]


@pytest.mark.parametrize("text", CORE, ids=repr)
def test_the_core_schema(text):
    value = scalars.resolve(text)
    assert value == CORE[text]
    assert type(value) is type(CORE[text])


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text):
    assert math.isnan(scalars.resolve(text))


@pytest.mark.parametrize("text", TEXT, ids=repr)
def test_everything_else_is_text(text):
    assert scalars.resolve(text) == text


@pytest.mark.parametrize("text", [".inf", ".nan", "18446744073709551616", "-9223372036854775809", "9" * 5000], ids=len)
def test_a_number_that_json_cannot_hold_stays_text(text):
    assert scalars.kept(text) == text
    assert load(f"a: {text}\n", name="t").data == {"a": text}


@pytest.mark.parametrize("tag", ["!!int 1_000", "!!bool yes", "!!null x", "!!float abc", "!!int .inf"])
def test_a_tag_that_does_not_fit_is_refused(tag):
    with pytest.raises(Exception, match="cannot be read as"):
        load(f"a: {tag}\n", name="t")


# As they were written


WRITTEN = """\
list: [yes, 12:30, 0644, 1e3, ~, 1.10, 'yes', '0644', True, 0x1F, 2024-01-01, '=', =, +5, .inf, '', null, 'y', y, '1e3']
80: a number as a key
on: a truth as a key
'off': text as a key
blank:
nested: {deep: [0o17, {x: no}]}
block: |
  0644
  yes
"""


def plain_scalars(text):
    """Each scalar, and whether it was written without quotes."""
    found = [(event.value, event.implicit[0]) for event in yaml.parse(text) if isinstance(event, yaml.ScalarEvent)]
    return [(value, plain and scalars.is_ambiguous(value)) for value, plain in found]


def test_plain_scalars_are_written_as_they_were_read_and_text_stays_text():
    assert plain_scalars(as_yaml(load(WRITTEN, name="t").data)) == plain_scalars(WRITTEN)


def test_the_store_keeps_how_scalars_were_written():
    data = load(WRITTEN, name="t").data
    back = decoded(encoded(data))
    assert back == data
    assert as_yaml(back) == as_yaml(data)


@pytest.mark.parametrize("value", [{"!": "a"}, {"!": {"map": 1}}, {"!": {"!": 1}}, {"!": [], "x": 1}, [{"!": "0644"}]])
def test_a_mapping_that_looks_like_a_mark_is_none(value):
    assert decoded(encoded(value)) == value


def test_rendered_values_get_the_texts_of_their_source():
    source = load("a: 0644\nb: [yes, '{{x}}']\n", name="t").data
    assert as_yaml(as_written({"a": 644, "b": ["yes", "no"]}, source)) == "a: 0644\nb:\n- yes\n- 'no'\n"


def test_a_merged_mapping_keeps_the_texts_of_its_own_keys():
    data = load("x: &x {mode: 0644, at: 12:30}\ny: {<<: *x, mode: 0755}\n", name="t").data
    assert as_yaml(data["y"]) == "mode: 0755\nat: 12:30\n"
