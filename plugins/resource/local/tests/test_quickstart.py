"""The quick start of the project, node by node, on this handler."""

import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

from occopus_core.api import Context, InstanceState
from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.descriptions.loader import load
from occopus_core.render import Renderer
from occopus_core.template_functions import functions

from .conftest import DEADLINE

QUICKSTART = Path(__file__).parents[4] / "examples" / "quickstart"


class Quickstart:
    """Builds the nodes of the quick start as the engine does: rendered, in order of their dependencies."""

    def __init__(self, host):
        self.host = host
        self.definitions = load(QUICKSTART / "nodes.yaml").data
        self.made = {"web": [], "loadbalancer": []}
        self.infra_id = uuid.uuid4().hex  # separates it from other tests on this computer, which also broadcast

    def addresses(self, node_name):
        return [instance.addresses for instance in self.made[node_name]]

    def add(self, node, number):
        section = self.definitions[f"node_def:quickstart_{node}"][0]["contextualisation"]
        names = {
            "name": node,
            "node_id": f"id-{number}",
            "infra_id": self.infra_id,
            "variables": {"greeting": "Hello", "title": "the title"},
        }
        context = CloudInit().contextualise(section, Renderer(names, functions(self), node))
        self.made[node].append(self.host.create(self.request(context, f"{node}-{number}")))
        return self.made[node][-1]

    def request(self, context: Context, token):
        return self.host.request(token, user_data=context.user_data)


def page(instance):
    """The body of a node's page; empty while the node does not answer properly."""
    try:
        with urllib.request.urlopen(f"http://{instance.addresses[0].value}:8080/", timeout=DEADLINE) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return ""
    except urllib.error.URLError:
        return ""


@pytest.fixture
def quickstart(host):
    return Quickstart(host)


def test_the_load_balancer_asks_every_web_node_and_skips_a_dead_one(host, quickstart):
    webs = [quickstart.add("web", number) for number in range(2)]
    for web in webs:
        host.until(lambda web=web: page(web))
    balancer = quickstart.add("loadbalancer", 0)
    host.until(lambda: page(balancer))

    pages = [page(balancer) for _ in range(4)]
    assert set(pages) == {page(web) for web in webs}
    assert pages[0] == pages[2] != pages[1] == pages[3]
    assert "<h1>Hello</h1>" in pages[0]
    assert any(f"id-0</p>\n<p>at {webs[0].addresses[0].value}</p>" in each for each in pages[:2])

    host.delete(webs[0].token)
    assert [page(balancer) for _ in range(3)] == [page(webs[1])] * 3
    host.delete(webs[1].token)
    assert page(balancer) == ""
    assert host.state(balancer.token) is InstanceState.READY


def test_the_load_balancer_finds_web_nodes_added_later(host, quickstart):
    balancer = quickstart.add("loadbalancer", 0)
    for number in range(2):
        quickstart.add("web", number)
    host.until(lambda: len({page(balancer) for _ in range(4)} - {""}) == 2)
    quickstart.infra_id = uuid.uuid4().hex
    stranger = quickstart.add("web", 2)
    host.until(lambda: page(stranger))
    assert page(stranger) not in {page(balancer) for _ in range(6)}
