"""Maps records to tables: a column for each field of a dataclass, so that a new field is stored automatically."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.serial import (
    implementation_from_json,
    implementation_to_json,
    infrastructure_from_json,
    infrastructure_to_json,
    typed,
)
from occopus_core.store.records import Setback

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Codec:
    """Converts the values of one type to those of a column and back. `decode` raises `ValueError` and similar."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Columns(Generic[R]):
    """The columns of a table for the records of one class.

    `update` does not change the `fixed` fields; `others` are columns without a field; `numbered` is the field whose
    value the database assigns to a new row. Raises `TypeError` if a field has no column, a column has no field and is
    not in `others`, or no codec supports the type of a field.
    """

    def __init__(
        self,
        record: type[R],
        table: sa.Table,
        *,
        fixed: Collection[str] = (),
        others: Collection[str] = (),
        numbered: str = "",
    ) -> None:
        names = [field.name for field in dataclasses.fields(typing.cast("Any", record))]
        mismatched = (set(names) | set(others)) ^ set(table.c.keys()) | (set(names) & set(others))
        if mismatched or not set(fixed) <= set(names):
            wrong = ", ".join(sorted(mismatched | set(fixed) - set(names)))
            raise TypeError(f"the table '{table.name}' and {record.__name__} do not agree on: {wrong}")
        hints = typing.get_type_hints(record)
        self.table = table
        self.record = record
        self.updated = tuple(name for name in names if name not in fixed)
        self._codecs = {name: codec_of(hints[name]) for name in names}
        self._numbered = numbered

    def row(self, record: R) -> dict[str, Any]:
        """The row of a new record, without the field that the database assigns."""
        return self.encode({name: getattr(record, name) for name in self._codecs if name != self._numbered})

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """These fields of a record, as column values."""
        return {name: self._codecs[name].encode(value) for name, value in values.items()}

    def of(self, row: Any) -> R:
        """The record in a row. Raises `ValueError` and similar if the row is invalid."""
        return self.record(**{name: codec.decode(getattr(row, name)) for name, codec in self._codecs.items()})

    def update(self, connection: sa.Connection, key: str, records: Collection[R]) -> None:
        """Update every field except the fixed ones in existing rows; the field `key` identifies a row."""
        column = self.table.c[key]
        statement = self.table.update().where(column == sa.bindparam("key"))
        statement = statement.values({name: sa.bindparam(f"new_{name}") for name in self.updated})
        rows = [self.row(record) for record in records]
        if rows:
            new = [{"key": row[key], **{f"new_{name}": row[name] for name in self.updated}} for row in rows]
            connection.execute(statement, new)


def codec_of(kind: Any) -> Codec:
    """The codec for a type as written in a record. Raises `TypeError` for an unsupported type."""
    if kind in _CODECS:
        return _CODECS[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return Codec(lambda value: value.value, kind)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
        if len(inner) == 1:
            return _optional(codec_of(inner[0]))
    raise TypeError(f"no column keeps a value of the type {kind}")


def _optional(codec: Codec) -> Codec:
    return Codec(
        lambda value: None if value is None else codec.encode(value),
        lambda value: None if value is None else codec.decode(value),
    )


def _plain(kind: type[Any]) -> Codec:
    return Codec(lambda value: value, lambda value: typed(value, kind))


def _storable(text: str) -> str:
    # Messages of providers may contain characters that databases do not accept as text.
    return text.replace("\0", "").encode(errors="replace").decode()


def _addresses(text: str) -> tuple[Address, ...]:
    return tuple(Address(typed(value, str), AddressKind(kind)) for value, kind in json.loads(text))


def _names(text: str) -> tuple[str, ...]:
    return tuple(typed(name, str) for name in typed(json.loads(text), list))


def _counts(text: str) -> dict[str, int]:
    return {name: typed(count, int) for name, count in typed(json.loads(text), dict).items()}


def _texts(text: str) -> dict[str, str]:
    return {name: typed(one, str) for name, one in typed(json.loads(text), dict).items()}


def _setbacks(text: str) -> dict[str, Setback]:
    found = typed(json.loads(text), dict)
    return {name: Setback(typed(one["count"], int), typed(one["last"], float)) for name, one in found.items()}


def _definitions(text: str) -> dict[str, NodeDefinition]:
    found = typed(json.loads(text), dict)
    return {
        name: NodeDefinition(name, tuple(map(implementation_from_json, typed(bodies, list))))
        for name, bodies in found.items()
    }


def _definitions_text(definitions: Mapping[str, NodeDefinition]) -> str:
    return json.dumps(
        {name: list(map(implementation_to_json, one.implementations)) for name, one in definitions.items()}
    )


_CODECS: dict[Any, Codec] = {
    str: Codec(_storable, lambda value: typed(value, str)),
    int: _plain(int),
    float: _plain(float),
    bool: _plain(bool),
    InstanceId: Codec(str, lambda value: InstanceId(typed(value, str))),
    tuple[Address, ...]: Codec(lambda value: json.dumps([(each.value, each.kind.value) for each in value]), _addresses),
    tuple[str, ...]: Codec(lambda value: json.dumps(list(value)), _names),
    Mapping[str, int]: Codec(lambda value: json.dumps(dict(value)), _counts),
    Mapping[str, str]: Codec(lambda value: json.dumps(dict(value)), _texts),
    Mapping[str, Any]: Codec(lambda value: json.dumps(dict(value)), lambda text: typed(json.loads(text), dict)),
    Mapping[str, Setback]: Codec(
        lambda value: json.dumps({name: dataclasses.asdict(each) for name, each in value.items()}), _setbacks
    ),
    Mapping[str, NodeDefinition]: Codec(_definitions_text, _definitions),
    Infrastructure: Codec(
        lambda value: json.dumps(infrastructure_to_json(value)), lambda text: infrastructure_from_json(json.loads(text))
    ),
}
