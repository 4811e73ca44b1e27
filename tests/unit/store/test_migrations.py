"""A store of an older version is migrated in place, once, and either completely or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from occopus_core.descriptions.serial import implementation_to_json
from occopus_core.store import migrations, tables
from occopus_core.store.database import Database, open_database
from occopus_core.store.engines import make_engine
from occopus_core.store.records import Condition, InfrastructureRecord, Stage, StoreError
from occopus_core.store.repository import Store
from occopus_core.store.row_conversion import INFRASTRUCTURES, INSTANCES

from .builders import SECRET, add_instances, definition, implementation, infrastructure, record

LATER = "9000"
NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "{LATER}"
down_revision = "{migrations.HEAD}"


def upgrade():
    with op.batch_alter_table("infrastructures") as batch:  # in SQLite a new table takes the place of the old one
        batch.add_column(sa.Column("note", sa.Text, nullable=False, server_default="upgraded"))
        batch.alter_column("name", existing_type=sa.String(63), type_=sa.Text, existing_nullable=False)
    op.execute("UPDATE infrastructures SET epoch = epoch + 100")
"""


@pytest.fixture
def older(store_url, monkeypatch, tmp_path):
    """A store with data, and a function that makes the program newer than the store."""
    with contextlib.closing(open_database(store_url)) as database:
        store = Store(database)
        lease = store.add_infrastructure("i", infrastructure(), {"web": 2}, "me", 100.0)
        add_instances(store, lease, record())
        store.put_definitions([definition("web")])
    scripts = tmp_path / "100% newer"
    shutil.copytree(Path(migrations.__file__).parent, scripts, ignore=shutil.ignore_patterns("__pycache__"))

    def newer(text=NEXT):
        (scripts / "versions" / "v9000_next.py").write_text(text)
        monkeypatch.setattr(migrations, "_SCRIPTS", scripts)
        monkeypatch.setattr(migrations, "HEAD", LATER)
        return scripts

    return newer


def rows(url):
    """Everything in the store."""
    engine = make_engine(url)
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().all()
            for name in sorted(sa.inspect(connection).get_table_names())
        }
    engine.dispose()
    return found


class TestUpgrade:
    def test_keeps_the_data(self, older, store_url, opened):
        before = rows(store_url)
        older()
        database = opened(store_url)
        after = rows(store_url)
        assert after["alembic_version"] == [{"version_num": LATER}]
        (old,), (new,) = before.pop("infrastructures"), after.pop("infrastructures")
        assert new == {**old, "note": "upgraded", "epoch": old["epoch"] + 100}
        del before["alembic_version"], after["alembic_version"]
        assert after == before
        assert Store(database).instances("i") == [record()]
        assert database.installation == before["installation"][0]["id"]

    def test_leaves_the_foreign_keys_in_force(self, older, store_url, opened):
        older()
        store = Store(opened(store_url))
        lease = store.acquire("i", "me", 1000.0)
        with pytest.raises(StoreError, match=r"(?i)foreign key"), store.changing(lease) as change:
            change.add_instances([record("n-2", implementation="missing")])

    def test_happens_once(self, older, store_url, opened):
        before = rows(store_url)["infrastructures"][0]["epoch"]
        older()
        for _ in range(2):
            opened(store_url)
        assert rows(store_url)["infrastructures"][0]["epoch"] == before + 100

    @pytest.mark.parametrize(
        ("broken", "error", "match"),
        [
            ("raise ZeroDivisionError", ZeroDivisionError, None),
            ("op.execute('nonsense')", StoreError, "nonsense"),
            ("op.execute('DELETE FROM implementations')", StoreError, "(?i)foreign key|a row refers to another"),
        ],
    )
    def test_that_fails_is_undone_as_a_whole(self, older, store_url, broken, error, match, monkeypatch, opened):
        before = rows(store_url)
        older(f"{NEXT}\n    {broken}\n")
        with pytest.raises(error, match=match) as caught:
            open_database(store_url)
        assert SECRET not in str(caught.value)
        assert rows(store_url) == before
        monkeypatch.undo()
        assert Store(opened(store_url)).instances("i") == [record()]

    def test_by_several_processes_at_once_happens_once(self, older, store_url):
        before = rows(store_url)["infrastructures"][0]["epoch"]
        scripts = older()
        program = (
            "import sys, pathlib\n"
            "from occopus_core.store import database, migrations\n"
            "migrations._SCRIPTS, migrations.HEAD = pathlib.Path(sys.argv[2]), '9000'\n"
            "input()\n"
            "database.open_database(sys.argv[1])\n"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, store_url, scripts],
                stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=600)[1] for process in processes] == ["", "", ""]
        assert rows(store_url)["infrastructures"][0]["epoch"] == before + 100


def test_a_store_from_the_future_is_refused_and_left_alone(older, store_url, monkeypatch):
    scripts = older()
    open_database(store_url).close()
    monkeypatch.undo()
    before = rows(store_url)
    assert scripts.exists()
    with pytest.raises(StoreError) as caught:
        open_database(store_url)
    assert "schema version 9000" in str(caught.value)
    assert str(caught.value).endswith("upgrade Occopus")
    assert rows(store_url) == before


class TestVersions:
    def test_the_newest_one_is_the_head(self):
        scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
        assert scripts.get_heads() == [migrations.HEAD]

    def test_all_together_make_the_tables(self, store_url, tmp_path, request):
        made = open_database(store_url)
        database = Database(make_engine(_another(store_url, tmp_path, request)))
        with database.migrating() as connection:
            migrations.upgrade(connection, None)
        with database.reading() as migrated, made.reading() as created:
            assert compare_metadata(MigrationContext.configure(migrated), tables.metadata) == []
            assert _schema(migrated) == _schema(created)
            assert migrations.present(migrated) == migrations.HEAD
        database.close()
        made.close()


def _another(url, tmp_path, request):
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/another.db"
    return request.getfixturevalue("postgresql").new_database()


def _schema(connection):
    inspector = sa.inspect(connection)
    parts = (inspector.get_columns, inspector.get_pk_constraint, inspector.get_foreign_keys, inspector.get_indexes)
    names = sorted(set(inspector.get_table_names()) - {"alembic_version"})
    return {(name, part.__name__): _unordered(part(name)) for name, part in itertools.product(names, parts)}


def _unordered(found):
    """Columns that are added come last, wherever `tables` has them."""
    return str(sorted(found, key=lambda one: one["name"]) if isinstance(found, list) else found)


@pytest.mark.parametrize("version", ["0001", "0006", "0011", "0012"])
def test_an_instance_that_was_ill_stays_so_in_a_store_of_an_older_version(store_url, opened, version):
    """The row keeps the start of its illness; the new columns do not cover earlier times."""
    ill = record(condition=Condition.AILING, unhealthy_since=1234567900.5, stage=Stage.READY, provisional=False)
    made = InfrastructureRecord("i", infrastructure(), None, wanted=True, created_at=1.0, targets={"web": 1})
    used = {"digest": ill.implementation, "body": json.dumps(implementation_to_json(implementation()))}
    database = Database(make_engine(store_url))
    with contextlib.closing(database), database.migrating() as connection:
        upgrade_to(connection, version)
        connection.execute(tables.installation.insert().values(id="me"))
        add(connection, tables.implementations, used)
        add(connection, tables.infrastructures, {**INFRASTRUCTURES.row(made), "name": "shop", "epoch": 1})
        kept = add(connection, tables.instances, INSTANCES.row(ill))
    store = Store(opened(store_url))
    unknown = {field.name: field.default for field in dataclasses.fields(ill) if field.name not in kept}
    assert store.instances("i") == [dataclasses.replace(ill, **unknown)]
    added = {
        "condition",
        "unhealthy_since",
        "condemned",
        "answered",
        "well_since",
        "ill_seconds",
        "outdated",
        "rendered",
    }
    assert unknown.keys() <= added
    assert store.infrastructure("i").description == infrastructure()
    lease = store.acquire("i", "me", 1000.0)
    with store.changing(lease) as change:
        change.put_instances([dataclasses.replace(ill, ill_seconds=7.5, well_since=2.0, outdated=("db",))])
    assert (store.instances("i")[0].ill_seconds, store.instances("i")[0].outdated) == (7.5, ("db",))


def upgrade_to(connection, version):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def add(connection, table, values):
    """Add a row to a table as it is now, with those columns that it has; returns them."""
    present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    row = {name: value for name, value in values.items() if name in present}
    connection.execute(table.insert().values(row))
    return row
