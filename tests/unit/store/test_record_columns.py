"""Every field of a record has a column, every column a reader, and written values are read back."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.store import tables
from occopus_core.store.configurations import CONFIGURATIONS, MANAGERS
from occopus_core.store.record_columns import Columns, codec_of
from occopus_core.store.records import Setback
from occopus_core.store.row_conversion import EVENTS, INFRASTRUCTURES, INSTANCES, REQUESTS
from occopus_core.store.service import ANSWERS
from occopus_core.store.tokens import TOKENS

from .builders import definition, implementation, infrastructure

ALL = [INFRASTRUCTURES, INSTANCES, REQUESTS, EVENTS, ANSWERS, TOKENS, CONFIGURATIONS, MANAGERS]

WITHOUT_RECORD = {
    "installation": {"id", "revision"},
    "implementations": {"digest", "body"},
    "definitions": {"name", "position", "implementation"},
    "places": {"infra_id", "implementation", "connection"},
    "host_keys": {"node_id", "host", "keys"},
    "notifiers": {"name", "cursor", "epoch", "lease_expires"},
    "subscribers": {"infra_id", "type", "address"},
    "services": {"name", "expires"},
    "maintainers": {"id", "name", "seen"},
    "maintained_by": {"infra_id", "maintainer", "since"},
}
"""Tables that no record describes, and their columns: each is read and written by statements of its own."""

OTHERS = {
    "infrastructures": {"name", "epoch", "lease_holder", "lease_expires", "maintained"},
    "answers": {"key", "request", "asked_at"},
    "tokens": {"digest"},
}
"""Columns beside those of the record: each is read and written by statements of its own."""

SAMPLES: dict[Any, list[Any]] = {
    str: ["", "text", "ü\t'\"\\"],
    int: [0, -3, 2**31 - 1],
    float: [0.0, 1234567890.123456],
    bool: [True, False],
    InstanceId: [InstanceId("vm-1")],
    tuple[Address, ...]: [(), (Address("192.0.2.1"), Address("db.example", AddressKind.PRIVATE))],
    tuple[str, ...]: [(), ("web", "ü")],
    Mapping[str, int]: [{}, {"web": 2, "db": 0}],
    Mapping[str, str]: [{}, {"web": "", "db": "ü"}],
    Mapping[str, NodeDefinition]: [{}, {"web": definition("web", implementation("one"), implementation("two"))}],
    Mapping[str, Any]: [{}, {"a": [1, None, {"b": "ü"}]}],
    Mapping[str, Setback]: [{}, {"web": Setback(3, 1.5)}],
    Infrastructure: [infrastructure()],
}


def samples(kind):
    """Values of a type as it stands in a record."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return list(kind)
    if type(None) in typing.get_args(kind):
        return [None, *(value for each in typing.get_args(kind) if each is not type(None) for value in samples(each))]
    raise AssertionError(f"no samples of {kind}: add some")


def records(columns):
    """Records in which every field takes each of its samples."""
    hints = typing.get_type_hints(columns.record)
    choices = {field.name: samples(hints[field.name]) for field in dataclasses.fields(columns.record)}
    most = max(map(len, choices.values()))
    return [
        columns.record(**{name: values[number % len(values)] for name, values in choices.items()})
        for number in range(most)
    ]


@pytest.fixture
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        tables.metadata.create_all(connection)
        yield connection
    engine.dispose()


def put_and_read(connection, columns, record):
    """Write a new row, whatever else it needs, and read it back."""
    table = columns.table
    others = {column.name: _some(column) for column in table.c if column.name in OTHERS.get(table.name, ())}
    connection.execute(table.delete())
    connection.execute(table.insert().values({**columns.row(record), **others}))
    return columns.of(connection.execute(sa.select(table)).one())


def _some(column):
    return (
        True if isinstance(column.type, sa.Boolean) else 1 if isinstance(column.type, sa.Integer | sa.Double) else "x"
    )


@pytest.mark.parametrize("columns", ALL, ids=lambda columns: columns.record.__name__)
def test_what_is_written_is_read_back(connection, columns):
    for record in records(columns):
        numbered = "id" not in columns.row(record) and hasattr(record, "id")
        expected = dataclasses.replace(record, id=1) if numbered else record
        if numbered:
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        assert put_and_read(connection, columns, record) == expected


def test_an_update_writes_every_field_but_the_fixed_ones(connection):
    first, second = records(INSTANCES)[:2]
    put_and_read(connection, INSTANCES, first)
    fixed = {name: getattr(first, name) for name in set(INSTANCES.row(first)) - set(INSTANCES.updated)}
    INSTANCES.update(connection, "node_id", [dataclasses.replace(second, node_id=first.node_id)])
    found = INSTANCES.of(connection.execute(sa.select(tables.instances)).one())
    assert found == dataclasses.replace(second, **fixed)
    assert fixed.keys() == {"node_id", "infra_id", "node_name", "position", "token", "provisional", "condemned"}


def test_every_table_is_accounted_for():
    kept = {columns.table.name for columns in ALL}
    assert kept.isdisjoint(WITHOUT_RECORD)
    assert kept | set(WITHOUT_RECORD) == set(tables.metadata.tables)
    for name, expected in WITHOUT_RECORD.items():
        assert set(tables.metadata.tables[name].c.keys()) == expected
    for columns in ALL:
        fields = {field.name for field in dataclasses.fields(columns.record)}
        assert set(columns.table.c.keys()) - fields == OTHERS.get(columns.table.name, set())


class TestDisagreement:
    """Found when the module is imported, so no command starts with it."""

    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Text), sa.Column("b", sa.Integer))

    @staticmethod
    def of(**fields):
        return dataclasses.make_dataclass("Record", fields.items())

    def test_a_field_without_column(self):
        with pytest.raises(TypeError, match="the table 't' and Record do not agree on: c"):
            Columns(self.of(a=str, b=int, c=str), self.table)

    def test_a_column_without_field(self):
        with pytest.raises(TypeError, match="do not agree on: b"):
            Columns(self.of(a=str), self.table)
        Columns(self.of(a=str), self.table, others=("b",))

    def test_a_column_that_is_named_among_the_others_and_is_a_field(self):
        with pytest.raises(TypeError, match="do not agree on: b"):
            Columns(self.of(a=str, b=int), self.table, others=("b",))

    def test_a_fixed_field_that_is_none(self):
        with pytest.raises(TypeError, match="do not agree on: d"):
            Columns(self.of(a=str, b=int), self.table, fixed=("d",))

    @pytest.mark.parametrize("kind", [complex, str | int, list[str]])
    def test_a_type_that_no_column_keeps(self, kind):
        with pytest.raises(TypeError, match="no column keeps"):
            codec_of(kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(str, 1), (int, "1"), (int, True), (float, "x"), (bool, 1), (Mapping[str, int], "[]"), (str | None, 2)],
)
def test_values_of_a_wrong_type_are_refused(kind, value):
    with pytest.raises(ValueError, match="stands where"):
        codec_of(kind).decode(value)
