from __future__ import annotations

from collections import Counter

from occopus_core.rest.service import keeper

IDS = [f"infrastructure-{number}" for number in range(900)]


def test_every_service_computes_the_same_shares():
    assert [keeper(one, ["a", "b", "c"]) for one in IDS] == [keeper(one, ["c", "a", "b"]) for one in IDS]


def test_the_shares_are_about_equal():
    shares = Counter(keeper(one, ["a", "b", "c"]) for one in IDS)
    assert all(240 < share < 360 for share in shares.values())


def test_when_one_ends_only_its_own_share_moves():
    before = {one: keeper(one, ["a", "b", "c"]) for one in IDS}
    after = {one: keeper(one, ["a", "b"]) for one in IDS}
    assert all(after[one] == before[one] for one in IDS if before[one] != "c")
