"""A store whose file is deleted or replaced during use, and the data that a new one takes over."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

from occopus_core.store.database import open_database
from occopus_core.store.listing import list_infrastructures
from occopus_core.store.records import StoreError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "occopus.db"


@pytest.fixture
def database(file):
    with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
        yield database


def removed(file):
    for each in file.parent.glob("occopus.db*"):
        if not each.name.endswith(".installation"):
            each.unlink()


@pytest.mark.parametrize("transaction", ["reading", "writing"])
def test_a_store_that_was_deleted_is_noticed_before_the_next_step(file, database, transaction):
    removed(file)
    with pytest.raises(StoreError, match="was deleted while it was in use") as raised, getattr(database, transaction)():
        pytest.fail("nothing is begun")
    assert database.installation in str(raised.value)
    assert "put a backup" in str(raised.value)
    assert "--sweep" in str(raised.value)
    assert not file.exists(), "it is not created again"


def test_a_store_that_goes_in_the_middle_of_a_change_is_noticed_at_its_end(file, database):
    with pytest.raises(StoreError, match="was deleted") as raised, database.writing():
        removed(file)
    assert raised.value.unknown


def test_a_store_that_was_replaced_is_noticed(tmp_path, file, database):
    other = tmp_path / "other.db"
    open_database(f"sqlite:///{other}").close()
    removed(file)
    other.rename(file)
    with pytest.raises(StoreError, match="was replaced by another file"), database.writing():
        pytest.fail("nothing is begun")


def test_a_store_that_was_overwritten_in_its_place_is_noticed(tmp_path, file, database):
    other = tmp_path / "other.db"
    open_database(f"sqlite:///{other}").close()
    with (
        contextlib.closing(sqlite3.connect(other)) as source,
        contextlib.closing(sqlite3.connect(file)) as target,
    ):
        source.backup(target)
    with pytest.raises(StoreError, match="was overwritten while it was in use"), database.writing():
        pytest.fail("nothing is begun")


def test_a_store_that_is_made_again_after_a_loss_has_the_name_of_the_lost_one(file, database):
    known = database.installation
    database.close()
    removed(file)
    with contextlib.closing(open_database(f"sqlite:///{file}")) as again:
        assert again.installation == known


def test_a_backup_that_is_put_back_keeps_its_own_name(tmp_path, file, database):
    other = tmp_path / "other.db"
    with contextlib.closing(open_database(f"sqlite:///{other}")) as backup:
        known = backup.installation
    database.close()
    removed(file)
    shutil.move(other, file)
    with contextlib.closing(open_database(f"sqlite:///{file}")) as again:
        assert again.installation == known
    removed(file)
    with contextlib.closing(open_database(f"sqlite:///{file}")) as again:
        assert again.installation == known


@pytest.mark.parametrize("damage", ["", "../../etc/passwd", "x" * 64, "\xff"])
def test_a_name_that_is_none_is_not_used(file, damage):
    (file.parent / "occopus.db.installation").write_text(damage, encoding="latin-1")
    with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
        assert len(database.installation) == 36


def test_a_list_of_a_newer_store_is_an_error(file, database):
    database.close()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("DROP TABLE infrastructures")
        connection.commit()
    with pytest.raises(StoreError, match="schema version 9999"):
        list_infrastructures(f"sqlite:///{file}")
