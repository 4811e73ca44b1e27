"""The maintainer, the end and the cost of an infrastructure on the page."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time

import psutil
import pytest
from playwright.sync_api import expect

from ...conftest import LONGEST, wait_until

pytestmark = pytest.mark.integration


def test_end_cost_and_maintainers(ready, serve, question, until):
    description = json.loads((ready.folder / "trial.yaml").read_text())
    ready.write("short.yaml", json.dumps({**description, "expires": "8h"}))
    ready.ready("build", "short.yaml", "-i", "short", "--parallelize")
    with ready.start("maintain", "-c", "-i", "short", "-t", "1") as maintainer, serve(ready) as (_, client):
        until(lambda: (client.get("/infrastructures/short/outline").json["maintainer"] or {}).get("alive"))
        visitor = question(client)
        page = visitor.go("#/infrastructures/short")
        facts = page.locator(".facts")
        expect(facts).to_contain_text(f"Maintained by process {maintainer.pid} on ")
        expect(facts).to_contain_text("Destroyed by itself in 7 h")
        expect(page.get_by_text("Nobody maintains")).to_have_count(0)
        facts.get_by_role("button", name="Ask").click()
        expect(facts).to_contain_text("Cost so far unknown")
        before = client.get("/infrastructures/short/outline").json["expires_at"]
        facts.get_by_role("button", name="1 day later").click()
        until(lambda: client.get("/infrastructures/short/outline").json["expires_at"] > before)
        visitor.look("life-time")
        visitor.look("life-time-phone", width=390)

        _freeze(maintainer, ready)
        expect(page.get_by_text("Its maintainer is lost.")).to_be_visible()
        expect(page.get_by_text("Nobody maintains")).to_be_visible()
        expect(page.get_by_text("States are those of")).to_have_count(2)
        visitor.look("lost", width=1280)
        visitor.go("#/")
        expect(page.get_by_text("maintainer lost")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="short")).to_contain_text("as of")
        visitor.look("list-lost")
        shown = ready.ready("maintain", "-r", "-i", "short").stdout
        assert f"not maintained: process {maintainer.pid} on " in shown
        maintainer.send_signal(signal.SIGCONT)
        maintainer.send_signal(signal.SIGTERM)
        assert maintainer.wait(LONGEST) == 0


def _freeze(maintainer, workspace):
    """Stop the maintainer when it does not write, and make it silent, so that the test need not wait for 30 seconds."""
    with contextlib.closing(sqlite3.connect(workspace.store, timeout=1)) as connection:
        while True:
            maintainer.send_signal(signal.SIGSTOP)
            wait_until(lambda: psutil.Process(maintainer.pid).status() == psutil.STATUS_STOPPED)
            with contextlib.suppress(sqlite3.OperationalError), connection:
                connection.execute("UPDATE maintainers SET seen = ?", (time.time() - 100,))
                return
            maintainer.send_signal(signal.SIGCONT)
