"""The description of an infrastructure is edited on the page: mistakes, plan, confirmation, failure."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from playwright.sync_api import expect

from .conftest import LONGEST

pytestmark = pytest.mark.integration


def test_the_description_is_edited(ready, serve, question, cloud, describe):
    description = json.loads(describe("web"))
    description["variables"] = {"password": "hush-hush", "colour": "red"}
    ready.ready("import", ready.write("web.yaml", cloud.definitions("worker", image="{{ variables.colour }}")))
    ready.ready("build", ready.write("red.yaml", json.dumps(description)), "-i", "red", "--parallelize")
    with serve(ready) as (_, client):
        client.post("/infrastructures/red/attach")
        visitor = question(client)
        page = visitor.go("#/infrastructures/red")
        page.get_by_role("link", name="Edit").click()
        field = page.get_by_label("Description")
        expect(field).to_have_value(client.get("/infrastructures/red/description").text)
        text = field.input_value()

        field.fill(text.replace("type: worker", "typ: worker"))
        page.get_by_role("button", name="Show the plan").click()
        problems = page.get_by_role("alert")
        expect(problems).to_contain_text("Nothing was changed: 1 mistake")
        visitor.look("edit-mistakes")

        blue = text.replace("colour: red", "colour: blue").replace("hush-hush", "another-one")
        blue += "- name: db\n  type: worker\n"
        field.fill(blue)
        page.get_by_role("button", name="Show the plan").click()
        plan = page.get_by_role("region", name="Plan")
        expect(plan.get_by_role("heading")).to_be_focused()
        expect(plan).to_contain_text("Create 1 instance of db")
        expect(plan).to_contain_text("Replace 1 instance of web")
        keys = plan.get_by_role("table", name="What changes for web")
        expect(keys.get_by_role("row", name="variables.colour")).to_contain_text("'red'")
        expect(keys.get_by_role("row", name="variables.colour")).to_contain_text("'blue'")
        expect(keys.get_by_role("row", name="variables.password")).to_contain_text("(hidden)")
        expect(plan).not_to_contain_text("another-one")
        visitor.look("edit-plan")
        visitor.look("edit-plan-phone", width=390)
        page.set_viewport_size({"width": 1280, "height": 860})
        field.fill(blue + " ")
        expect(plan).to_have_count(0)  # it was that of another text
        page.get_by_role("button", name="Show the plan").click()

        plan.get_by_role("button", name="Apply").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("1 instance will be replaced")
        visitor.look("edit-confirmation")
        dialog.get_by_role("button", name="Cancel").click()
        assert client.get("/infrastructures/red/description").text == text
        plan.get_by_role("button", name="Apply").click()
        dialog.get_by_role("button", name="Update it").click()
        expect(page.get_by_role("region", name="Events")).to_contain_text("infrastructure updated")
        expect(page.get_by_role("region", name="db", exact=True).get_by_role("row", name="ready")).to_have_count(1)
        assert sorted(one["owner"]["node_name"] for one in cloud.machines("red")) == ["db", "web"]

        undone_update(page, cloud, visitor)


def test_another_end_is_shown_and_confirmed(ready, serve, question, cloud):
    ready.ready("build", "trial.yaml", "-i", "short", "--parallelize")
    with serve(ready) as (_, client):
        client.post("/infrastructures/short/attach")
        page = question(client).go("#/infrastructures/short/edit")
        field, plan = page.get_by_label("Description"), page.get_by_role("region", name="Plan")
        expect(field).to_have_value(client.get("/infrastructures/short/description").text)
        field.fill(field.input_value() + "expires: 2030-01-01\n")
        page.get_by_role("button", name="Show the plan").click()
        expect(plan).to_contain_text("All instances stay as they are")
        expect(plan).to_contain_text("It will be destroyed")
        expect(plan).to_contain_text("(was: never)")
        keys = plan.get_by_role("table", name="What changes for the infrastructure")
        expect(keys.get_by_role("row", name="expires")).to_contain_text("'2030-01-01'")
        plan.get_by_role("button", name="Apply").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("It will be destroyed")
        dialog.get_by_role("button", name="Update it").click()
        expect(page.get_by_role("region", name="Events")).to_contain_text("life time changed")


SCRIPT = "</textarea><script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"
PLANNED = "**/description?dry_run=true"


def test_a_plan_is_that_of_the_text_and_of_the_description_that_was_read(
    ready, serve, question, cloud, describe, until
):
    """It takes long; another tab changes the description meanwhile. What the description holds is shown as text."""
    description = {**json.loads(describe("web")), "variables": {"colour": "red", IMAGE: SCRIPT, "old": IMAGE}}
    ready.ready("import", ready.write("web.yaml", cloud.definitions("worker", image="{{ variables.colour }}")))
    ready.ready("build", ready.write("red.yaml", json.dumps(description)), "-i", "red", "--parallelize")
    with serve(ready) as (_, client):
        page = question(client).go("#/infrastructures/red/edit")
        field, plan = page.get_by_label("Description"), page.get_by_role("region", name="Plan")
        show = page.get_by_role("button", name="Show the plan")
        expect(field).to_have_value(client.get("/infrastructures/red/description").text)
        text = field.input_value().replace("colour: red", "colour: blue").replace("old:", f"'{IMAGE}new':")

        held = []
        page.route(PLANNED, lambda route: held.append(route))  # noqa: PLW0108
        field.fill(text)
        show.click()
        expect(page.get_by_role("status").filter(has_text="The providers are asked")).to_be_visible()
        try:
            with page.expect_event("requestfailed", timeout=LONGEST):
                field.fill(text + " ")  # the plan under way is that of another text
        finally:
            page.unroute_all(behavior="ignoreErrors")
        expect(plan).to_have_count(0)
        show.click()
        expect(plan).to_contain_text("Replace 1 instance of web")
        expect(plan.get_by_role("row", name=f"variables.{IMAGE}new")).to_contain_text(IMAGE)

        def changed_elsewhere(user_id):
            present = yaml.safe_load(client.get("/infrastructures/red/description").text)
            changed = yaml.safe_dump({**present, "user_id": user_id})
            assert client.call("PUT", "/infrastructures/red/description", changed).status == 202
            until(lambda: client.get("/infrastructures/red/outline").json["state"] == "ready")

        changed_elsewhere("one")
        plan.get_by_role("button", name="Apply").click()
        page.get_by_role("dialog").get_by_role("button", name="Update it").click()
        problem = page.get_by_role("alert").filter(has_text="has changed since it was read")
        expect(problem).to_be_focused()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(plan).to_have_count(0)
        expect(field).to_have_value(text + " ")
        page.get_by_role("button", name="Keep this text").click()
        expect(problem).to_have_count(0)
        show.click()
        expect(plan).to_be_visible()
        changed_elsewhere("two")
        show.click()
        expect(problem).to_be_visible()
        page.get_by_role("button", name="Read it again").click()
        expect(field).to_have_value(client.get("/infrastructures/red/description").text)
        assert "user_id: two" in field.input_value()
        assert [one["owner"]["node_name"] for one in cloud.machines("red")] == ["web"], "nothing was applied"


class Held:
    """Requests for the description, held back until the test answers them. Requests for a plan pass."""

    def __init__(self, page):
        self._page, self.requests = page, []
        page.route("**/description", self._hold)

    def _hold(self, route):
        self.requests.append(route)

    def one(self, method):
        """The only held request."""
        ends = time.monotonic() + LONGEST / 1000
        while not self.requests:
            assert time.monotonic() < ends, "nothing is asked for"
            self._page.wait_for_timeout(20)  # lets the browser tell what it asks for
        (route,) = self.requests
        assert route.request.method == method
        return route

    def answer(self, status=None, text=""):
        """Answer it with a problem, or let the service answer."""
        (route,) = self.requests
        self.requests.clear()
        if status is None:
            return route.continue_()
        body = {"title": "x", "status": status, "detail": text, "errors": []}
        return route.fulfill(status=status, body=json.dumps(body), content_type="application/problem+json")


def test_nothing_can_be_typed_or_sent_twice_while_an_action_is_under_way(ready, serve, question, cloud, describe):
    ready.ready("import", ready.write("web.yaml", cloud.definitions("worker")))
    ready.ready("build", ready.write("red.yaml", describe("web")), "-i", "red", "--parallelize")
    with serve(ready) as (_, client):
        page = question(client).go("#/infrastructures/red/edit")
        field, plan = page.get_by_label("Description"), page.get_by_role("region", name="Plan")
        show, apply = page.get_by_role("button", name="Show the plan"), plan.get_by_role("button")
        expect(field).to_be_enabled()
        text = field.input_value().replace("user_id:", "variables: {note: red}\nuser_id:")
        field.fill(text)
        show.click()
        held = Held(page)

        def is_locked(method, *buttons):
            held.one(method)
            for one in (field, show, page.locator("input[type=file]"), *buttons):
                expect(one).to_be_disabled()
            for one in buttons:
                one.dispatch_event("click")
            assert len(held.requests) == 1

        apply.click()
        is_locked("PUT", apply)
        held.answer(409, "another build is under way")
        expect(page.get_by_role("alert")).to_contain_text("another build is under way")
        expect(field).to_be_enabled()
        expect(field).to_have_value(text)

        apply.click()
        is_locked("PUT", apply)
        held.answer(412, "it has changed since it was read")
        page.get_by_role("button", name="Keep this text").click()
        is_locked("GET")
        held.answer()
        expect(field).to_be_enabled()
        expect(field).to_have_value(text)

        was = page.get_by_role("button", name="As it was")
        was.click()
        is_locked("GET", was)
        held.answer()
        expect(field).to_be_enabled()
        expect(field).to_have_value(client.get("/infrastructures/red/description").text)

        field.fill(text)
        show.click()
        apply.click()
        is_locked("PUT", apply)
        held.answer()
        expect(page.get_by_role("region", name="Events")).to_contain_text("infrastructure updated")
        assert "note: red" in client.get("/infrastructures/red/description").text


def test_the_plan_names_what_keeps_addresses_that_change(ready, serve, question, cloud, describe):
    web, proxy = (json.loads(cloud.definitions(name)) for name in ("web", "proxy"))
    web["node_def:web"][0]["contextualisation"]["context_template"] = "{{ variables.colour }}"
    proxy["node_def:proxy"][0]["contextualisation"]["context_template"] = "to {{ getip('web') }}"
    ready.ready("import", ready.write("both.yaml", json.dumps({**web, **proxy})))
    description = json.loads(describe("web", type="web"))
    description["variables"] = {"colour": "red"}
    description["nodes"].append({"name": "proxy", "type": "proxy"})
    ready.ready("build", ready.write("red.yaml", json.dumps(description)), "-i", "red", "--parallelize")
    with serve(ready) as (_, client):
        visitor = question(client)
        page = visitor.go("#/infrastructures/red")
        page.get_by_role("link", name="Edit").click()
        field = page.get_by_label("Description")
        expect(field).to_have_value(client.get("/infrastructures/red/description").text)
        field.fill(field.input_value().replace("colour: red", "colour: blue"))
        page.get_by_role("button", name="Show the plan").click()
        plan = page.get_by_role("region", name="Plan")
        expect(plan).to_contain_text("Keep 1 instance of proxy: its configuration was made with addresses of web")
        visitor.look("edit-plan-addresses", width=390)


def undone_update(page, cloud, visitor):
    """A build that fails leaves the description as it was, and the page says why."""
    cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": "db", "reason": "no such image"}])
    page.get_by_role("link", name="Edit").click()
    field = page.get_by_label("Description")
    field.fill(
        field.input_value().replace("name: db\n  type: worker", "name: db\n  type: worker\n  scaling: {min: 2, max: 3}")
    )
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("region", name="Plan").get_by_role("button", name="Apply").click()
    undone = page.get_by_text("The last update failed and was undone.")
    expect(undone).to_be_visible()
    expect(page.locator(".banner.bad")).to_contain_text("no such image")
    visitor.look("undone")
