"""A description that is written from the model makes an equal model when it is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occopus_core.api.written import as_yaml
from occopus_core.descriptions import serial
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import description_digest, description_text
from occopus_core.manager.describing import described
from occopus_core.render import expander

TEXTS = ["", "x", "yes", "010", "1e3", "null", "~", "- a", "a: b", "#", "two\nlines", " end ", "ä☃", "'"]
EXAMPLES = Path(__file__).parents[3] / "examples"
SHOP = """\
infra_name: shop
user_id: me
expires: 8h
variables: {port: 0644, on: yes, deep: {a: 1, b: [010, 'no']}, text: "two\\nlines"}
nodes:
- &web
  name: web
  type: t
  filter: {a: 1_0}
  scaling: {min: 2, max: 3}
  variables: {port: 420, deep: {b: []}, own: "{{ 1 }}"}
- {name: 'no', type: t, variables: {on: true}}
- {name: -x, type: t, when_outdated: replace}
outputs: {url: "http://{{ getip('web') }}:{{ variables.port }}/", on: 010, off: "a\\nb"}
dependencies:
- {connection: [*web, 'no'], mappings: [[a, 'b"c'], {attributes: [c, d], synch: true}]}
- [-x, web]
"""


def again(text):
    return load_infrastructure(text, name="again", render=expander())


def stored(infrastructure):
    """All that the store keeps of it, but where it was read."""
    return json.loads(json.dumps(serial.infrastructure_to_json(infrastructure)), object_hook=_without_place)


def _without_place(mapping):
    return {key: value for key, value in mapping.items() if key != "where"}


def test_every_part_comes_back_as_it_was_written():
    shop = again(SHOP)
    text = description_text(shop)
    assert stored(again(text)) == stored(shop)
    assert "port: 0644" in text
    assert text.count("when_outdated: replace") == 1
    assert "- ['no', web]" not in text
    assert text.splitlines()[-1] == "- ['-x', web]"


def test_nodes_have_the_variables_of_their_own_alone():
    text = description_text(again(SHOP))
    web = text[text.index("- name: web") : text.index("- name: 'no'")]
    assert "text" not in web
    assert "own: '{{ 1 }}'" in web


def test_what_is_left_out_stays_out():
    assert description_text(again("infra_name: a\nuser_id: me\nnodes:\n- {name: b, type: c}\n")) == (
        "infra_name: a\nuser_id: me\nnodes:\n- name: b\n  type: c\n"
    )


def test_the_digest_is_that_of_what_is_written():
    shop = again(SHOP)
    assert description_digest(shop) == description_digest(again(description_text(shop)))
    assert description_digest(shop) != description_digest(again(SHOP.replace("0644", "420")))


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("infra*.yaml")), ids=lambda file: file.parent.name)
def test_examples(file):
    infrastructure = load_infrastructure(str(file), render=expander())
    assert stored(again(description_text(infrastructure))) == stored(infrastructure)


def test_every_field_of_the_model_is_written():
    """A field that this does not name is one that the text would leave out."""
    known = {"name", "nodes", "dependencies", "user_id", "variables", "expires", "outputs"}
    assert {field.name for field in dataclasses.fields(Infrastructure) if field.compare} == known


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(TEXTS[1:]), inner, max_size=2),
    max_leaves=4,
)
variables = st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2)


@given(variables, variables)
def test_any_variables(shared, own):
    whole = {
        "infra_name": "i",
        "user_id": "me",
        "variables": shared,
        "nodes": [{"name": "n", "type": "t", "variables": own}],
    }
    infrastructure = again(as_yaml(whole))
    assert stored(again(description_text(infrastructure))) == stored(infrastructure)


def test_attributes_of_any_characters_are_read_again():
    nodes = "user_id: me\ninfra_name: t\nnodes:\n- {name: a, type: w}\n- {name: b, type: w}\n"
    mapped = 'dependencies:\n- connection: [a, b]\n  mappings:\n  - ["\U0001f600", \'x "y": #\\\']\n'
    description = described(nodes + mapped, lambda _: None)
    assert described(description_text(description), lambda _: None) == description
