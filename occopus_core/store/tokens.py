"""Tokens for the REST service, stored as digests."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.record_columns import Columns
from occopus_core.store.row_conversion import understood

_FORM = re.compile(r"occ_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64


class Scope(enum.Enum):
    """What a token allows; each includes the ones before it."""

    READ = "read"
    SCALE = "scale"
    WRITE = "write"

    def includes(self, other: Scope) -> bool:
        """True if this scope allows what the other one allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One token. Times are seconds since 1970; `infra_id` is the only infrastructure it is valid for, None for all."""

    id: str
    name: str
    scope: Scope
    infra_id: str | None
    created_at: float
    revoked_at: float | None = None


TOKENS = Columns(TokenRecord, tables.tokens, others=("digest",))


class Tokens:
    """The tokens of one store; see `Store.tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scope: Scope, infra_id: str | None, now: float) -> str:
        """Create a token and return its text, which is not stored."""
        key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = TOKENS.row(TokenRecord(key, name, scope, infra_id, now))
        with self._database.writing() as connection:
            connection.execute(tables.tokens.insert().values(**row, digest=_digest(secret)))
        return f"occ_{key}_{secret}"

    def find(self, text: str) -> TokenRecord | None:
        """The token with this text; None if it does not exist or was revoked."""
        form = _FORM.fullmatch(text)
        key, secret = form.groups() if form else ("", "")
        query = sa.select(tables.tokens).where(tables.tokens.c.id == key)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        # Compared for an unknown id too, so that the time does not reveal which ids exist.
        same = hmac.compare_digest(_digest(secret), row.digest if row is not None else _NOBODY)
        return _token_of(row) if same and row is not None and row.revoked_at is None else None

    def all(self) -> list[TokenRecord]:
        """All tokens, the revoked ones too, oldest first."""
        with self._database.reading() as connection:
            query = sa.select(tables.tokens).order_by(tables.tokens.c.created_at, tables.tokens.c.id)
            return [_token_of(row) for row in connection.execute(query)]

    def revoke(self, key: str, now: float) -> bool:
        """Revoke a token. Idempotent; False if no token has this id."""
        table = tables.tokens
        revoked_at = sa.func.coalesce(table.c.revoked_at, now)
        with self._database.writing() as connection:
            return bool(
                connection.execute(table.update().where(table.c.id == key).values(revoked_at=revoked_at)).rowcount
            )


def _digest(secret: str) -> str:
    # 256 random bits cannot be guessed from a plain digest, as a password could.
    return hashlib.sha256(secret.encode()).hexdigest()


def _token_of(row: Any) -> TokenRecord:
    with understood(f"the token {row.id}"):
        return TOKENS.of(row)
