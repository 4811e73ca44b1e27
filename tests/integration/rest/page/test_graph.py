"""The graph of many nodes: it fits, folds what differs by a number, and no line crosses a box."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.integration

TIERS = {"lb": 2, "web": 12, "api": 20, "worker": 20, "db": 6}
BOXES = 6
"""Two of them are the nodes of the tier `lb`: two are too few to fold."""
NEEDS = {"lb": ["web"], "web": ["api"], "api": ["db", "worker"], "worker": ["db"], "db": []}

CROSSED = """() => {
    const boxes = [...document.querySelectorAll('.drawing li')].map(li => ({
        name: li.textContent, left: li.offsetLeft, top: li.offsetTop, right: li.offsetLeft + li.offsetWidth,
        bottom: li.offsetTop + li.offsetHeight}));
    const crossed = [], paths = [...document.querySelectorAll('.drawing path.edge')];
    for (const path of paths) {
        const length = path.getTotalLength();
        for (let at = 2; at < length - 2; at += 2) {
            const {x, y} = path.getPointAtLength(at);
            const hit = boxes.find(box => x > box.left + 1 && x < box.right - 1
                && y > box.top + 1 && y < box.bottom - 1);
            if (hit) { crossed.push(`${hit.name} at ${x}, ${y}`); break; }
        }
    }
    return {boxes: boxes.length, lines: paths.length, crossed};
}"""
FITS = """() => {
    const canvas = document.querySelector('.canvas');
    return canvas.scrollWidth <= canvas.clientWidth;
}"""


def sixty():
    """Sixty nodes in five tiers; each needs two of the tier below, some beyond it."""
    nodes, edges = [], []
    for tier, count in TIERS.items():
        for number in range(count):
            nodes.append({"name": f"{tier}-{number}", "type": "worker"})
            edges += [
                [f"{tier}-{number}", f"{other}-{(number + step) % TIERS[other]}"]
                for other in NEEDS[tier]
                for step in range(2)
            ]
    return {"infra_name": "sixty", "user_id": "me", "nodes": nodes, "dependencies": edges}


@pytest.fixture
def drawn(ready, serve, question, until):
    """The page of sixty nodes."""
    with serve(ready) as (_, client):
        infra_id = client.post("/infrastructures/", json.dumps(sixty())).json["infraid"]
        until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["state"] == "ready")
        visitor = question(client)
        visitor.page.set_viewport_size({"width": 1400, "height": 900})
        yield visitor, visitor.go(f"#/infrastructures/{infra_id}")


def test_sixty_nodes_fit_and_open_in_natural_order(drawn):
    visitor, page = drawn
    graph = page.get_by_role("region", name="Nodes and")
    web = graph.get_by_role("button", name="web-0…11")
    expect(web).to_contain_text("12 nodes")
    expect(web).to_contain_text("12/12")
    expect(graph.locator(".card")).to_have_count(BOXES)
    assert page.evaluate(FITS)
    assert page.evaluate(CROSSED)["crossed"] == []
    visitor.look("sixty")
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings.index("web-2") < headings.index("web-10")

    web.click()
    expect(graph.locator(".card")).to_have_count(BOXES - 1 + 12)
    shown = [one for one in graph.locator(".card b").all_inner_texts() if one.startswith("web-")]
    assert shown == [f"web-{number}" for number in range(12)]
    tops = page.evaluate(
        "[...document.querySelectorAll('.drawing li')].filter(li => /^web-/.test(li.querySelector('b').innerText))"
        ".map(li => li.offsetTop)"
    )
    assert tops == sorted(tops)
    for name in ("api-0…19", "worker-0…19", "db-0…5"):
        graph.get_by_role("button", name=name).click()
    expect(graph.locator(".card")).to_have_count(60)
    found = page.evaluate(CROSSED)
    assert found["lines"] > 100
    assert found["crossed"] == []
    visitor.look("sixty-open")
    graph.get_by_role("button", name="Fold web-0…web-11").click()
    expect(web).to_be_visible()


def test_the_size_of_the_graph_is_chosen(drawn):
    _, page = drawn
    graph = page.get_by_role("region", name="Nodes and")
    expect(graph.locator(".card").first).to_be_visible()
    width = "document.querySelector('.drawing-size').offsetWidth"
    larger, fit = (graph.get_by_role("button", name=name) for name in ("Larger", "Fit"))
    larger.click()
    fit.click()  # the first drawing may be one that does not know the width of the window
    expect(fit).to_have_attribute("aria-pressed", "true")
    fitted = page.evaluate(width)
    larger.click()
    page.wait_for_function(f"{width} > {fitted} * 1.2")
    fit.click()
    page.wait_for_function(f"{width} === {fitted}")
    graph.get_by_role("button", name="Smaller").click()
    page.wait_for_function(f"{width} < {fitted} * 0.9")


def test_sixty_nodes_on_a_phone(drawn):
    visitor, page = drawn
    page.set_viewport_size({"width": 390, "height": 780})
    graph = page.get_by_role("region", name="Nodes and")
    expect(graph.locator(".card")).to_have_count(BOXES)
    page.wait_for_function(FITS)
    assert page.evaluate(CROSSED)["crossed"] == []
    visitor.look("sixty-phone", width=390)
    graph.get_by_role("button", name="db-0…5").click()
    expect(graph.locator(".card")).to_have_count(BOXES - 1 + 6)
    assert page.evaluate(CROSSED)["crossed"] == []
    visitor.look("sixty-phone-open", width=390)
