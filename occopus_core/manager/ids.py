"""The ids of infrastructures, chosen by users or generated."""

from __future__ import annotations

import re
import uuid

from occopus_core.store.records import NoSuchInfrastructureError

_INFRA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class InfraIdError(ValueError):
    """The chosen id is not valid."""


def new_id(chosen: str | None = None) -> str:
    """The chosen id, validated, or a new one. Raises `InfraIdError`."""
    if chosen is None:
        return str(uuid.uuid4())
    if not _INFRA_ID.fullmatch(chosen):
        raise InfraIdError(
            f"{chosen!r} cannot be the id of an infrastructure: at most 63 letters, digits, '.', '_' and '-', "
            "beginning with a letter or a digit"
        )
    return chosen


def refuse_impossible(infra_id: str) -> None:
    """Raise `NoSuchInfrastructureError` for an invalid id, without a query."""
    if not _INFRA_ID.fullmatch(infra_id):
        raise NoSuchInfrastructureError(infra_id)
