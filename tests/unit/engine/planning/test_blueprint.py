import pytest

from occopus_core.descriptions.model import Implementation, NodeDefinition, NodeDescription
from occopus_core.engine.planning.blueprint import Blueprint, UnbuildableError

SMALL = Implementation({"type": "memory", "name": "small", "size": 1})
LARGE = Implementation({"type": "memory", "name": "large", "size": 2})
DEFINITION = NodeDefinition("app", (SMALL, LARGE))


def test_without_a_filter_every_implementation_fits_in_the_order_of_the_definition():
    assert Blueprint.of(NodeDescription("web", "app"), DEFINITION).implementations == (SMALL, LARGE)


def test_only_what_passes_the_filter_fits():
    wanted = NodeDescription("web", "app", filter={"size": 2, "type": "memory"})
    assert Blueprint.of(wanted, DEFINITION).implementations == (LARGE,)


def test_says_what_there_is_when_nothing_passes_the_filter():
    with pytest.raises(UnbuildableError) as caught:
        Blueprint.of(NodeDescription("web", "app", filter={"size": 3}), DEFINITION)
    assert str(caught.value) == (
        "node 'web': none of the implementations of 'app' passes its filter {\"size\": 3}; there are: small, large"
    )


def test_says_what_to_do_when_there_is_no_definition():
    with pytest.raises(UnbuildableError) as caught:
        Blueprint.of(NodeDescription("web", "app"), None)
    assert str(caught.value) == ("node 'web': there is no node definition 'app': import its file with occopus-import")
