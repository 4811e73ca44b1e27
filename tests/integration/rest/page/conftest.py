"""The page in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
LONGEST = 600_000  # milliseconds
TRIES = 5
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
QUICKSTART = Path(__file__).parents[4] / "examples" / "quickstart"
SHOTS = os.environ.get("OCCOPUS_SHOTS")
"""The folder for screenshots of the tests."""


@pytest.fixture(scope="module")
def chromium():
    # Not for the session: while playwright runs, no other test of this process could have a loop of its own.
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=LONGEST)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A user with a browser.

    Errors of the page (console errors, foreign requests, policy violations) are in `faults`.
    """

    def __init__(self, browser, base, **how):
        self.base, self.faults = base, []
        self.context = browser.new_context(viewport={"width": 1280, "height": 860}, **how)
        self.context.set_default_timeout(LONGEST)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))

    def _heard(self, message):
        # A status that is an error is written to the console by the browser itself.
        bad = message.type in {"error", "warning"} or message.text.startswith("[DOM]")
        if bad and not any(one in message.text for one in ("Failed to load resource", NETWORK_CHANGED)):
            self.faults.append(message.text)

    def _asked(self, request):
        if not request.url.startswith(f"{self.base}/") or "occ_" in request.url:
            self.faults.append(f"asked {request.url}")

    def go(self, where=""):
        # Chromium drops what it is fetching when a network interface comes or goes, as those of containers do.
        for _ in range(TRIES):
            try:
                self.page.goto(f"{self.base}/{where}")
            except Error as error:
                if NETWORK_CHANGED not in error.message:
                    raise
            else:
                return self.page
        raise AssertionError(f"{self.base} cannot be opened: the network changes all the time")

    def look(self, name, width=None, whole=False):
        """No serious fault of accessibility, nothing wider than the window; and a picture where one is wanted.

        It is of the `whole` page, or of what the window shows.
        """
        if width:
            self.page.set_viewport_size({"width": width, "height": 780})
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px wider than the window"
        found = Axe().run(self.page).response["violations"]
        serious = {one["id"]: one["nodes"] for one in found if one["impact"] in {"serious", "critical"}}
        assert not serious, f"{name}: {serious}"
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=whole)


@pytest.fixture
def question(chromium):
    """Opens a browser on a service; it must have done nothing wrong in the end."""
    with contextlib.ExitStack() as stack:
        visitors = []

        def opened(client, **how):
            visitors.append(Visitor(chromium, client.base, **how))
            stack.callback(visitors[-1].context.close)
            return visitors[-1]

        yield opened
        assert [fault for visitor in visitors for fault in visitor.faults] == []


@pytest.fixture
def user(workspace):
    """A workspace with the quick start, and its node definitions imported."""
    shutil.copytree(QUICKSTART, workspace.folder, dirs_exist_ok=True)
    workspace.ready("import", "nodes.yaml")
    yield workspace
    for line in workspace.run("maintain", "-l").stdout.splitlines():
        workspace.run("destroy", "-i", line.split()[0])


@pytest.fixture
def shots():
    """The folder for screenshots, if any."""
    return SHOTS


@pytest.fixture
def infra_id():
    """The id of the infrastructure that a page shows."""
    return lambda page: re.search(r"#/infrastructures/([^/]+)$", page.url)[1]
