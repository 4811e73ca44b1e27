"""Node definitions read without SQLAlchemy equal those of the store, or are None in case of doubt."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from occopus_core.store.database import open_database
from occopus_core.store.definitions import read_definitions
from occopus_core.store.repository import Store
from occopus_core.store.version import HEAD

from .builders import definition, infrastructure


@pytest.fixture
def store_url(tmp_path):
    return f"sqlite:///{tmp_path}/occopus.db"


@pytest.fixture
def store(store_url):
    with contextlib.closing(open_database(store_url)) as database:
        yield Store(database)


@pytest.fixture
def filled(store):
    store.put_definitions([definition("web"), definition("db")])
    return store


def test_are_those_of_the_store(filled, store_url):
    found = read_definitions(store_url, "new")
    assert found.installation == filled.installation
    assert found.definition_names() == filled.definition_names() == ["db", "web"]
    assert found.definitions(["web", "other"]) == filled.definitions(["web", "other"])


def test_of_a_store_without_any(store, store_url):
    found = read_definitions(store_url, "new")
    assert found.definition_names() == []
    assert found.definitions(["web"]) == {}


def test_of_an_infrastructure_that_exists_are_left_to_the_store(filled, store_url):
    filled.add_infrastructure("new", infrastructure("new"), {}, "me", 1.0)
    assert read_definitions(store_url, "new") is None
    assert read_definitions(store_url, "newer") is not None


def test_a_store_that_does_not_exist_has_none_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_definitions("sqlite:///missing.db", "new")
    assert found.definition_names() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["postgresql://localhost/occopus", "sqlite:///a%20b.db", "sqlite:///a?b/missing.db"])
def test_of_another_store_are_left_to_it(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_definitions(url, "new") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE alembic_version SET version_num = '{int(HEAD) + 1:04}'",
        "DELETE FROM alembic_version",
        "DELETE FROM installation",
        "UPDATE implementations SET body = '{}'",
        "UPDATE implementations SET body = 'no JSON'",
        "DELETE FROM implementations",
        "DROP TABLE definitions",
    ],
)
def test_of_a_store_with_anything_unusual_are_left_to_it(filled, store_url, change):
    with contextlib.closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(change)
    assert read_definitions(store_url, "new") is None


def test_of_a_file_that_is_no_database_are_left_to_the_store(tmp_path):
    (tmp_path / "store.db").write_bytes(b"no database" * 100)
    assert read_definitions(f"sqlite:///{tmp_path}/store.db", "new") is None
