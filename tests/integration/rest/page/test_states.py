"""The page in case of problems: no token, insufficient scope, mistakes, no service."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3

import pytest
import yaml
from playwright.sync_api import expect

from occopus_core.testing.ports import held_port

pytestmark = pytest.mark.integration

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def built(client, ready, until):
    infra_id = client.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
    until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["state"] == "ready")
    return infra_id


def sign_in(page, token):
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_tokens(ready, serve, new_client, question, new_token, until):
    write = new_token("write")
    with serve(ready) as (_, client):
        infra_id = built(new_client(client.base, write), ready, until)
        visitor = question(client)
        page = visitor.go()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        visitor.look("sign-in")
        sign_in(page, "occ_0123456789abcdef_" + "x" * 43)
        expect(page.get_by_role("alert")).to_contain_text("not accepted")
        sign_in(page, new_token("read"))
        page.get_by_role("link", name="trial").click()
        expect(page.get_by_role("region", name="web", exact=True)).to_contain_text("1 of 1 to 2")
        expect(page.get_by_text("you may look", exact=True)).to_be_visible()
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Destroy…")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()

        sign_in(page, new_token("scale", "--infra", infra_id))
        web = page.get_by_role("region", name="web", exact=True)
        web.get_by_role("button", name="One more of web").click()
        web.get_by_role("button", name="Scale to 2").click()
        expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(2)
        expect(page.get_by_role("link", name="Infrastructures")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.includes('token'))") == []

        sign_in(page, write)
        expect(page.get_by_role("button", name="Destroy…")).to_be_visible()
        (key,) = (one.split("\t")[0] for one in ready.ready("rest-service", "token", "list").stdout.splitlines()
                  if "a writeer" in one)  # fmt: skip
        ready.ready("rest-service", "token", "revoke", key)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("revoked")


def test_mistakes_are_shown_where_they_are(ready, serve, question):
    with serve(ready) as (_, client):
        visitor = question(client)
        page = visitor.go("#/new")
        nodes = f'  - name: web\n    typ: worker\n  - name: "{HOSTILE}"\n    type: 7\n'
        text = f"infra_name: trial\nuser_id: me\nnodes:\n{nodes}"
        page.get_by_label("Description").fill(text)
        page.get_by_role("button", name="Build").click()
        problems = page.get_by_role("alert")
        expect(problems).to_contain_text("Nothing was built")
        expect(problems).to_contain_text("typ: worker")
        expect(problems).to_contain_text(HOSTILE)
        visitor.look("mistakes")
        problems.get_by_role("button", name="line 5").first.click()
        expect(page.get_by_label("Description")).to_be_focused()
        start = page.evaluate("document.activeElement.selectionStart")
        assert text[:start].count("\n") == 4
        assert client.get("/overview").json == {"infrastructures": []}


def test_a_build_that_fails_says_why(ready, cloud, serve, question):
    cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": "web", "reason": HOSTILE}])
    with serve(ready) as (_, client):
        visitor = question(client)
        page = visitor.go("#/new")
        page.get_by_label("Description").fill((ready.folder / "trial.yaml").read_text())
        page.get_by_role("button", name="Build").click()
        expect(page.get_by_role("heading", name="The build failed and was undone")).to_be_visible()
        expect(page.get_by_role("paragraph").filter(has_text="What failed: web")).to_contain_text(HOSTILE)
        expect(page.get_by_role("region", name="Events")).to_contain_text("rolling back")
        visitor.look("failed")


def test_ill_nodes_on_a_phone_at_night(ready, cloud, serve, question, until):
    with serve(ready) as (_, client):
        infra_id = built(client, ready, until)
        visitor = question(client, color_scheme="dark", reduced_motion="reduce")
        page = visitor.go()
        expect(page.get_by_role("link", name="trial")).to_be_visible()
        visitor.look("phone-list", width=360)
        page.get_by_role("link", name="trial").click()
        expect(page.get_by_text("3 of 3 instances ready")).to_be_visible()
        cloud.set_faults([{"kind": "hang", "operation": "create"}])
        (machine,) = [one for one in cloud.machines(infra_id) if one["owner"]["node_name"] == "web"]
        cloud.change(machine["id"], "fail", HOSTILE)
        expect(page.get_by_role("region", name="Events")).to_contain_text(HOSTILE)
        visitor.look("phone-ill", width=360)


def test_a_service_that_goes_and_comes_back(ready, serve, question, until):
    with serve(ready) as (process, client):
        built(client, ready, until)
        visitor = question(client)
        page = visitor.go()
        page.get_by_role("link", name="trial").click()
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        process.send_signal(signal.SIGSTOP)  # the stream stays open, and says nothing
        process.send_signal(signal.SIGKILL)
        process.wait()
        port = int(client.base.rsplit(":", 1)[1])
        with held_port(port=port):
            expect(page.get_by_role("alert")).to_contain_text("does not answer")
            expect(page.get_by_text("not live")).to_be_visible()
            expect(page.get_by_role("heading", name="trial")).to_be_visible()
            visitor.look("away")
            with serve(ready, "--port", str(port)):
                page.get_by_role("button", name="Look again now").click()
                expect(page.get_by_role("alert")).to_have_count(0)
                expect(page.get_by_text("live", exact=True)).to_be_visible()


@pytest.mark.parametrize("part", ["list.js", "lib/preact.js", "style.css"])
def test_a_part_that_does_not_arrive_is_fetched_again(ready, serve, question, part):
    with serve(ready) as (_, client):
        visitor = question(client)
        visitor.page.route(f"**/page/{part}", lambda route: route.abort("internetdisconnected"), times=1)
        page = visitor.go()
        expect(page.get_by_role("heading", name="Nothing has been built yet")).to_be_visible()
        expect(page.get_by_role("banner")).to_have_css("display", "flex")


def test_an_infrastructure_that_never_was(ready, serve, question):
    with serve(ready) as (_, client):
        visitor = question(client)
        page = visitor.go("#/infrastructures/%3Cb%3Enone")
        expect(page.get_by_role("heading", name="There is no such infrastructure")).to_be_visible()
        expect(page.get_by_text("<b>none")).to_be_visible()


def test_what_is_not_yours_to_see(ready, serve, new_client, question, new_token, until):
    """The token of the tab is another one from now on: for one infrastructure, and not for this one."""
    write = new_token("write")
    with serve(ready) as (_, client):
        infra_id = built(new_client(client.base, write), ready, until)
        visitor = question(client)
        page = visitor.go(f"#/infrastructures/{infra_id}")
        sign_in(page, write)
        expect(page.get_by_text("3 of 3 instances ready")).to_be_visible()
        foreign = new_token("write", "--infra", "another")
        page.evaluate("(token) => sessionStorage.setItem('occopus-token', token)", foreign)
        expect(page.get_by_role("heading", name="Not yours to see")).to_be_visible()
        expect(page.get_by_text("this token is for another infrastructure")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(1)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        visitor.look("not-yours")
        page.reload()  # a client with such a token is shown its infrastructure
        expect(page.get_by_text("None has the id “another”, and none had.")).to_be_visible()


def test_one_that_is_spoilt_among_others(ready, serve, question, until):
    with serve(ready) as (_, client):
        spoilt, well = built(client, ready, until), built(client, ready, until)
        with contextlib.closing(sqlite3.connect(ready.store, timeout=60)) as connection, connection:
            connection.execute("UPDATE infrastructures SET targets = 'x' WHERE id = ?", (spoilt,))
        visitor = question(client)
        page = visitor.go()
        row = page.get_by_role("row").filter(has_text=spoilt)
        expect(row).to_contain_text("unreadable")
        expect(row).to_contain_text("in the store cannot be read: Expecting value")
        expect(page.get_by_role("row").filter(has_text=well)).to_contain_text("3 of 3 instances ready")
        visitor.look("spoilt", width=360)
        page.get_by_role("button", name="Needs attention").click()
        expect(page.get_by_role("row")).to_have_count(2)
        row.get_by_role("link").click()
        expect(page.get_by_role("alert")).to_contain_text(f"the infrastructure '{spoilt}' in the store cannot be read")
        page.get_by_role("link", name="Infrastructures").click()
        page.get_by_role("link", name="trial").click()
        expect(page.get_by_text("3 of 3 instances ready")).to_be_visible()


def copy_infrastructure(store, count):
    """Add this many infrastructures without instances, which no service maintains."""
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection, connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(infrastructures)")]
        chosen = ["?" if name == "id" else "0" if name == "maintained" else name for name in names]
        statement = f"INSERT INTO infrastructures SELECT {', '.join(chosen)} FROM infrastructures WHERE maintained"
        connection.executemany(statement, [(f"copy-{number}",) for number in range(count)])


def test_much(ready, cloud, serve, question, until):
    """A thousand instances in a node, a thousand infrastructures: some are shown, each can be found."""
    node = {"name": "web", "type": "worker", "scaling": {"min": 1000, "max": 1000}}
    many = {"user_id": "me", "infra_name": "many", "nodes": [node]}
    with serve(ready) as (_, client):
        infra_id = client.post("/infrastructures/", json.dumps(many)).json["infraid"]
        until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["state"] == "ready")
        copy_infrastructure(ready.store, 1000)
        visitor = question(client)
        page = visitor.go()
        expect(page.get_by_role("row")).to_have_count(101)
        page.get_by_role("searchbox").fill(infra_id)
        expect(page.get_by_role("row")).to_have_count(2)
        page.get_by_role("link", name="many").click()
        web = page.get_by_role("region", name="web", exact=True)
        expect(web.get_by_role("row")).to_have_count(13)
        last = list(client.get(f"/infrastructures/{infra_id}").json["web"]["instances"])[-1]
        web.get_by_role("searchbox").fill(last)
        expect(web.get_by_role("row")).to_have_count(2)
        visitor.look("many")


def test_the_example_is_the_quick_start(user, serve, question):
    with serve(user) as (_, client):
        visitor = question(client)
        page = visitor.go("#/new")
        web = page.get_by_role("group").filter(has_text="quickstart_web")
        web.get_by_text("quickstart_web").click()
        expect(web).to_contain_text("Made bylocal")
        expect(web).to_contain_text("Checked by")
        page.get_by_role("button", name="Start from an example").click()
        example = yaml.safe_load(page.get_by_label("Description").input_value())
        original = yaml.safe_load((user.folder / "infra.yaml").read_text())
        assert {**example, "user_id": original["user_id"]} == original
        visitor.look("example")


def test_an_address_that_is_a_url_is_a_link_and_no_other_is(ready, serve, question, until):
    addresses = ["http://127.0.0.1:9/app", "127.0.0.1", "javascript:alert(1)"]

    def answer(route):
        said = route.fetch()
        report = said.json()
        for instance in report["web"]["instances"].values():
            instance["addresses"] = addresses
        route.fulfill(response=said, json=report)

    with serve(ready) as (_, client):
        infra_id = built(client, ready, until)
        visitor = question(client)
        visitor.page.route(f"**/infrastructures/{infra_id}", answer)
        web = visitor.go(f"#/infrastructures/{infra_id}").get_by_role("region", name="web", exact=True)
        for address in addresses:
            expect(web.get_by_text(address, exact=True)).to_be_visible()
        expect(web.get_by_role("link")).to_have_count(1)
        expect(web.get_by_role("link")).to_have_attribute("href", addresses[0])
        visitor.page.unroute_all(behavior="wait")  # before the service ends
