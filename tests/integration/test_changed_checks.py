"""Updates that change health checks alone, with real commands: the instances that run have to pass them first."""

from __future__ import annotations

import http.server
import json
import signal
import threading

import pytest

from .conftest import wait_until

pytestmark = pytest.mark.integration


class Pages:
    """A server of this test, whose pages are `found` or not; `asked` has those that were asked for."""

    def __init__(self):
        self.found = {"/old"}
        self.asked = []
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                pages.asked.append(self.path)
                self.send_response(200 if self.path in pages.found else 404)
                self.end_headers()

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, page):
        return f"http://127.0.0.1:{self.server.server_port}/{page}"


@pytest.fixture
def pages():
    pages = Pages()
    thread = threading.Thread(target=pages.server.serve_forever)
    thread.start()
    yield pages
    pages.server.shutdown()
    thread.join()
    pages.server.server_close()


@pytest.fixture
def shop(workspace, pages):
    """Two instances on this machine, healthy by a page; `old.yaml`, `new.yaml` and `hasty.yaml` differ in that."""
    for name, page, timeout in (("old", "old", 500), ("new", "new", 500), ("hasty", "new", 1)):
        node = {
            "resource": {"type": "local"},
            "contextualisation": {"type": "cloudinit", "context_template": {"runcmd": ["exec sleep 3002"]}},
            "health_check": {"ping": False, "urls": [pages.url(page)], "timeout": timeout},
        }
        workspace.write(f"{name}.yaml", json.dumps({"node_def:app": [node]}))
    nodes = [{"name": "app", "type": "app", "scaling": {"min": 2, "max": 2}}]
    workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": nodes}))
    workspace.ready("build", "-i", "shop", "--parallelize", "--nodes", "old.yaml", "infra.yaml")
    yield workspace
    workspace.ready("destroy", "-i", "shop")


def instances(shop):
    return set(shop.report("shop")["app"]["instances"])


def page_in_force(shop, pages):
    """The page that maintenance asks for."""
    pages.asked.clear()
    shop.run("maintain", "-i", "shop")
    (page,) = set(pages.asked)
    return page


def test_a_check_that_no_running_instance_passes_fails_the_update_and_is_not_in_force(shop, pages):
    before = instances(shop)
    planned = shop.ready("build", "-i", "shop", "--nodes", "hasty.yaml", "--plan", "infra.yaml")
    assert "= keep 2 x app: the build waits until it passes its new health checks" in planned.stdout
    ended = shop.run("build", "-i", "shop", "--nodes", "hasty.yaml", "infra.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    (error, undone) = ended.stderr.splitlines()[-2:]
    assert error.startswith("error: node 'app' (local"), ended.stderr
    assert "is not healthy by its new health checks within 1 s: " in error
    assert "404" in error
    assert error.endswith(
        "(health_check: urls); it is kept, and the former description with its health checks stays in force"
    )
    assert undone == "the build failed and was undone"
    assert instances(shop) == before
    assert page_in_force(shop, pages) == "/old"
    assert instances(shop) == before


def test_a_check_that_passes_is_in_force_with_the_same_instances(shop, pages):
    before = instances(shop)
    pages.found = {"/old", "/new"}
    shop.ready("build", "-i", "shop", "--nodes", "new.yaml", "infra.yaml")
    assert page_in_force(shop, pages) == "/new"
    assert instances(shop) == before
    pages.asked.clear()
    shop.ready("build", "-i", "shop", "--nodes", "new.yaml", "infra.yaml")
    assert len(pages.asked) == 2, "nothing has changed: only the look at the instances"


def test_a_build_that_is_killed_while_it_waits_is_continued(shop, pages):
    before = instances(shop)
    with shop.start("build", "-i", "shop", "--nodes", "new.yaml", "infra.yaml") as process:
        wait_until(lambda: "/new" in pages.asked)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [one for (one,) in shop.query("SELECT DISTINCT unhealthy_since FROM instances")] == [None]
    shop.await_lease("shop")
    pages.found = {"/old", "/new"}
    shop.ready("maintain", "-i", "shop")
    assert page_in_force(shop, pages) == "/new"
    assert instances(shop) == before
