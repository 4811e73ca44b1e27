"""The places of instances, their output, and the outputs of an infrastructure."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.integration

PRINTED = "".join(f"line {number} <b>not bold</b> {'x' * 40}\n" for number in range(300))


def test_the_output_of_an_instance(ready, cloud, serve, question, until):
    ready.ready("import", ready.write("nodes.yaml", cloud.definitions("worker", output=PRINTED)))
    with serve(ready) as (_, client):
        infra_id = client.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
        until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["state"] == "ready")
        visitor = question(client)
        page = visitor.go()
        page.get_by_role("link", name="trial").click()
        web = page.get_by_role("region", name="web", exact=True)
        expect(web).to_contain_text(f"sim {cloud.endpoint}")
        visitor.look("places")
        web.get_by_role("button", name="Output of web-1").click()
        dialog = page.get_by_role("dialog", name="Output of web-1")
        expect(dialog).to_contain_text("line 299 <b>not bold</b>")
        expect(dialog).not_to_contain_text("line 99 ")
        assert (
            page.evaluate("(box => box.scrollHeight - box.scrollTop - box.clientHeight)(document.querySelector('pre'))")
            < 2
        )
        visitor.look("output")
        visitor.look("output-phone", width=390)
        cloud.set_faults([{"kind": "permanent", "operation": "logs", "reason": "not allowed"}])
        expect(dialog.get_by_role("alert")).to_contain_text("not allowed")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)


OUTPUTS = {
    "page": "http://{{ getip('web') }}:8080/?a=1&b=<2>",
    "text": "first line\nsecond <b>line</b>",
    "script": "javascript:alert(1)",
}


def test_outputs_of_an_infrastructure(ready, serve, question):
    description = json.loads((ready.folder / "trial.yaml").read_text())
    ready.write("outputs.yaml", json.dumps({**description, "outputs": OUTPUTS}))
    ready.ready("build", "outputs.yaml", "-i", "outputs", "--parallelize")
    with serve(ready) as (_, client):
        shown = client.get("/infrastructures/outputs").json["web"]["outputs"]
        visitor = question(client)
        page = visitor.go("#/infrastructures/outputs")
        outputs = page.get_by_role("region", name="Outputs")
        link = outputs.get_by_role("link")
        expect(link).to_have_text(shown["page"])
        expect(link).to_have_attribute("href", shown["page"])
        expect(link).to_have_attribute("rel", "noopener noreferrer")
        for text in (OUTPUTS["text"], OUTPUTS["script"]):
            expect(outputs.get_by_text(text)).to_be_visible()
        visitor.look("outputs", width=1280)
        visitor.look("outputs-phone", width=390)
