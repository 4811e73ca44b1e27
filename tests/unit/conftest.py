"""Plugins that are installed for one test."""

from __future__ import annotations

import functools

import pytest
from stevedore.extension import ExtensionManager

from .plugins import put


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with a plugin, by default a health checker."""
    monkeypatch.syspath_prepend(tmp_path)

    @functools.wraps(put)
    def installed(*args, **more):
        put(tmp_path, *args, **more)
        monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})

    return installed
