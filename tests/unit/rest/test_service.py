from __future__ import annotations

from collections import Counter

from occopus_core.rest.service import keeper

IDS = [f"infrastructure-{number}" for number in range(900)]


def test_all_agree_whoever_is_asked_and_in_whatever_order():
    assert [keeper(one, ["a", "b", "c"]) for one in IDS] == [keeper(one, ["c", "a", "b"]) for one in IDS]


def test_the_shares_are_about_equal():
    shares = Counter(keeper(one, ["a", "b", "c"]) for one in IDS)
    assert all(240 < share < 360 for share in shares.values())


def test_when_one_goes_only_its_own_share_moves():
    before = {one: keeper(one, ["a", "b", "c"]) for one in IDS}
    after = {one: keeper(one, ["a", "b"]) for one in IDS}
    assert all(after[one] == before[one] for one in IDS if before[one] != "c")
