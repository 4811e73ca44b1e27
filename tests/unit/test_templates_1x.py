"""Features that templates of 1.x relied on."""

import pytest

from occopus_core.api import Address
from occopus_core.descriptions.loader import load
from occopus_core.render import CONTEXT_TEMPLATE, Renderer, TemplateError
from occopus_core.template_functions import functions
from occopus_core.template_inspection import inspect
from occopus_core.templates_1x import Templates1x, folded, is_plain, unfolded

NODES = ("master", "ping-receiver", "web-1")


class Town:
    def addresses(self, node_name):
        if node_name not in NODES:
            raise LookupError(f"there is no node '{node_name}'")
        return [[Address(f"192.0.2.{NODES.index(node_name)}")]]

    def node_ids(self, node_name):
        return [f"id-of-{node_name}" for _ in self.addresses(node_name)]


class Rendering:
    def __init__(self, former=False, **names):
        self.warnings = []
        self.render = Renderer(
            names, functions(Town()), "node 'n'", manners=Templates1x(NODES, former, self.warnings.append)
        )

    def __call__(self, value, at="s.t"):
        return self.render(value, at=at)


# Nodes without quotes


@pytest.mark.parametrize(
    ("template", "expected", "names"),
    [
        ("{{getip(master)}}", "192.0.2.0", ["master"]),
        ("{{ getip( ping-receiver ) }}", "192.0.2.1", ["ping-receiver"]),
        ("{{ getprivip(web-1) }} {{getip(master)}}", "192.0.2.2 192.0.2.0", ["web-1", "master"]),
        ("{% for ip in getipall(web-1) %}{{ip}};{% endfor %}", "192.0.2.2;", ["web-1"]),
        ("{{getip('master')}} {{getip(where)}}", "192.0.2.0 192.0.2.1", []),
        ("{% raw %}{{getip(master)}}{% endraw %} getip(master)", "{{getip(master)}} getip(master)", []),
        ("{{ find_node_id(master) }}", "id-of-master", ["master"]),
    ],
)
def test_a_node_without_quotes_is_the_node_with_a_warning(template, expected, names):
    rendering = Rendering(where="ping-receiver")
    assert rendering(template) == expected
    assert rendering.warnings == [f"node 'n': s.t: put quotes around the name of a node: '{name}'" for name in names]


def test_a_variable_of_the_same_name_wins():
    rendering = Rendering(master="web-1")
    assert rendering("{{getip(master)}}") == "192.0.2.2"
    assert rendering.warnings == []


@pytest.mark.parametrize("text", ["{{getip(master)}}", "{{ getip(a-b-c) }}", "{{getip(master) ~ variables.x}}"])
def test_import_leaves_such_names_to_the_build(text):
    assert inspect(text, ()) == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{getip(mastr)}}", "node 'n': s.t: 'mastr' is undefined"),
        ("{{ variabels.x }}", "node 'n': s.t: 'variabels' is undefined: did you mean 'variables'?"),
        ("{{ eth0 }}", "node 'n': s.t: 'eth0' is undefined: put quotes around it if text is meant: 'eth0'"),
    ],
)
def test_an_undefined_name_is_an_error_with_a_hint(template, message):
    with pytest.raises(TemplateError) as raised:
        Rendering(variables={})(template)
    assert str(raised.value).startswith(message)


def test_what_is_known_of_a_node_by_its_id():
    rendering = Rendering()
    assert rendering("{{ ibget('node.resource.address', find_node_id('web-1')) }}") == "192.0.2.2"
    assert rendering("{{ ibget('node.resource.ip_address', find_node_id(master)) }}") == "192.0.2.0"
    with pytest.raises(TemplateError, match=r"ibget has no 'node.x'; it has: node.resource.address"):
        rendering("{{ ibget('node.x', 'y') }}")
    with pytest.raises(TemplateError, match="takes the id that find_node_id gives"):
        rendering("{{ ibget('node.resource.address', 'y') }}")


# Undefined names


@pytest.mark.parametrize(
    ("template", "expected", "names"),
    [
        ("[{{ nothing }}]", "[]", ["nothing"]),
        ("{{ variables.none }}{{ variables['other'] }}", "", ["variables.none", "variables.other"]),
        ("{% if variables.none %}x{% endif %}y", "y", ["variables.none"]),
        ("{% for x in variables.none %}x{% endfor %}", "", ["variables.none"]),
        ("{{ nothing | default('d') }} {{ variables.none | default('d') }}", "d d", []),
        ("{{ nothing is defined }}", "False", []),
        ("{{ variables.a }} {{ variables.a.keys() | list }}", "{'x': 1} ['x']", []),
    ],
)
def test_undefined_names_render_empty_with_a_warning_each(template, expected, names):
    rendering = Rendering(former=True, variables={"a": {"x": 1}})
    assert rendering(template) == expected
    assert rendering.warnings == [f"node 'n': s.t: '{name}' is undefined and renders empty" for name in names]


def test_they_are_errors_without_the_setting():
    with pytest.raises(TemplateError):
        Rendering(variables={})("{{ variables.none }}")


# Values of variables


@pytest.mark.parametrize(
    ("written", "printed"),
    [("0644", "0644"), ("1.10", "1.1"), ("true", "True"), ("", "None"), ("0x1F", "31"), ("yes", "yes")],
)
def test_values_print_as_they_did(written, printed):
    variables = load(f"v: {written}\n", name="t").data
    assert Rendering(former=True, variables=variables)("{{variables.v}}") == printed


# Folded lines


KEY = "ssh-rsa AAAA\n\nBBBB\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{key}}", "ssh-rsa AAAA\nBBBB "),
        ("echo {{key}}", "echo ssh-rsa AAAA\nBBBB"),
        ("'{{key}}' x", "'ssh-rsa AAAA\nBBBB ' x"),
        ("{{key}}\n", "ssh-rsa AAAA\nBBBB \n"),
        ("a\n{{line}}\n  b\n", "a\nx y\n  b\n"),
        ("a\nb {{ '1' }}\n", "a\nb 1\n"),
        ("{{line}}\tx", "x y\tx"),
        ("no template:\n\tkept\n", "no template:\n\tkept\n"),
    ],
)
def test_lines_of_a_value_are_folded_in_a_context_template(text, expected):
    rendering = Rendering(former=True, key=KEY, line="x\ny")
    assert rendering({"a": [text]}, at=CONTEXT_TEMPLATE) == {"a": [expected]}


def test_nothing_is_folded_elsewhere_nor_without_the_setting():
    assert Rendering(former=True, key=KEY)({"a": "{{key}}"}, at="contextualisation.env") == {"a": KEY}
    assert Rendering(former=True, key=KEY)("{{key}}", at=CONTEXT_TEMPLATE) == KEY
    assert Rendering(key=KEY)({"a": "{{key}}"}, at=CONTEXT_TEMPLATE) == {"a": KEY}


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a: b",
        " a",
        "a\nb",
        "a\n\nb\n",
        "a\n b",
        "\n",
        "\n\na\t\n",
        "x\n\n\ny",
        "a\tb\n c",
        "{%raw%}\n{%endraw%}",
    ],
)
def test_a_text_without_values_is_not_changed(text):
    assert folded(unfolded(text), plain=is_plain(text)) == text
