from __future__ import annotations

import asyncio
import json

import pytest

from occopus_core.api.errors import TransientError
from occopus_core.descriptions.problems import DescriptionError, Position, Problem
from occopus_core.engine.outcomes import BusyError
from occopus_core.rest.problems import _known
from occopus_core.store.records import NoSuchInfrastructureError, StoreError
from occopus_core.store.repository import InfrastructureTakenError


def answer(error):
    return asyncio.run(_known(None, error))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoSuchInfrastructureError("i"), 404),
        (InfrastructureTakenError("i"), 409),
        (BusyError("busy"), 409),
        (StoreError("away"), 503),
        (TransientError("away"), 502),
    ],
)
def test_each_error_has_its_status_and_the_words_of_old(error, status):
    given = answer(error)
    details = json.loads(given.body)
    assert (given.status_code, details["status"]) == (status, status)
    assert (details["reason"], details["message"]) == (details["title"], details["detail"])


def test_a_store_that_is_away_is_not_described_to_others():
    given = answer(StoreError("the store /home/me/secret.db cannot be used"))
    assert given.headers["Retry-After"] == "5"
    assert b"secret" not in given.body


def test_every_mistake_of_a_description_is_told_with_its_place():
    faults = [Problem(Position("request", line, 3), f"nodes[{line}]", "no") for line in (1, 2)]
    details = json.loads(answer(DescriptionError(faults)).body)
    assert details["errors"] == [
        {"position": "request:1:3", "path": "nodes[1]", "message": "no"},
        {"position": "request:2:3", "path": "nodes[2]", "message": "no"},
    ]
