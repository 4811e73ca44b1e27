"""Valid URLs of stores, and messages for others, which never contain a password."""

from __future__ import annotations

import sqlite3
import sys

import pytest

from occopus_core.store import engines
from occopus_core.store.database import open_database
from occopus_core.store.engines import make_engine
from occopus_core.store.records import StoreError

from .builders import SECRET


@pytest.mark.parametrize(
    "url",
    [
        "",
        "occopus.db",
        "/var/lib/occopus.db",
        f"{SECRET}",
        f"postgresql://me:{SECRET}@host:port/name",
        f"postgresql://me:x@{SECRET}@host/name",
        f"postgresql://me:x@{SECRET}:1@host/name",
        f"mysql://me:{SECRET}@host/name",
        f"postgresql+psycopg2://me:{SECRET}@host/name",
        f"postgres://me:{SECRET}@host/name",
        f"sqlite+aiosqlite:///{SECRET}",
        f"nothing+at-all://me:{SECRET}@host/name",
    ],
)
def test_a_url_that_names_no_store_is_refused_with_the_forms_there_are(url):
    with pytest.raises(StoreError) as caught:
        open_database(url)
    message = str(caught.value)
    assert message.startswith("the store URL cannot be used: ")
    assert "sqlite:///PATH" in message
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in message
    assert SECRET not in message


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_is_not_in_memory(url):
    with pytest.raises(StoreError, match="the store URL cannot be used: it names no file"):
        open_database(url)


def test_an_unknown_kind_is_named():
    with pytest.raises(StoreError, match="there are no stores of the kind 'mysql'"):
        open_database("mysql://host/name")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_without_its_driver_the_package_to_install_is_named(monkeypatch, scheme):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as caught:
        open_database(f"{scheme}://me:{SECRET}@127.0.0.1/name")
    assert (
        str(caught.value)
        == "a store in PostgreSQL needs psycopg, which comes with the extra [postgresql] of occopus-core"
    )


def test_a_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(StoreError, match="refused") as caught:
        open_database(f"postgresql://me:{SECRET}@127.0.0.1:1/name?application_name={SECRET}")
    assert "postgresql+psycopg://me:***@127.0.0.1:1/name cannot be used" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_gets_time_limits_which_the_url_may_replace():
    query = make_engine("postgresql://127.0.0.1/name?connect_timeout=3").url.query
    assert query["connect_timeout"] == "3"
    assert "lock_timeout=60s" in query["options"]
    assert query["tcp_user_timeout"] == "60000"


class Cursor:
    """Fails in the given ways, one after another, and then works."""

    def __init__(self, *codes):
        self.codes = list(codes)

    def execute(self, statement):
        assert statement == "PRAGMA journal_mode=WAL"
        if self.codes:
            error = sqlite3.OperationalError()
            error.sqlite_errorcode = self.codes.pop(0)
            raise error


class TestWriteAheadLog:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(engines.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(engines.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
        return now

    def test_is_repeated_while_another_process_begins_a_transaction(self):
        cursor = Cursor(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY)
        engines._use_write_ahead_log(cursor)
        assert cursor.codes == []

    def test_is_not_tried_for_ever(self, clock):
        with pytest.raises(sqlite3.OperationalError):
            engines._use_write_ahead_log(Cursor(*[sqlite3.SQLITE_BUSY] * 100_000))
        assert engines.BUSY_TIMEOUT < clock[0] < engines.BUSY_TIMEOUT + 1

    def test_is_given_up_where_it_can_never_be(self):
        cursor = Cursor(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY)
        with pytest.raises(sqlite3.OperationalError):
            engines._use_write_ahead_log(cursor)
        assert cursor.codes == [sqlite3.SQLITE_BUSY]
