"""Any text as a description or a template: a value or the one documented error. `make fuzz` looks further."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import Registry
from occopus_core.render import Renderer, TemplateError
from occopus_core.template_inspection import calls_commands, named_peers

pytestmark = pytest.mark.slow


REGISTRY = Registry()
QUICK = settings(
    max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
YAML = """
infra_name nodes name type scaling min max variables dependencies connection node_def:x resource contextualisation
health_check timeout ping ports - : [ ] { } , & * ! | > ? " ' # &a *a <<: !!int !yaml_import !!python/object ~ null true
1e999 .nan 0x7fffffffffffffffffff 2026-01-01 -1 sim 1
"""
JINJA = """
{{ }} {% %} {# #} if for in endfor endif set macro endmacro call filter raw endraw x 1 9**9 * ** | ~ + % ( ) [ ] . , 'a'
range loop self getip('b') cmd('x') namespace() |join |format |indent(9) |map('upper') |tojson __class__ joiner cycler
dict import include extends block recursive not is defined
"""
ODD = ["\n", "\t", "\0", "\ud800", "\u2028", "\x85"]
WORDS = st.sampled_from([*YAML.split(), *ODD])
PIECES = st.sampled_from([*JINJA.split(), *ODD])
ALIASES = [(a, b) for a, b in itertools.pairwise("abcdefghij")]
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in ALIASES)


def refused_or_read(data):
    for load in (
        lambda: load_infrastructure(data, name="fuzz", imports=False),
        lambda: load_node_definitions(data, REGISTRY, name="fuzz", imports=False),
    ):
        try:
            load()
        except DescriptionError as error:
            str(error)


@given(
    st.lists(WORDS | st.text(max_size=4), max_size=40).map(" ".join) | st.text(max_size=200) | st.binary(max_size=200)
)
@QUICK
def test_any_description(data):
    refused_or_read(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]",
        "&a ? *a : *a",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000 + "x",
        "? " * 50_000,
        "infra_name: " + "9" * 100_000,
        "nodes: [{name: a, type: b, scaling: {min: 1, max: " + "9" * 5_000 + "}}]",
        "infra_name: !!int '" + "9" * 5_000 + "'",
        "infra_name: 1:" + "1:" * 5_000 + "1",
        "infra_name: !!float " + "1:" * 5_000 + "1",
        "infra_name: !!timestamp 9999-99-99",
        "infra_name: !!binary ====",
        "? {a: b}\n: c",
        "? [a]\n: c",
        "<<: *nobody",
        "<<: [1, 2]",
        "infra_name: 'a\\ud800b'\nnodes: []",
        'infra_name: "\\ud800"\nnodes: [{name: "\\udfff", type: "\\0"}]',
        "%YAML 9.9\n--- a",
        "%TAG ! tag:x,2000:\n" * 1000 + "---\na",
        "a: b\n---\nc: d",
        "nodes: {" + ", ".join(f"k{n}: &x{n} v" for n in range(20_000)) + "}",
    ],
    ids=lambda text: text[:30],
)
def test_a_hostile_description(text):
    refused_or_read(text.encode("utf-8", "surrogatepass"))


@given(st.lists(PIECES | st.text(max_size=3), max_size=15).map(" ".join))
@example("{{ x.__class__.__mro__ }}")
@example("{{ ''|attr('format') }}")
@example("{{ '\ud800' }}")
@QUICK
def test_any_template(text):
    render = Renderer({"x": {"a": 1}}, {"getip": str, "cmd": str}, "here")
    for template in (text, f"{{{{ {text} }}}}", f"{{% {text} %}}"):
        try:
            render(template, at="there")
        except TemplateError as error:
            str(error)
        list(named_peers(template))
        calls_commands(template)
