"""An infrastructure description becomes the model."""

import json

import pytest

from occopus_core.descriptions.infrastructure import load_infrastructure, merged
from occopus_core.descriptions.model import AttributeMapping, Dependency, Infrastructure, NodeDescription, Scaling
from occopus_core.descriptions.problems import DescriptionError

FULL = """\
user_id: me
infra_name: shop
nodes:
  - &web
    name: web
    type: web_node
    filter: {type: ec2, regionname: eu}
    scaling: {min: 2, max: 5}
    variables: {colour: red, nested: {b: 2}}
  - &db
    name: db
    type: db_node
    scaling: {min: 3}
  - {name: cache, type: cache_node, scaling: {max: 4.0}}
dependencies:
  - [*web, *db]
  - connection: [web, cache]
    mappings:
      - [ip, db_ip]
      - {attributes: [port, db_port], synch: true}
variables:
  colour: blue
  nested: {a: 1, b: 1}
"""


def infrastructure(text, **options):
    return load_infrastructure(text, name="i.yaml", **options)


def test_everything():
    shared = {"colour": "blue", "nested": {"a": 1, "b": 1}}
    assert infrastructure(FULL) == Infrastructure(
        name="shop",
        nodes=(
            NodeDescription(
                name="web",
                type="web_node",
                filter={"type": "ec2", "regionname": "eu"},
                scaling=Scaling(2, 5),
                variables={"colour": "red", "nested": {"a": 1, "b": 2}},
            ),
            NodeDescription(name="db", type="db_node", scaling=Scaling(3, 3), variables=shared),
            NodeDescription(name="cache", type="cache_node", scaling=Scaling(1, 4), variables=shared),
        ),
        dependencies=(
            Dependency("web", "db"),
            Dependency("web", "cache", (AttributeMapping("ip", "db_ip"), AttributeMapping("port", "db_port", True))),
        ),
        user_id="me",
        variables=shared,
    )


def test_dependencies_know_their_place():
    assert [one.where for one in infrastructure(FULL).dependencies] == ["i.yaml:16:5", "i.yaml:17:5"]


def test_json_is_yaml_and_a_copy_of_a_node_is_that_node():
    nodes = [{"name": "a", "type": "t"}, {"name": "b", "type": "t"}]
    text = json.dumps({"infra_name": "x", "nodes": nodes, "dependencies": [nodes]})
    assert infrastructure(text).dependencies == (Dependency("a", "b"),)


def test_a_file(tmp_path):
    (tmp_path / "i.yaml").write_text(FULL)
    assert load_infrastructure(tmp_path / "i.yaml").name == "shop"


def test_bytes_of_a_request_body():
    assert infrastructure(FULL.encode(), imports=False).user_id == "me"
    with pytest.raises(DescriptionError, match="cannot import files"):
        infrastructure("infra_name: !text_import {url: file://x}", imports=False)


def test_warnings():
    warnings = []
    text = FULL.replace("user_id: me\n", "").replace("synch: true", "sync: true").replace("mappings:", "mapping:")
    infrastructure(text, warn=warnings.append)
    missing, mapping = map(str, warnings)
    assert missing == "i.yaml:1:1: the key 'user_id' is missing: this infrastructure has no owner"
    assert mapping.startswith("i.yaml:17:5: dependencies[1].mapping: the key 'mapping' means nothing here")
    assert mapping.endswith("did you mean 'mappings'?")


def test_a_faultless_description_warns_of_nothing():
    warnings = []
    infrastructure(FULL, warn=warnings.append)
    assert warnings == []


def test_problems_are_data():
    with pytest.raises(DescriptionError) as raised:
        infrastructure("infra_name: a b\nnodes: [{name: x, type: t, scaling: {min: -1}}]\n")
    assert [(one.path, one.position.line) for one in raised.value.problems] == [
        ("infra_name", 1),
        ("nodes[0].scaling.min", 2),
    ]


def test_variables_are_merged_at_every_depth_and_left_alone():
    base, over = {"a": {"b": {"c": 1, "d": 2}}, "l": [1]}, {"a": {"b": {"c": 9}, "x": None}, "l": [2], "n": {}}
    assert merged(base, over) == {"a": {"b": {"c": 9, "d": 2}, "x": None}, "l": [2], "n": {}}
    assert base == {"a": {"b": {"c": 1, "d": 2}}, "l": [1]}


def test_five_thousand_nodes_in_a_chain():
    nodes = "".join(f"- {{name: n{n}, type: t}}\n" for n in range(5_000))
    edges = "".join(f"- [n{n}, n{n + 1}]\n" for n in range(4_999))
    found = infrastructure(f"infra_name: x\nnodes:\n{nodes}dependencies:\n{edges}")
    assert len(found.nodes) == 5_000
    assert found.dependencies[-1] == Dependency("n4998", "n4999")


def test_thousands_of_unknown_names_are_all_reported():
    nodes = "".join(f"- {{name: node-{n}, type: t}}\n" for n in range(3_000))
    edges = "".join(f"- [nodes-{n}, node-0]\n" for n in range(3_000))
    with pytest.raises(DescriptionError) as raised:
        infrastructure(f"infra_name: x\nnodes:\n{nodes}dependencies:\n{edges}")
    assert len(raised.value.problems) == 3_000
    assert raised.value.problems[0].message == "there is no node 'nodes-0': did you mean 'node-0'?"


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("web: db", "this is not a pair: write [web, db]"),
        ("web: [db, cache]", "this is not a pair: write [web, db] and [web, cache]"),
        ("{mappings: []}", "the key 'connection' is missing"),
        ("{conection: [web, db]}", "the key 'connection' is missing: was it meant by 'conection'?"),
    ],
)
def test_a_mapping_in_the_place_of_a_pair_is_shown_as_one(edge, message):
    with pytest.raises(DescriptionError) as raised:
        infrastructure(
            f"infra_name: x\nnodes:\n- {{name: web, type: a}}\n- {{name: db, type: a}}\ndependencies:\n- {edge}\n"
        )
    assert str(raised.value) == f"i.yaml:6:3: dependencies[0]: {message}"
