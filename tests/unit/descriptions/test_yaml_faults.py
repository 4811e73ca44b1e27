"""Syntax errors of YAML say what is probably meant, at the place of the mistake, whichever parser finds them."""

import pytest
import yaml

from occopus_core.descriptions import loader
from occopus_core.descriptions.loader import load
from occopus_core.descriptions.problems import DescriptionError

INDENT = "the indent differs from the lines around it"
AFTER_QUOTE = "there is text after the end of a quoted value"
FAULTS = {
    "indented deeper than its item": (
        "nodes:\n- name: b\n    type: t\n",
        "3:5: this is indented too deep: a key beside the one above begins at column 3",
    ),
    "indented deeper than its key": (
        "a: b\n\n\n  c: d\n",
        "4:3: this is indented too deep: a key beside the one above begins at column 1",
    ),
    "between two keys": (
        "nodes:\n- name: b\n  variables:\n    a: 1\n   c: 2\n",
        f"5:4: {INDENT}: begin this line at column 5, as line 4 does, or at another one of a line above",
    ),
    "between two items": (
        "nodes:\n  - name: a\n    type: t\n - name: b\n",
        f"4:2: {INDENT}: begin this line at column 3, as line 2 does, or at another one of a line above",
    ),
    "an item among the keys of the item before": (
        "nodes:\n  - name: a\n    type: t\n    - name: b\n",
        "4:5: a list item stands among keys: begin it at column 3, as its list",
    ),
    "an item among keys": ("a:\n  b: 1\n  - c\n", "3:3: a list item stands among keys: begin it deeper than its key"),
    "a key among items": (
        "nodes:\n  - name: a\n  type: t\n",
        "3:3: a key stands among list items: write '- ' before it, or begin it at column 5, as the item above does",
    ),
    "a key below an alias": (
        "- &x {a: 1}\n- *x\n  b: 2\n",
        "3:3: an alias is a whole value: write '<<: *NAME' to add keys to it",
    ),
    "a tab": ("a:\n\tb: 1\n", "2:1: a tab cannot stand here: indent with spaces"),
    "no colon at the top": ("a b\nc: d\n", "1:1: there is no ': ' in this line: expected 'KEY: VALUE' or '- ITEM'"),
    "no colon in an item": (
        "n:\n- name b\n  type: t\n",
        "2:3: there is no ': ' in this line: expected 'KEY: VALUE' or '- ITEM'",
    ),
    "no colon after a key": (
        "a: b\nnodes\n- name: b\n",
        "2:1: there is no ': ' in this line: expected 'KEY: VALUE' or '- ITEM'",
    ),
    "no space after the colon": ("a:b\nc: d\n", "1:3: a space is missing after the ':'"),
    "no space after a later colon": ("a: b\nc:d\ne: f\n", "2:3: a space is missing after the ':'"),
    "no space after the dash": ("nodes:\n-name: a\n type: t\n", "2:2: a space is missing after the '-'"),
    "a colon in a value": ("a: echo b: c\n", "1:10: a value with ': ' in it must be quoted"),
    "a colon in a value in braces": (
        "a: {b: c: d}\n",
        "1:9: a ',' is missing before this, or a value with ': ' in it is not quoted",
    ),
    "an open bracket": ("a: [1, 2\nb: 3\n", "2:2: a ',' is missing before this, or the '[' of line 1 is not closed"),
    "a bracket too many": ("a: [1]]\n", "1:7: there is nothing that this ']' closes"),
    "a list behind its key": ("nodes: - a\n", "1:8: begin a list on the line below its key"),
    "an open quote": ("a: 1\nb: 'open\nc: 2\n", "2:4: this quote is not closed, or one above it"),
    "a quote in quotes": (
        "a: 'it's'\n",
        f"1:8: {AFTER_QUOTE}: a quote is missing above, or one in the value is not doubled ('it''s') or escaped (\\\")",
    ),
    "typographic quotes": (
        "a: \u201cb: c\u201d\n",
        "1:6: typographic quotes do not quote: write ' or \"",
    ),
    "a backslash": ('a: "C:\\path"\n', "1:7: write '\\\\' for a '\\' in double quotes, or use single quotes"),
    "a star": ("a: *.log\n", "1:5: quote a value that begins with '*'"),
    "an at sign": ("a: @b\n", "1:4: quote a value that begins with '@'"),
    "a comma": ("a: , b\n", "1:4: quote a value that begins with ','"),
    "a block scalar on the line of its key": ("a: | b\n", "1:6: begin the text of '|' or '>' on the next line"),
    "a template": ("a: {% b %}\n", "1:5: quote a value that begins with '{{' or '{%'"),
}


def refused(text):
    with pytest.raises(DescriptionError) as raised:
        load(text, name="t")
    return str(raised.value)


@pytest.mark.parametrize("case", FAULTS)
def test_a_syntax_error_says_what_is_meant(case):
    text, expected = FAULTS[case]
    place, message = expected.split(": ", 1)
    assert refused(text) == f"t:{place}: not valid YAML: {message}"


@pytest.mark.parametrize("case", ["indented deeper than its item", "between two keys", "a tab", "no colon at the top"])
def test_the_parser_written_in_python_is_understood(case, monkeypatch):
    monkeypatch.setattr(loader, "_PARSER", yaml.SafeLoader)
    test_a_syntax_error_says_what_is_meant(case)


def test_what_has_no_explanation_has_the_words_of_the_parser():
    expected = "t:1:2: not valid YAML: while scanning a directive, could not find expected directive name"
    assert refused("%\n") == expected


def test_an_alias_without_an_anchor_is_one_fault_wherever_it_stands():
    text = "- *proxy\n- *proxy : 1\n- <<: *proxy\n- <<: [*proxy]\n"
    hint = "mark the value it stands for with &proxy, or quote '*proxy' if it is text"
    assert refused(text).splitlines() == [
        f"t:{place}: the alias *proxy has no anchor &proxy before it: {hint}" for place in ("1:3", "2:3", "3:7", "4:8")
    ]
