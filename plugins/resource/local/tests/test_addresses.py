"""Addresses are unique below a root, and freed with their node's folder."""

from ipaddress import IPv4Network

import pytest

from occopus_core.api import QuotaError
from occopus_resource_local.addresses import AddressPool

FOUR = IPv4Network("127.99.0.0/29")  # six usable addresses


@pytest.fixture
def pool(tmp_path):
    return AddressPool(tmp_path, FOUR)


def claim(pool, tmp_path, token):
    (tmp_path / token).mkdir(exist_ok=True)
    return pool.claim(token)


def test_a_claim_is_repeatable_and_unique(pool, tmp_path):
    given = [claim(pool, tmp_path, f"n{number}") for number in range(6)]
    assert len(set(given)) == 6
    assert [claim(pool, tmp_path, f"n{number}") for number in range(6)] == given


def test_no_free_address_is_a_quota_error(pool, tmp_path):
    for number in range(6):
        claim(pool, tmp_path, f"n{number}")
    with pytest.raises(QuotaError, match=r"127\.99\.0\.0/29 is taken"):
        claim(pool, tmp_path, "n6")


def test_a_released_address_is_free(pool, tmp_path):
    given = [claim(pool, tmp_path, f"n{number}") for number in range(6)]
    pool.release("n3")
    assert claim(pool, tmp_path, "n6") == given[3]


def test_the_address_of_a_removed_folder_is_free(pool, tmp_path):
    given = [claim(pool, tmp_path, f"n{number}") for number in range(6)]
    (tmp_path / "n2").rmdir()
    assert claim(pool, tmp_path, "n6") == given[2]
    assert (tmp_path / "addresses" / given[2]).readlink().name == "n6"


def test_release_is_repeatable_and_affects_no_other(pool, tmp_path):
    mine, other = claim(pool, tmp_path, "mine"), claim(pool, tmp_path, "other")
    pool.release("mine")
    pool.release("mine")
    assert [path.name for path in (tmp_path / "addresses").iterdir()] == [other]
    assert mine != other
