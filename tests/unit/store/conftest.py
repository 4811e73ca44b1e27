from __future__ import annotations

import contextlib

import pytest

from occopus_core.store.database import open_database
from occopus_core.store.repository import Store


@pytest.fixture
def database(store_url):
    with contextlib.closing(open_database(store_url)) as database:
        yield database


@pytest.fixture
def store(database):
    return Store(database)


@pytest.fixture
def file(tmp_path):
    """Where a store in a file would be."""
    return tmp_path / "occopus.db"


@pytest.fixture
def opened():
    """Opens stores and closes them at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(contextlib.closing(open_database(url)))
