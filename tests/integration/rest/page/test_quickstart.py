"""The life of the quick start on the page: built, watched, scaled, healed, destroyed. Nothing is reloaded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.integration

FOCUSED = """(() => {
    const one = document.activeElement;
    const name = one.getAttribute('aria-label') || one.labels?.[0]?.innerText || one.innerText || '';
    return {name: name.trim(), ring: getComputedStyle(one).outlineStyle, file: one.type === 'file'};
})()"""


def interrupt_maintenance(page):
    page.get_by_role("button", name="Stop maintaining").click()
    expect(page.get_by_text("Nobody maintains this infrastructure.")).to_be_visible()
    page.get_by_role("button", name="Maintain it").click()
    expect(page.get_by_text("Nobody maintains this infrastructure.")).to_have_count(0)


def remove_one(page, web):
    web.get_by_role("button", name="Remove web-").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Remove this instance").click()
    expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(2)


def replace_the_outdated(visitor, name):
    """A node that lacks addresses says so, until it is replaced; one instance and the head are its rows then."""
    page = visitor.page
    node = page.get_by_role("region", name=name, exact=True)
    expect(node.get_by_text("outdated", exact=True)).to_have_count(1)
    before = node.locator("code, .mono.small").first.text_content()
    node.get_by_role("button", name=f"Replace {name}").click()
    visitor.look("replace")
    page.get_by_role("dialog").get_by_role("button", name="Replace 1 instance").click()
    expect(node.get_by_text("outdated", exact=True)).to_have_count(0)
    expect(node).not_to_contain_text(before)
    expect(node.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("region", name="Events")).to_contain_text("replacement done")


def without_discovery(user):
    """The description of the quick start, whose load balancer counts as outdated where it lacks addresses."""
    return (user.folder / "infra.yaml").read_text().replace("    discovers: true\n", "")


def test_a_newcomer_builds_scales_heals_and_destroys(user, serve, question, infra_id, kill_node):
    with serve(user) as (_, client):
        visitor = question(client)
        page = visitor.go()
        expect(page.get_by_text("Nothing has been built yet")).to_be_visible()
        visitor.look("empty")
        page.get_by_role("link", name="New infrastructure").first.click()
        page.get_by_label("Description").fill(without_discovery(user))
        page.evaluate("window.neverReloaded = true")
        page.get_by_role("button", name="Build").click()

        expect(page.get_by_role("heading", name="quickstart", level=1)).to_be_visible()
        web, graph = page.get_by_role("region", name="web", exact=True), page.get_by_role("region", name="Nodes and")
        expect(web.get_by_text("pending").first).to_be_visible()
        expect(graph.get_by_role("button", name="loadbalancer")).to_contain_text("1/1")
        expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(2)
        expect(page.get_by_role("region", name="Events")).to_contain_text("infrastructure ready")
        report = client.get(f"/infrastructures/{infra_id(page)}").json["web"]["instances"]
        for instance in report.values():
            expect(web).to_contain_text(instance["resource_address"])
        visitor.look("infrastructure")

        expect(web.get_by_role("button", name="One fewer of web")).to_be_disabled()
        web.get_by_role("spinbutton").fill("9")
        expect(web.get_by_role("button", name="Scale to")).to_have_count(0)
        web.get_by_role("spinbutton").fill("2")
        web.get_by_role("button", name="One more of web").click()
        web.get_by_role("button", name="Scale to 3").click()
        expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(3)

        lost = next(iter(report))
        kill_node(user, lost, "http.server")
        ill = web.get_by_role("row").filter(has_text="not well")
        expect(ill).to_contain_text(lost[:8])
        expect(ill).to_contain_text("replaced after 60 s")
        expect(graph.get_by_role("button", name=re.compile("^web"))).to_contain_text("1 not well")
        visitor.look("ill")
        kill_node(user, lost)
        expect(web).not_to_contain_text(lost[:8])
        expect(page.get_by_role("region", name="Events")).to_contain_text("healing")
        expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(3)

        interrupt_maintenance(page)
        remove_one(page, web)
        expect(web.get_by_role("button", name="Remove web-")).to_have_count(0)

        replace_the_outdated(visitor, "loadbalancer")

        dialog = page.get_by_role("dialog")
        page.get_by_role("button", name="Destroy…").click()
        expect(dialog.get_by_role("button", name="Destroy 3 instances")).to_be_disabled()
        visitor.look("destroy")
        dialog.get_by_role("textbox").fill("quickstart")
        dialog.get_by_role("button", name="Destroy 3 instances").click()
        expect(page.get_by_role("heading", name="This infrastructure is gone")).to_be_visible()
        expect(page.get_by_role("region", name="Events")).to_contain_text("infrastructure dropped")
        assert page.evaluate("window.neverReloaded")
        assert client.get("/overview").json == {"infrastructures": []}


def test_by_keyboard_alone(ready, serve, question, infra_id):
    """Tab, Enter, Escape and letters; wherever the focus is, it can be seen."""
    with serve(ready) as (_, client):
        visitor = question(client)
        page = visitor.go("#/new")
        expect(page.get_by_label("Description")).to_be_visible()
        press(page, "Description")
        page.keyboard.insert_text((ready.folder / "trial.yaml").read_text())
        press(page, "Build", "Enter")
        node = page.get_by_role("region", name="web", exact=True)
        expect(node.get_by_role("row").filter(has_text="ready")).to_have_count(1)

        press(page, "web", "Enter")  # in the graph: leads to the node
        expect(node.get_by_role("heading")).to_be_focused()
        press(page, "Instances of web, 1 to 2")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(node.get_by_role("row").filter(has_text="ready")).to_have_count(2)

        press(page, "Destroy…", "Enter", key="Shift+Tab")
        expect(page.get_by_role("dialog")).to_be_visible()
        for _ in range(6):  # around in the dialog, and never out of it
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Destroy…")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(20):  # quickly, like an experienced user
            expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
            page.keyboard.press("Escape")
            page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
        page.keyboard.type("trial")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="This infrastructure is gone")).to_be_visible()
        assert client.get(f"/infrastructures/{infra_id(page)}").status == 404


def press(page, name, enter=None, key="Tab"):
    """Go on with Tab until something of this name has the focus, which shows; then press a key."""
    words = re.compile(rf"^{re.escape(name)}")
    for _ in range(60):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        assert focused["ring"] != "none" or focused["file"] or not focused["name"], focused
        if words.match(focused["name"]):
            if enter:
                page.keyboard.press(enter)
            return
    raise AssertionError(f"Tab never comes to {name}")
