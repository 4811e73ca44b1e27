"""Endpoints of a cloud's services."""

from __future__ import annotations

import pytest

from occopus_resource_nova.cloud import versioned


@pytest.mark.parametrize(
    ("listed", "version", "asked"),
    [
        ("http://v2:9696", "v2.0", "http://v2:9696/v2.0"),
        ("http://v2:9696/", "v2.0", "http://v2:9696/v2.0"),
        ("http://here/image", "v2", "http://here/image/v2"),
        ("http://here/compute/v2.1", "v2.1", "http://here/compute/v2.1"),
        ("http://here:8774/v2/p-1", "v2.1", "http://here:8774/v2.1/p-1"),
        ("http://here/volume/v3/p-1/", "v3", "http://here/volume/v3/p-1"),
    ],
)
def test_a_catalog_url_with_or_without_a_version(listed, version, asked):
    assert versioned(listed, version) == asked
