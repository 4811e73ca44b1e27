"""Checks of a schema before its plugin is used."""

from __future__ import annotations

import importlib

import pytest

from occopus_core.testing.shape import (
    assert_describes_properties,
    assert_imports_none,
    assert_states_version,
    plugin_class,
)
from tests.unit.plugins import CHECKER

SIZE = {"description": "Its size.", "type": "string", "pattern": "^[0-9]+$"}
WORDS = {"patternErrorMessage": "is not a number of bytes"}


@pytest.mark.parametrize("property_", [SIZE, {"description": "Sizes.", "type": "array", "items": SIZE}])
def test_a_pattern_says_in_words_what_it_accepts(property_):
    with pytest.raises(AssertionError, match="a pattern without a patternErrorMessage: size"):
        assert_describes_properties({"properties": {"size": property_}})


@pytest.mark.parametrize("property_", [{**SIZE, **WORDS}, {"description": "Sizes.", "items": {**SIZE, **WORDS}}])
def test_a_pattern_with_words_passes(property_):
    assert_describes_properties({"properties": {"size": property_}})


@pytest.mark.parametrize(("bad", "message"), [({}, "without a description"), (SIZE, "without a patternErrorMessage")])
def test_no_alternative_hides_another(bad, message):
    good = {**SIZE, **WORDS}
    with pytest.raises(AssertionError, match=f"{message}: size"):
        assert_describes_properties({"oneOf": [{"properties": {"size": bad}}, {"properties": {"size": good}}]})


def test_a_subclass_in_a_harness_stands_for_the_installed_plugin(install):
    install("one", "noted", "shape_noted:Checker", CHECKER.format(version=1))
    plugin = importlib.import_module("shape_noted").Checker
    for subclass in (type("NotingChecker", (plugin,), {}), type("Deeper", (type("Between", (plugin,), {}),), {})):
        assert plugin_class(subclass()) is plugin
    assert_states_version(plugin_class(subclass()))


def test_a_class_that_is_a_plugin_itself_is_not_excused_by_its_base(install):
    install("one", "base", "shape_base:Checker", CHECKER.format(version=1))
    text = "import shape_base\nclass Checker(shape_base.Checker): pass"
    install("two", "heir", "shape_heir:Checker", text)
    heir = importlib.import_module("shape_heir").Checker
    with pytest.raises(AssertionError, match="Checker inherits contract_version from Checker"):
        assert_states_version(plugin_class(heir()))
    other = type("Other", (heir,), {"contract_version": 99})
    with pytest.raises(AssertionError, match="written for version 99"):
        assert_states_version(plugin_class(other()))


def test_a_schema_that_a_new_process_cannot_ask_for_says_why():
    made = type("Nowhere", (), {"__module__": "no_such_module"})
    with pytest.raises(AssertionError) as caught:
        assert_imports_none(made, ["json"])
    first, *rest = str(caught.value).splitlines()
    assert first == (
        "a new process cannot ask no_such_module.Nowhere for its schema: ModuleNotFoundError: No module named "
        "'no_such_module'"
    )
    assert rest[0] == "Traceback (most recent call last):"
