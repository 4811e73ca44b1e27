"""The ids of infrastructures: chosen by somebody, or made here."""

from __future__ import annotations

import re
import uuid

from occopus_core.store.records import NoSuchInfrastructureError

_INFRA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class InfraIdError(ValueError):
    """An id that somebody chose cannot be one."""


def new_id(chosen: str | None = None) -> str:
    """The chosen id, checked, or a new one. Raises `InfraIdError`."""
    if chosen is None:
        return str(uuid.uuid4())
    if not _INFRA_ID.fullmatch(chosen):
        raise InfraIdError(
            f"{chosen!r} cannot be the id of an infrastructure: at most 63 letters, digits, '.', '_' and '-', "
            "beginning with a letter or a digit"
        )
    return chosen


def refuse_impossible(infra_id: str) -> None:
    """An id that none can have is not even asked for. Raises `NoSuchInfrastructureError`."""
    if not _INFRA_ID.fullmatch(infra_id):
        raise NoSuchInfrastructureError(infra_id)
