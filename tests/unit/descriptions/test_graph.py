"""The order of a start follows the dependencies first and the file second; a cycle is named."""

import itertools

import pytest

from occopus_core.descriptions.graph import CycleError, Edge, Graph
from occopus_core.descriptions.model import Dependency, Infrastructure, NodeDescription


def graph(nodes, *edges):
    return Graph(nodes, [Edge(dependent, dependee, f"{dependent} needs {dependee}") for dependent, dependee in edges])


@pytest.mark.parametrize(
    ("edges", "order"),
    [
        ([], "abcd"),
        (["ab"], "bacd"),
        (["da"], "abcd"),
        (["ac", "ab"], "cbad"),
        (["ab", "bc", "cd"], "dcba"),
        (["ab", "ab", "db"], "bacd"),
    ],
)
def test_order(edges, order):
    assert graph("abcd", *edges).order == tuple(order)


def test_neighbours():
    made = graph("abcd", "ab", "ac", "dc")
    assert made.dependees("a") == ("b", "c")
    assert made.dependents("c") == ("a", "d")
    assert made.dependees("b") == made.dependents("a") == ()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (["aa"], "a -> a (closed by a needs a)"),
        (["ab", "ba"], "a -> b -> a (closed by b needs a)"),
        (["ba", "ab"], "b -> a -> b (closed by a needs b)"),
        (["ab", "bc", "cd", "db"], "b -> c -> d -> b (closed by d needs b)"),
        (["db", "ab", "cd", "bc"], "c -> d -> b -> c (closed by b needs c)"),
    ],
)
def test_cycle(edges, message):
    with pytest.raises(CycleError) as raised:
        graph("abcd", *edges)
    assert str(raised.value) == message
    assert raised.value.nodes[0] == raised.value.nodes[-1]


def test_edges_of_templates_close_a_cycle_too():
    infrastructure = Infrastructure(
        "x",
        (NodeDescription("web", "t"), NodeDescription("db", "t")),
        (Dependency("web", "db", where="i.yaml:7:5"),),
    )
    assert Graph.of(infrastructure).order == ("db", "web")
    with pytest.raises(CycleError) as raised:
        Graph.of(infrastructure, [Edge("db", "web", "getip('web') in node_def:db[0].contextualisation")])
    assert str(raised.value) == "web -> db -> web (closed by getip('web') in node_def:db[0].contextualisation)"
    with pytest.raises(CycleError, match=r"closed by the dependency at i\.yaml:7:5"):
        Graph.of(Infrastructure("x", infrastructure.nodes, (Dependency("db", "web"), *infrastructure.dependencies)))


def test_an_unknown_node_is_an_error_of_the_caller():
    with pytest.raises(KeyError):
        graph("a", "ab")


def test_five_thousand_nodes():
    names = [f"n{number}" for number in range(5_000)]
    chain = graph(names, *itertools.pairwise(names))
    assert chain.order == tuple(reversed(names))
    star = graph(names, *((name, names[-1]) for name in names[:-1]))
    assert star.order == (names[-1], *names[:-1])
    with pytest.raises(CycleError) as raised:
        graph(names, *zip(names, [*names[1:], names[0]], strict=True))
    assert len(raised.value.nodes) == 5_001
