"""Opening a store, its transactions, and messages if it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from occopus_core.store import engines, tables
from occopus_core.store.database import open_database
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store

from .builders import SECRET, definition, implementation, infrastructure


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def unprivileged():
    """As a user whom permissions stop, in a folder of its own."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT", 0)


class TestOpening:
    def test_gives_each_store_a_name_for_good(self, store_url, opened, tmp_path):
        first = opened(store_url).installation
        assert len(first) == 36
        assert opened(store_url).installation == first
        assert opened(f"sqlite:///{tmp_path}/other.db").installation != first

    @pytest.mark.parametrize("umask", [0o000, 0o022])
    def test_makes_a_file_and_a_folder_for_the_user_alone(self, tmp_path, opened, umask):
        folder = tmp_path / "not" / "there"
        before = os.umask(umask)
        try:
            with opened(f"sqlite:///{folder}/occopus.db").writing() as connection:
                connection.execute(tables.implementations.insert().values(digest="d", body="b"))
                written = sorted(path.name for path in folder.iterdir())
                assert written == ["occopus.db", "occopus.db-shm", "occopus.db-wal", "occopus.db.installation"]
                assert {mode(path) for path in folder.iterdir()} == {0o600}
        finally:
            os.umask(before)
        assert mode(folder) == 0o700

    def test_leaves_permissions_as_they_are(self, tmp_path, file, opened):
        file.touch()
        file.chmod(0o640)
        tmp_path.chmod(0o750)
        opened(f"sqlite:///{file}")
        assert (mode(file), mode(tmp_path)) == (0o640, 0o750)

    def test_keeps_the_locks_the_process_has_on_the_file(self, file, opened, impatient):
        with opened(f"sqlite:///{file}").writing():
            locks = _locks(file)
            assert locks
            opened(f"sqlite:///{file}")
            assert locks <= _locks(file)

    def test_does_not_wait_for_a_writer(self, file, opened, impatient):
        database = opened(f"sqlite:///{file}")
        with database.writing():
            again = opened(f"sqlite:///{file}")
            assert again.installation == database.installation

    def test_uses_a_write_ahead_log_that_is_synced_and_foreign_keys(self, file, opened):
        expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}
        with opened(f"sqlite:///{file}").writing() as connection:
            assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected} == expected

    def test_what_is_brief_does_not_wait_for_the_disk_and_what_follows_does(self, file, opened):
        database, seen = opened(f"sqlite:///{file}"), []
        for brief in (True, False, True, False):
            with database.writing(brief=brief) as connection:
                seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
        assert seen == [1, 2, 1, 2]

    @pytest.mark.parametrize("name", ["a b.db", "ü#1.db", "100%25.db"])
    def test_takes_odd_names(self, tmp_path, opened, name):
        opened(f"sqlite:///{tmp_path}/{name}")
        assert len(list(tmp_path.glob("*.db"))) == 1


class TestTransactions:
    def test_a_reader_sees_one_state(self, database):
        query = sa.select(sa.func.count()).select_from(tables.implementations)
        with database.reading() as reader:
            assert reader.scalar(query) == 0
            with database.writing() as writer:
                writer.execute(tables.implementations.insert().values(digest="d", body="b"))
            assert reader.scalar(query) == 0
        with database.reading() as reader:
            assert reader.scalar(query) == 1

    def test_a_writer_that_fails_leaves_nothing(self, database):
        with pytest.raises(ZeroDivisionError), database.writing() as writer:  # noqa: PT012
            writer.execute(tables.implementations.insert().values(digest="d", body="b"))
            1 / 0  # noqa: B018
        with database.reading() as reader:
            assert reader.execute(sa.select(tables.implementations)).all() == []

    def test_a_commit_that_fails_leaves_unknown_what_there_is(self, database):
        with pytest.raises(StoreError) as refused, database.writing() as connection:
            connection.execute(sa.text("SELECT nothing FROM nowhere"))
        assert not refused.value.unknown

        def go_away(_connection):
            raise sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("gone"))

        sa.event.listen(database._engine, "commit", go_away)
        try:
            with pytest.raises(StoreError) as lost, database.writing() as connection:
                connection.execute(sa.select(tables.installation))
        finally:
            sa.event.remove(database._engine, "commit", go_away)
        assert lost.value.unknown

    def test_threads_have_a_transaction_each(self, database):
        store = Store(database)
        failures = []

        def put(number):
            try:
                for _ in range(5):
                    store.put_definitions([definition(f"web-{number}", implementation(str(number)))])
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(store.definition_names()) == 8

    def test_can_go_on_after_closing(self, database):
        database.close()
        assert Store(database).definition_names() == []


class TestFailures:
    """Each is a line that names the store; afterwards the store is unchanged."""

    def test_a_folder(self, tmp_path):
        with pytest.raises(StoreError, match=rf"the store {tmp_path} cannot be used: unable to open database file"):
            open_database(f"sqlite:///{tmp_path}")

    def test_a_file_in_place_of_the_folder(self, file):
        file.touch()
        with pytest.raises(StoreError, match=rf"the store {file}/x.db cannot be made: {file}: .+"):
            open_database(f"sqlite:///{file}/x.db")

    def test_not_a_database(self, file):
        file.write_text("user: me\n" * 200)
        with pytest.raises(StoreError, match=rf"the store {file} cannot be used: file is not a database"):
            open_database(f"sqlite:///{file}")
        assert file.read_text() == "user: me\n" * 200

    def test_a_folder_that_cannot_be_written(self):
        with unprivileged() as folder:
            folder.chmod(0o500)
            with pytest.raises(StoreError, match=rf"the store {folder}/o.db cannot be made: {folder}/o.db: Permission"):
                open_database(f"sqlite:///{folder}/o.db")

    def test_a_file_that_cannot_be_read(self):
        with unprivileged() as folder:
            file = folder / "o.db"
            file.touch(0o000)
            with pytest.raises(StoreError, match=rf"the store {file} cannot be used: unable to open database file"):
                open_database(f"sqlite:///{file}")

    def test_a_file_that_is_read_only(self):
        with unprivileged() as folder:
            file = folder / "o.db"
            with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
                Store(database).put_definitions([definition("web")])
            file.chmod(0o400)
            with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
                store = Store(database)
                assert store.definition_names() == ["web"]
                with pytest.raises(StoreError, match=rf"the store {file} cannot be used: attempt to write a readonly"):
                    store.put_definitions([])

    def test_a_full_disk(self, file, opened):
        database = opened(f"sqlite:///{file}")
        store = Store(database)
        lease = store.add_infrastructure("i", infrastructure(), {}, "me", 100.0)

        def limit(connection, *_):
            connection.execute("PRAGMA max_page_count=20")

        database.close()
        sa.event.listen(database._engine, "connect", limit)
        with pytest.raises(StoreError) as caught:
            store.put_definitions([definition(f"web-{n}", implementation(f"{n} {SECRET * 9999}")) for n in range(9)])
        way_on = f"free space in {file.parent} and run the command again: nothing recorded is lost"
        assert str(caught.value) == f"the store {file} cannot be used: database or disk is full: {way_on}"
        assert store.definition_names() == []
        with store.changing(lease) as change:
            change.renew(200.0)

    def test_an_error_of_the_disk(self, file, opened):
        with pytest.raises(StoreError) as caught, opened(f"sqlite:///{file}").reading():
            raise sa.exc.OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))
        hint = f"where {file.parent} is full, free space and run the command again: nothing recorded is lost"
        assert str(caught.value) == f"the store {file} cannot be used: disk I/O error: {hint}"

    def test_a_lock_held_for_too_long(self, file, opened, impatient):
        database, other = opened(f"sqlite:///{file}"), opened(f"sqlite:///{file}")
        locked = pytest.raises(StoreError, match=rf"the store {file} cannot be used: database is locked")
        with database.writing(), locked:
            Store(other).put_definitions([definition("web")])
        Store(other).put_definitions([definition("web")])

    def test_tables_of_another_program(self, file):
        with contextlib.closing(sqlite3.connect(file)) as foreign:
            foreign.execute("CREATE TABLE instances (colour TEXT)")
        with pytest.raises(StoreError, match=rf"the store {file} cannot be used: table instances already exists"):
            open_database(f"sqlite:///{file}")
        with contextlib.closing(sqlite3.connect(file)) as foreign:
            assert foreign.execute("SELECT name FROM sqlite_master").fetchall() == [("instances",)]

    def test_what_was_to_be_written_is_not_shown(self, database):
        row = {"digest": "d", "body": SECRET}
        with pytest.raises(StoreError) as caught, database.writing() as connection:
            connection.execute(tables.implementations.insert(), [row, row])
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value.__cause__)
        assert SECRET not in str(caught.value.__cause__)

    def test_a_row_the_server_would_repeat_is_not_shown(self, database):
        with pytest.raises(StoreError) as caught, database.writing() as connection:
            connection.execute(
                sa.text("INSERT INTO implementations (digest, body) VALUES (:body, NULL)"), {"body": SECRET}
            )
        assert "body" in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_what_cannot_be_bound_is_not_shown(self, database):
        with pytest.raises(StoreError) as caught, database.writing() as connection:
            connection.execute(tables.implementations.insert().values(digest="d", body={SECRET: SECRET}))
        assert SECRET not in str(caught.value)


@pytest.mark.integration
def test_a_database_that_the_server_does_not_have_is_named(postgresql):
    url = postgresql.new_database().replace("store_", "missing_")
    with pytest.raises(StoreError, match=r'database "missing_\d+" does not exist'):
        open_database(url)


def _locks(file):
    """The locks that this process has on the file and what is beside it, as the kernel lists them."""
    inodes = {path.stat().st_ino for path in file.parent.iterdir()}
    # 7: POSIX  ADVISORY  READ 4242 08:01:131 1073741826 1073742335
    rows = [line.split()[1:] for line in Path("/proc/locks").read_text().splitlines()]
    ours = [row for row in rows if row[0] == "POSIX" and row[3] == str(os.getpid())]
    return {tuple(row) for row in ours if int(row[4].rpartition(":")[2]) in inodes}
