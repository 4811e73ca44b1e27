"""The installed plugins and the schemas for editors, over HTTP."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.unit.plugins import CHECKER, put

pytestmark = pytest.mark.integration


@pytest.fixture
def asked(workspace, serve):
    folder = workspace.folder / "installed"
    folder.mkdir()
    put(folder, "of-older", "older", "plugin_older:Checker", CHECKER.format(version=0))
    put(folder, "of-new", "new", "plugin_new:Checker", CHECKER.format(version=1))
    workspace.environ["PYTHONPATH"] = str(folder)
    with serve(workspace) as (_, client):
        client.workspace = workspace
        yield client


def test_the_list_is_that_of_the_command(asked):
    answer = asked.get("/plugins")
    assert answer.status == 200
    assert answer.json == json.loads(asked.workspace.ready("plugins", "list", "-o", "json").stdout)
    by_type = {one["type"]: one for one in answer.json["plugins"] if one["kind"] == "health"}
    assert by_type["older"]["state"] == "other contract"
    assert by_type["new"]["state"] == "usable"


def test_the_schemas_are_those_that_the_command_writes(asked):
    asked.workspace.ready("plugins", "schema", "--output", "schemas")
    folder = asked.workspace.folder / "schemas"
    names = asked.get("/schemas/").json["schemas"]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    for name in set(names) - {"catalog.json"}:
        found = asked.get(f"/schemas/{name}").json
        jsonschema.Draft7Validator.check_schema(found)
        assert found == json.loads((folder / name).read_text())
    sections = asked.get("/schemas/node_definitions.schema.json").json["definitions"]
    assert "health.new" in sections
    assert "health.older" not in sections


def test_what_the_catalogue_names_can_be_fetched(asked):
    for one in asked.get("/schemas/catalog.json").json["schemas"]:
        assert one["url"].startswith(f"{asked.base}/schemas/")
        assert asked.get(one["url"].removeprefix(asked.base)).status == 200


def test_a_file_that_does_not_exist_is_a_problem(asked):
    for name in ("secrets.schema.json", "..%2fetc"):
        answer = asked.get(f"/schemas/{name}")
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_both_ask_for_a_token_once_there_is_one(asked, new_client):
    token = asked.workspace.ready("rest-service", "token", "create", "--name", "me", "--scope", "read").stdout.strip()
    for path in ("/plugins", "/schemas/", "/schemas/catalog.json"):
        assert asked.get(path).status == 401
        assert new_client(asked.base, token).get(path).status == 200
