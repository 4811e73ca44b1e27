"""The service with a fixed command line: configuration and environment set the same options."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-environment"
ALL = ("--host", "0.0.0.0")


def test_the_configuration_may_say_that_no_token_is_asked_for(ready, serve):
    ready.environ["OCCOPUS_CONFIG_PATH"] = ready.write("c.yaml", "components: {rest: {insecure: true}}\n")
    with serve(ready, *ALL) as (process, client):
        assert client.get("/infrastructures/").status == 200
        assert "requires no token" in process.said.read_text()


def test_the_environment_may_say_so(ready, serve):
    ready.environ["OCCOPUS_REST_INSECURE"] = "1"
    with serve(ready, *ALL) as (_, client):
        assert client.get("/infrastructures/").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_token_in_the_environment(ready, serve, new_client, host):
    ready.environ["OCCOPUS_REST_TOKEN"] = TOKEN
    with serve(ready, "--host", host) as (process, client):
        assert client.get("/infrastructures/").status == 401
        for wrong in (f"{TOKEN}x", TOKEN[:-1], "é"):
            assert client.get("/infrastructures/", Authorization=f"Bearer {wrong}").status == 401
        caller = new_client(client.base, TOKEN)
        assert caller.get("/whoami").json == {"name": "OCCOPUS_REST_TOKEN", "scope": "write", "infraid": None}
        created = caller.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes())
        assert created.status == 201
        assert caller.delete(f"/infrastructures/{created.json['infraid']}").status == 200
        assert TOKEN not in process.said.read_text()


@pytest.mark.parametrize("token", ["short", "two words with a space"])
def test_a_token_that_is_not_used(ready, token):
    refused = ready.run("rest-service", "--port", "0", environ={"OCCOPUS_REST_TOKEN": token})
    assert (refused.code, refused.complaint) == (
        2,
        ["error: OCCOPUS_REST_TOKEN must have at least 16 printable characters and no space"],
    )
