"""The condition of a request for another description."""

from __future__ import annotations

import pytest

from occopus_core.rest.routes.descriptions import _digests

ONE, TWO = "1" * 32, "2" * 32


@pytest.mark.parametrize(
    ("header", "digests"),
    [
        (None, []),
        (" * ", []),
        (f'"{ONE}"', [ONE]),
        (f'"{ONE}", W/"{TWO}"', [ONE, TWO]),
        (f'"{ONE}" ,"other"', [ONE, "another"]),
        ("", ["another"]),
        (f'"{ONE}{TWO}"', ["another"]),
    ],
)
def test_it_names_any_number_of_descriptions(header, digests):
    assert list(_digests(header)) == digests
