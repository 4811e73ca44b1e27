"""Where instances are, and what they have printed."""

from __future__ import annotations

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
