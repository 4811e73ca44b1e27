from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from occopus_core.api.errors import TransientError
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.problems import DescriptionError, PlacedMessage, Position, Problem
from occopus_core.engine.passes.errors import BusyError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.redaction import Redactor
from occopus_core.rest.limits import Limits, read_body
from occopus_core.rest.problems import _known
from occopus_core.store.records import NoSuchInfrastructureError, SpoiltError, StoreError
from occopus_core.store.repository import InfrastructureTakenError


def request(body=b"a: 1\nb: 2\n"):
    """A request whose body was read."""

    async def receive():
        return {"type": "http.request", "body": body}

    app = SimpleNamespace(state=SimpleNamespace(limits=Limits()))
    made = Request({"type": "http", "method": "POST", "headers": [], "app": app}, receive)
    asyncio.run(read_body(made))
    return made


def answer(error):
    return asyncio.run(_known(request(), error))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoSuchInfrastructureError("i"), 404),
        (InfrastructureTakenError("i"), 409),
        (BusyError("busy"), 409),
        (StoreError("away"), 503),
        (SpoiltError("the infrastructure 'i' in the store cannot be read"), 500),
        (TransientError("away"), 502),
    ],
)
def test_each_error_has_its_status_and_the_text_of_1_x(error, status):
    given = answer(error)
    details = json.loads(given.body)
    assert (given.status_code, details["status"]) == (status, status)
    assert (details["reason"], details["message"]) == (details["title"], details["detail"])


def test_an_unavailable_store_is_not_described_to_clients():
    given = answer(StoreError("the store /home/me/secret.db cannot be used"))
    assert given.headers["Retry-After"] == "5"
    assert b"secret" not in given.body


@pytest.mark.parametrize(
    "error",
    [
        TransientError("refused: Basic ZGVtbzpodW50ZXIyMg=="),
        InvalidDesignError(["refused: hunter22"]),
        DescriptionError([Problem(Position("request", 1, 1), "nodes", "refused: hunter22")]),
    ],
)
def test_secrets_in_a_providers_message_are_removed(error):
    given = asyncio.run(_known(request(), error, redact=Redactor(["hunter22"])))
    assert "***" in json.loads(given.body)["detail"]
    assert b"hunter22" not in given.body
    assert b"podW50ZXIyM" not in given.body


def test_every_mistake_of_a_description_is_reported_with_its_place():
    faults = [Problem(Position("request", line, 3), f"nodes[{line}]", "no") for line in (1, 2)]
    details = json.loads(answer(DescriptionError(faults)).body)
    assert details["errors"] == [
        {"position": "request:1:3", "path": "nodes[1]", "message": "no"},
        {"position": "request:2:3", "path": "nodes[2]", "message": "no"},
    ]


def test_a_fault_of_a_design_has_its_place_as_parts():
    fault = PlacedMessage.of("request:3:9", "expires", "the life time '1d' is over already", with_path=True)
    details = json.loads(answer(InvalidDesignError([fault, "another"])).body)
    assert details["detail"] == "request:3:9: expires: the life time '1d' is over already; another"
    assert details["errors"] == [
        {"position": "request:3:9", "path": "expires", "message": "the life time '1d' is over already"},
        {"position": "", "path": "", "message": "another"},
    ]


def test_several_mistakes_are_separated_in_one_line():
    faults = [Problem(Position("request", line, 3), f"nodes[{line}]", "wrong,\n  so it is") for line in (1, 2)]
    details = json.loads(answer(DescriptionError(faults)).body)
    one, other = map(" ".join, (str(fault).split() for fault in faults))
    assert details["detail"] == details["message"] == f"{one}; {other}"


def test_of_very_many_mistakes_the_first_are_reported():
    faults = [Problem(Position("request", line, 3), f"nodes[{line}]", "no") for line in range(5000)]
    details = json.loads(answer(DescriptionError(faults)).body)
    assert [one["path"] for one in details["errors"]] == [f"nodes[{line}]" for line in range(100)]
    assert details["detail"].endswith("nodes[99]: no; and 4,900 more mistakes")


def test_a_damaged_row_is_named_without_advice_to_retry():
    given = answer(SpoiltError("the infrastructure 'i' in the store cannot be read: it lacks 'x'"))
    assert json.loads(given.body)["detail"] == "the infrastructure 'i' in the store cannot be read: it lacks 'x'"
    assert "Retry-After" not in given.headers


@pytest.mark.parametrize("text", ["# example\nuser_id: me\ninfra_name: a\n", "user_id: me\ninfra_name: a\nnodes: []\n"])
def test_a_file_without_its_line_ends_is_recognised(text):
    body = text.replace("\n", "").encode()  # what curl -d sends
    with pytest.raises(DescriptionError) as refused:
        load_infrastructure(body, name="request", imports=False)
    said = json.loads(asyncio.run(_known(request(body), refused.value)).body)
    assert said["detail"].endswith("send files with curl --data-binary @FILE, since -d removes the line ends")
    assert len(said["errors"]) == 1


@pytest.mark.parametrize("text", ["a: [", '{"infra_name": 1}', "a: b: c\nd: e\n"])
def test_other_bodies_get_no_hint_about_line_ends(text):
    body = text.encode()
    with pytest.raises(DescriptionError) as refused:
        load_infrastructure(body, name="request", imports=False)
    assert ("--data-binary" in answer(refused.value).body.decode()) is False
    shown = asyncio.run(_known(request(body), refused.value)).body.decode()
    assert ("--data-binary" in shown) is (text == "a: [")
