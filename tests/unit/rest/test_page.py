"""The files of the page that is installed, and the headers they come with."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint

import httpx
import pytest
from fastapi import FastAPI

from occopus_core.registry import PluginError
from occopus_core.rest import page, problems


class Client:
    def __init__(self, app):
        self._app = app

    def call(self, method, path, headers=None):
        async def ask():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path, headers=None):
        return self.call("GET", path, headers)


def no_infrastructures():
    return []


@pytest.fixture
def client(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "index.html").write_text("<title>it</title>")
    (folder / "app.js").write_text("1")
    (tmp_path / "secret").write_text("secret")
    app = FastAPI()
    app.get("/infrastructures/")(no_infrastructures)
    problems.install(app)
    page.install(app, folder)
    return Client(app)


@pytest.fixture
def installed(monkeypatch):
    """Install these pages."""

    def install(*values):
        found = [EntryPoint(value.split(".")[-1], value, page.GROUP) for value in values]
        monkeypatch.setattr(page, "entry_points", lambda group: found)

    return install


def test_scripts_come_from_the_service_alone(client):
    for path in ("/", "/page/app.js", "/page/index.html"):
        answer = client.get(path)
        policy = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert {policy[key] for key in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_a_browser_revalidates_files_and_gets_not_modified(client):
    first = client.get("/")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Security-Policy" in again.headers


@pytest.mark.parametrize("path", ["/page/none.js", "/page/../secret", "/page/%2e%2e/secret", "/page/..%2fsecret", "/x"])
def test_nothing_else_is_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


def test_the_api_is_unchanged(client):
    assert client.get("/infrastructures/").json() == []
    assert client.call("DELETE", "/infrastructures/").status_code == 405
    assert client.call("POST", "/").status_code == 405
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "page" in path or path == "/"]


def test_without_a_page_there_is_none(installed):
    installed()
    assert page.find() is None
    app = FastAPI()
    page.install(app, None)
    assert Client(app).get("/").status_code == 404


def test_the_page_of_this_repository_is_found():
    assert (page.find() / page.INDEX).is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["occopus_page_dashboard", "json"], "more than one page is installed"),
        (["json"], "the page 'json' has no index.html"),
        (["no_such_package"], "the page 'no_such_package' cannot be found"),
    ],
)
def test_an_invalid_page_is_named(installed, values, message):
    installed(*values)
    with pytest.raises(PluginError, match=message):
        page.find()
