"""Hints at words that are similar."""

import pytest

from occopus_core.api.spelling import did_you_mean

KEYS = [
    "type",
    "name",
    "endpoint",
    "image",
    "ports",
    "username",
    "scaling",
    "health_check",
    "security_group_ids",
    "web",
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("scalling", "scaling"),
        ("nmae", "name"),
        ("tpye", "type"),
        ("imgae", "image"),
        ("port", "ports"),
        ("user", "username"),
        ("healthcheck", "health_check"),
        ("security_group", "security_group_ids"),
        ("endpiont", "endpoint"),
        ("namespace", "name"),
        ("wbe", "web"),
    ],
)
def test_slips_and_beginnings_are_recognised(word, meant):
    assert did_you_mean(word, KEYS) == f": did you mean '{meant}'?"


@pytest.mark.parametrize("word", ["hostname", "entrypoint", "flavour", "n", "", "x" * 500])
def test_another_word_is_no_slip(word):
    assert did_you_mean(word, KEYS) == ""
