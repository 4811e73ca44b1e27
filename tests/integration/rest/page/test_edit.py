"""The description of an infrastructure is edited on the page: mistakes, plan, confirmation, failure."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

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
