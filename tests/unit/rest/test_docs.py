"""The page of the API: which files it is made of, and the headers they come with."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from fastapi import FastAPI

from occopus_core.rest import docs


@pytest.fixture
def get():
    app = FastAPI(docs_url=None, redoc_url=None)
    docs.install(app)

    def call(path):
        async def ask():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.get(path)

        return asyncio.run(ask())

    return call


FILES = ["/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"]


@pytest.mark.parametrize("path", FILES)
def test_each_file_comes_from_the_service_under_a_policy(get, path):
    answer = get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "//" not in policy


def test_the_page_refers_to_these_files_alone(get):
    page = get("/docs").text
    assert sorted(re.findall(r'(?:src|href)="(docs/[^"]*)"', page)) == [path[1:] for path in sorted(FILES[1:])]
    assert "//" not in page.replace("<!DOCTYPE html>", "")
    assert "<script>" not in page
    assert "//" not in get("/docs/start.js").text


@pytest.mark.parametrize("path", ["/docs/redoc.standalone.js", "/docs/oauth2-redirect", "/docs/", "/redoc"])
def test_nothing_else_is_shown(get, path):
    assert get(path).status_code == 404
