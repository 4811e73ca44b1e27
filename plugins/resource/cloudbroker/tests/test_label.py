"""Owner and token in the name of an instance."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occopus_core.api import Owner, PermanentError
from occopus_resource_cloudbroker import label

NODE_ID = "0f7c1bb9-8a51-4d40-9f3c-4b3f2b6e8b33"
LETTERS = "abcxyzABCXYZ019"
SHORT = st.text(LETTERS + "-", min_size=1, max_size=40)


def test_a_name_contains_owner_and_token():
    owner = Owner("here", "shop_1", "web", NODE_ID)
    name = label.name(owner, f"occopus-{NODE_ID}")
    assert name == f"occopus_occopus-{NODE_ID}_here__web_shop_1"
    assert label.read(name) == (owner, f"occopus-{NODE_ID}")


@given(
    installation=SHORT,
    node=SHORT | st.none(),
    infra=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True) | st.none(),
    node_id=st.uuids().map(str) | st.text(LETTERS + "-", min_size=1, max_size=20) | st.none(),
    token=st.from_regex(r"[a-z][a-z0-9-]{0,40}", fullmatch=True),
    wish=st.text(LETTERS + " _", max_size=20).map(str.strip),
)
def test_a_written_name_can_be_read(installation, node, infra, node_id, token, wish):
    owner = Owner(installation, infra, node, node_id)
    for each in (token, f"occopus-{node_id}"[:63].lower()):
        assert label.read(label.name(owner, each, wish)) == (owner, each)


def test_the_longest_possible_name_fits():
    node_id = str(uuid.uuid4())
    owner = Owner("i" * 63, "a" * 63, "n" * 63, node_id)
    name = label.name(owner, f"occopus-{node_id}")
    assert len(name) <= label.LIMIT
    assert label.read(name) == (owner, f"occopus-{node_id}")


def test_a_name_that_is_too_long_is_refused_with_the_cause():
    with pytest.raises(PermanentError, match=r"has 3\d\d characters.*at most 255.*resource\.description\.name"):
        label.name(Owner("here", "shop", "web", NODE_ID), f"occopus-{NODE_ID}", "x" * 250)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "web server",
        "occopus",
        "occopus_t-1_here__web",
        "other_t-1_here__web_shop",
        "occopus__here__web_shop",
        "a_b_c_d_e_f",
    ],
)
def test_a_name_not_written_by_occopus(name):
    assert label.read(name) == (None, "")


def test_a_truncated_name_still_has_its_token_and_installation():
    whole = label.name(Owner("here", "shop", "web", NODE_ID), f"occopus-{NODE_ID}")
    owner, token = label.read(whole[:-2])
    assert (owner.installation, token) == ("here", f"occopus-{NODE_ID}")
