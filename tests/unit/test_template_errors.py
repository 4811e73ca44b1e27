"""Errors of templates hold no value of a variable, whatever the expression; names and places stay."""

from __future__ import annotations

import base64
import os
import string
import traceback

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from occopus_core import plain, render_process
from occopus_core.api import Address
from occopus_core.render import Renderer, TemplateError
from occopus_core.template_functions import functions

EXAMPLES = int(os.environ.get("OCCOPUS_TEST_EXAMPLES", "200"))


class Town:
    """The nodes of an infrastructure, whose messages repeat what they are asked for."""

    def addresses(self, node_name):
        if node_name == "late":
            raise LookupError(f"it was not seen beforehand that it needs '{node_name}'", node_name)
        if node_name not in ("web", "empty"):
            raise LookupError(f"there is no node '{node_name}'; the nodes are: web")
        return [[Address("203.0.113.1")]] if node_name == "web" else []

    def node_ids(self, node_name):
        return ["id"] if self.addresses(node_name) else []


def scope_of(secret):
    return {
        "variables": {
            "password": secret,
            "size": 3,
            "list": [secret, "b"],
            "db": {"password": secret, "port": 1},
            "node": "late",
            "empty": "empty",
        },
        "attributes": {"key": secret},
        "handed": secret,
        "deep": {"token": secret},
        "name": "lb",
    }


def rendered(text, secret):
    """The text, or the message of its error with everything that a log would hold of it."""
    try:
        return Renderer(scope_of(secret), functions(Town()), "node 'lb'")(text, at="s.t"), None
    except TemplateError as error:
        return None, f"{error}\n{error!r}\n{''.join(traceback.format_exception(error))}"


def parts(secret):
    """What gives a secret away: runs of its characters, in both directions, and their base64."""
    for text in (secret, secret[::-1], base64.b64encode(secret.encode()).decode().strip("=")[:-2]):
        folded = text.casefold()
        yield from (folded[at : at + 8] for at in range(len(folded) - 7))


def assert_hidden(secret, message):
    found = [part for part in parts(secret) if part in message.casefold()]
    assert not found, message


# Expressions


def _words(text):
    return text.split()


SECRETS = st.sampled_from(
    [
        "variables.password",
        "variables['password']",
        "variables.list[0]",
        "variables.db.password",
        "attributes.key",
        "handed",
        "deep.token",
        "variables",
        "deep",
    ]
)
OTHERS = st.sampled_from(["variables.size", "'x'", "3", "[]", "{}", "none", "name", "undefined_name", "'web'", "''"])
FILTERS = _words(
    "int float list first last length join upper lower trim string b64encode tojson abs round sum "
    "sort unique items reverse title capitalize dictsort xmlattr filesizeformat wordcount urlencode "
    "pprint batch(2) slice(0) min max random striptags urlize wordwrap(0) truncate(5) center(3) "
    "indent escape nosuch"
)
TAKING = _words(
    "attr default map select reject selectattr groupby sort round join replace truncate batch indent "
    "urlize dictsort center int sum xmlattr"
)
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or"]
METHODS = [
    "format",
    "format_map",
    "upper",
    "split",
    "join",
    "encode",
    "center",
    "index",
    "nosuch",
    "items",
    "zfill",
    "startswith",
    "__class__",
]
TESTS = ["defined", "none", "number", "mapping", "sameas", "divisibleby", "filter", "test", "in"]
FUNCTIONS = [
    "getip",
    "getprivip",
    "getipall",
    "find_node_id",
    "ibget",
    "cut",
    "range",
    "dict",
    "cycler",
    "joiner",
    "namespace",
]


def combined(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda two: f"({two[0]})[{two[1]}]"),
        pair.map(lambda two: f"{{{two[0]}: 1}}[{two[1]}]"),
        pair.map(lambda two: f"[{two[0]}, {two[1]}]"),
        pair.map(lambda two: f"dict(**{{{two[0]}: {two[1]}}})"),
        st.tuples(inner, st.sampled_from(["x", "password", "__class__"])).map(lambda two: f"({two[0]}).{two[1]}"),
        inner.map(lambda one: f"{{{one}: 1}}.x"),
        inner.map(lambda one: f"('%(' ~ {one} ~ ')d') % {{}}"),
        inner.map(lambda one: f"('{{' ~ {one} ~ '}}').format()"),
        inner.map(lambda one: f"('__' ~ {one})"),
        st.tuples(inner, st.sampled_from(FILTERS)).map(lambda two: f"({two[0]}) | {two[1]}"),
        st.tuples(inner, st.sampled_from(TAKING), inner).map(lambda three: f"({three[0]}) | {three[1]}({three[2]})"),
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda three: f"({three[0]}) {three[1]} ({three[2]})"),
        st.tuples(inner, st.sampled_from(METHODS), inner).map(lambda three: f"({three[0]}).{three[1]}({three[2]})"),
        st.tuples(inner, st.sampled_from(TESTS), inner).map(lambda three: f"({three[0]}) is {three[1]}({three[2]})"),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda two: f"{two[0]}({two[1]})"),
        st.tuples(st.sampled_from(FUNCTIONS), inner, inner).map(lambda three: f"{three[0]}({three[1]}, {three[2]})"),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda two: f"{two[0]}(**{{{two[1]}: 1}})"),
        inner.map(lambda one: f"({one})()"),
        inner.map(lambda one: f"({one})[1:{one}]"),
        inner.map(lambda one: f"-({one})"),
    )


EXPRESSIONS = st.recursive(st.one_of(SECRETS, SECRETS, OTHERS), combined, max_leaves=5)
STATEMENTS = st.one_of(
    EXPRESSIONS.map(lambda one: f"{{{{ {one} }}}}"),
    EXPRESSIONS.map(lambda one: f"{{% for a, b in {one} %}}{{{{ a[b] }}}}{{% endfor %}}"),
    EXPRESSIONS.map(lambda one: f"{{% include {one} %}}"),
    EXPRESSIONS.map(lambda one: f"{{% import {one} as x %}}"),
    EXPRESSIONS.map(
        lambda one: f"{{% macro m(a) %}}{{{{ {{}}[a] }}}}{{% endmacro %}}{{{{ m(**{{{one}: 1}}) }}}}{{{{ m({one}) }}}}"
    ),
    EXPRESSIONS.map(lambda one: f"{{% set x = {one} %}}{{{{ x.y }}}}"),
    EXPRESSIONS.map(lambda one: f"{{% with x = {one} %}}{{{{ {{}}[x] }}}}{{% endwith %}}"),
)
MARKERS = st.text(string.ascii_letters + string.digits, min_size=24, max_size=40)
AROUND = st.sampled_from(
    [("", ""), ("{", "}"), ("%(", ")d"), ("__", "__"), ("{0.", "}"), ("'", '"'), ("%", ""), ("9", "\n")]
)


def in_this_process(monkeypatch):
    """Templates that are not plain are rendered here, too: starting a process for each takes long."""
    monkeypatch.setattr(plain, "is_plain", lambda _text: True)


@settings(
    max_examples=EXAMPLES,
    derandomize="OCCOPUS_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(STATEMENTS, MARKERS, AROUND)
@example("{{ {}[variables.password] }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ variables[variables.password] }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ variables.password.format() }}", "abcdefghijklmnopqrstuvwxyz", ("{", "}"))
@example("{{ ['a'] | map(variables.password) | list }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ getip(variables.password) }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ 'a' | attr(variables.password) }}", "abcdefghijklmnopqrstuvwxyz", ("__", "__"))
@example("{{ cut(**{variables.password: 1}) }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ {variables.password: 1}.x }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ 'a'.index(variables.password) }}{{ variables.password * 'a' }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ variables.password | filesizeformat }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ {}[undefined_name] }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ ibget(9 ** 9999, undefined_name) }}", "abcdefghijklmnopqrstuvwxyz", ("", ""))
@example("{{ {variables.password: 1} | xmlattr }}", "abcdefghijklmnopqrstuvwxyz", (" ", ""))
def test_no_error_of_a_template_holds_a_secret(text, marker, around):
    secret = f"{around[0]}{marker}{around[1]}"
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_this_process(monkeypatch)
        _, message = rendered(text, secret)
    if message is not None:
        assert message.startswith("node 'lb': s.t")
        assert_hidden(marker, message)


@pytest.mark.parametrize(
    "expression",
    [
        "{}[variables.password]",
        "{'a': 1} | attr('__' ~ variables.password)",
        "['a'] | map(variables.password) | list",
        "getip(variables.password) | tojson",
        "variables.password | filesizeformat",
        "getip(variables.password, 2) | tojson",
        "dict(a=1)[variables.password]",
    ],
)
def test_nor_does_one_of_a_process_of_its_own(expression):
    text, secret = f"{{{{ {expression} | groupby('x') }}}}", "abcdefghijklmnopqrstuvwxyz"
    assert not plain.is_plain(text)
    _, message = rendered(text, secret)
    assert_hidden(secret, message)


@pytest.mark.parametrize(("node", "shown"), [("late", "late"), ("hunter22", "***")])
def test_names_of_nodes_are_shown_from_a_process_of_its_own(node, shown):
    with pytest.raises(TemplateError) as caught:
        Renderer({"node": node}, functions(Town()), "node 'lb'")("{{ getip(node) | pprint }}", at="s.t")
    assert f"'{shown}'" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_nor_one_of_a_value_that_cannot_be_copied_to_it():
    class Local:
        def __reduce__(self):
            raise ValueError("abcdefghijklmnopqrstuvwxyz")

    with pytest.raises(TemplateError) as caught:
        Renderer({"a": Local()}, {}, "node 'lb'")("{{ a | pprint }}", at="s.t")
    assert str(caught.value) == "node 'lb': s.t: a value that it uses cannot be copied: ValueError"
    assert "abcdef" not in "".join(traceback.format_exception(caught.value))


HELD_BACK = "its message is not shown, because it may hold the value of a variable"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{}[variables.password]", "the mapping has no such key; it is empty"),
        ("{'a': 1}[variables.password]", "the mapping has no such key; it has: a"),
        ("{variables.password: 1}.x", "the mapping has no 'x'"),
        (
            "variables[variables.password]",
            "variables has no such key; it has: db, empty, list, node, password, size",
        ),
        ("variables.db['host']", "variables.db has no 'host'; it has: password, port"),
        ("variables.password.x", "'str object' has no attribute 'x'"),
        ("variables.list[7]", "'list object' has no element 7"),
        ("variables.list[variables.size]", "'list object' has no such element"),
        ("'a'[variables.password]", "'str object' has no such attribute"),
        ("''.__class__", "access to attribute '__class__' of 'str' object is unsafe."),
        ("'' | attr('__' ~ 'class__')", "access to attribute of that name of 'str' object is unsafe."),
        ("getip(variables.password)", "there is no node '***'; the nodes are: web"),
        ("getip('db')", "there is no node 'db'; the nodes are: web"),
        (
            "'' }}{% macro ask() %}{{ getip(variables.password) }}{% endmacro %}{{ ask()",
            "there is no node '***'; the nodes are: web",
        ),
        ("getip(variables.node)", "it was not seen beforehand that it needs 'late'"),
        ("getip(variables.empty)", "node 'empty' has no instance in service with an address"),
        (
            "ibget(variables.password, 'x')",
            "ibget has no '***'; it has: node.resource.address, node.resource.ip_address",
        ),
        ("['a'] | map('nosuch') | list", "No filter named 'nosuch'."),
        ("['a'] | map(variables.password) | list", f"the filter 'list' raised TemplateRuntimeError: {HELD_BACK}"),
        ("variables.password.index('x')", "ValueError: substring not found"),
        ("variables.password | wordwrap(0)", f"the filter 'wordwrap' raised ValueError: {HELD_BACK}"),
        ("variables.password | truncate(1)", f"the filter 'truncate' raised AssertionError: {HELD_BACK}"),
        ("'a'.encode(variables.password)", f"the method 'encode' raised LookupError: {HELD_BACK}"),
        ("['a'] | map('wordwrap', 0) | list", f"the filter 'wordwrap' raised ValueError: {HELD_BACK}"),
        ("'%d' % variables.password", "TypeError: %d format: a real number is required, not str"),
        ("'%z' % variables.password", f"the operator '%' raised ValueError: {HELD_BACK}"),
        ("variables.password + 1", 'TypeError: can only concatenate str (not "int") to str'),
        ("1 + variables.password", "TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        ("cut(variables.password)", "TypeError: cut() missing 2 required positional arguments: 'start' and 'end'"),
        ("variables.password()", "TypeError: 'str' object is not callable"),
        ("variables.password < 1", "TypeError: '<' not supported between instances of 'str' and 'int'"),
        ("[] | first", "No first item, sequence was empty."),
        ("range(1000000)", "OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."),
        ("'a'.ljust(1000000)", "no number here may be larger than 100000"),
    ],
)
def test_names_types_and_literals_are_shown(expression, reason, monkeypatch):
    in_this_process(monkeypatch)
    _, message = rendered(f"first\n{{{{ {expression} }}}}", "hunter22")
    assert message.splitlines()[0] == f"node 'lb': s.t, line 2: {reason}"


def test_what_a_function_raises_beyond_its_contract_is_held_back_in_both_processes():
    def fail(text):
        raise RuntimeError(text)

    for text in ("{{ cmd('hunter22') }}", "{{ cmd('hunter22') | pprint }}"):
        with pytest.raises(TemplateError) as caught:
            Renderer({}, {"cmd": fail}, "node 'lb'")(text, at="s.t")
        assert str(caught.value) == f"node 'lb': s.t: RuntimeError: {HELD_BACK}"
        assert "hunter22" not in "".join(traceback.format_exception(caught.value))
    assert render_process._answer(fail, ["hunter22"]) == {"refused": f"RuntimeError: {HELD_BACK}", "names": ()}
