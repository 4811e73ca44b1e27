"""The condition of a request for another description."""

import asyncio
import json

import pytest
from fastapi import FastAPI

from occopus_core.rest.routes.descriptions import Condition, _digests

ONE, TWO = "1" * 32, "2" * 32


@pytest.mark.parametrize(
    ("header", "digests"),
    [
        (None, []),
        (" * ", []),
        (f'"{ONE}"', [ONE]),
        (f'"{ONE}", W/"{TWO}"', [ONE, TWO]),
        (f'"{ONE}" ,"other"', [ONE, "another"]),
        ("", ["another"]),
        (f'"{ONE}{TWO}"', ["another"]),
    ],
)
def test_it_names_any_number_of_descriptions(header, digests):
    assert list(_digests(header)) == digests


@pytest.mark.parametrize(
    ("lines", "digests"),
    [
        ([], []),
        ([f'"{ONE}"'], [ONE]),
        ([f'"{ONE}"', f'"{TWO}"'], [ONE, TWO]),
        ([f'"{TWO}", "other"', f'W/"{ONE}"'], [TWO, "another", ONE]),
        (["*", f'"{ONE}"'], ["another", ONE]),
    ],
)
def test_several_lines_are_one_list(lines, digests):
    app = FastAPI()

    @app.get("/")
    def asked(condition: Condition) -> list[str]:
        return list(_digests(condition))

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"if-match", line.encode()) for line in lines]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert json.loads(b"".join(one.get("body", b"") for one in sent)) == digests
