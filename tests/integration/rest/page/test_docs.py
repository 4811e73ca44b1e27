"""The page of the API, in a browser: it works without internet, and calls only the service."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.integration


def test_the_api_is_shown_and_tried_by_files_of_the_service(user, serve, question):
    with serve(user) as (_, client):
        visitor = question(client)
        page = visitor.go("docs")
        expect(page.get_by_role("heading", name="Occopus")).to_be_visible()
        health = page.locator(".opblock", has_text="/healthz").first
        health.locator(".opblock-summary").click()
        health.get_by_role("button", name="Try it out").click()
        health.get_by_role("button", name="Execute").click()
        expect(health.locator(".responses-table.live-responses-table")).to_contain_text("200")


def test_the_policy_of_the_page_lets_nothing_else_in(user, serve, question):
    with serve(user) as (_, client):
        visitor = question(client)
        page = visitor.go("docs")
        expect(page.get_by_role("heading", name="Occopus")).to_be_visible()
        stopped = page.evaluate(
            """async () => {
                const stopped = new Promise(done => {
                    const found = [];
                    document.addEventListener('securitypolicyviolation', event => {
                        if (found.push(event.effectiveDirective) === 2) done(found.sort());
                    });
                });
                const script = document.createElement('script');
                script.src = 'http://127.0.0.2:9/script.js';
                document.head.append(script);
                await fetch('http://127.0.0.2:9/').catch(() => null);
                return stopped;
            }"""
        )
        assert stopped == ["connect-src", "script-src-elem"]
        reported = [fault for fault in visitor.faults if not fault.startswith("asked http://127.0.0.2:9/")]
        assert reported
        assert all("Content Security Policy" in fault for fault in reported), reported
        visitor.faults.clear()
