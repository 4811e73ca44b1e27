"""What is asked of a schema before its plugin is used."""

from __future__ import annotations

import pytest

from occopus_core.testing.shape import assert_describes_properties

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
