"""Whatever a template does, it takes no more than the stated time and memory; the shortest run of the fuzzer."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from occopus_core import render_process
from occopus_core.evaluate import environment
from occopus_core.plain import is_plain
from occopus_core.render import CutOffError, Renderer, TemplateError
from occopus_core.template_functions import cut

from ..fuzz.grammar import CHILD_MIB, CHILD_SECONDS, Grammar, check

UNCOUNTED = [
    "{% for i in range(99999) recursive %}{% for j in range(99999) recursive %}{% endfor %}{% endfor %}",
    "{{ range(99999) | list | tojson(indent=99999) }}",
    "{{ range(99999) | list | tojson(indent=9999) }}",
    "{{ range(99999) | map('center', 99999) | list | pprint }}",
    "{{ (range(99999) | list) | sort | groupby('real') | list | groupby(0) | pprint | pprint }}",
    "{% set a = [1] %}{% for i in range(26) %}{% set a = [a, a] %}{% endfor %}{{ [1, a] == [1, a] }}",
    "{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a|string }}",
    "{% set ns = namespace(a=3**9) %}{% for i in range(99) %}{% set ns.a = ns.a * ns.a %}{% endfor %}{{ ns.a / 7 }}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}" + "{% call m() %}" * 60 + "x" + "{% endcall %}" * 60,
]


def render(text, **functions):
    scope = {"cut": cut, "getip": str, **functions}
    return Renderer({"variables": {"a": [1, 2]}, "x": "x"}, scope, "here")(text, at="there")


@pytest.mark.parametrize("text", UNCOUNTED, ids=lambda text: text[:50])
def test_what_cannot_be_counted_is_cut_off_by_the_system(text):
    began = time.process_time()
    try:
        assert len(render(text)) < render_process.LONGEST_TEXT
    except CutOffError as error:
        assert re.match("here: there: the template (takes|makes)", str(error))  # noqa: PT017
    assert time.process_time() - began < 2
    assert not is_plain(text)


def test_the_fuzzer_finds_nothing_above_the_limits():
    seen, measured = check(200, seed=7)
    assert measured["seconds of a child"] <= CHILD_SECONDS
    assert measured["MiB of a child"] <= CHILD_MIB
    assert {"apart rendered", "plain rendered", "apart TemplateError"} <= set(seen.outcomes)


def test_the_grammar_has_all_filters_tests_and_globals_and_every_statement():
    grammar = Grammar(random.Random(1))
    text = "".join(grammar.template() for _ in range(20_000))
    known = environment()
    assert {name for name in known.filters if " " not in name} <= set(re.findall(r"\| (\w+)", text))
    assert {name for name in known.tests if name.isidentifier()} <= set(re.findall(r"is (?:not )?(\w+)", text))
    assert set(known.globals) <= set(re.findall(r"(\w+)\(", text))
    for statement in ("for", "set", "if", "macro", "call", "filter", "with", "block", "raw", "include", "import"):
        assert f"{{% {statement}" in text
    assert " recursive %}" in text


# What it costs those that are well


@pytest.mark.parametrize(
    "text",
    [
        "{{ getip('db') }}:{{ variables.port | default(80) }}",
        "{% for ip in getipall('db') %}{{ ip }}{% if not loop.last %},{% endif %}{% endfor %}",
        "{% if variables.a is defined and name == 'x' %}a{% else %}{{ 'a' ~ name ~ 1 }}{% endif %}",
        "{{ variables.list | join(', ') }} {{ variables.text.split(',')[0] }} {{ variables.n * 2 + 1 }}",
        "{% for key, value in variables.d.items() %}{{ key }}={{ value }}\n{% endfor %}{% set a = 'b' %}{{ a }}",
        "{{ cmd('cat ' ~ variables.file) | trim }}{{ cut(name, 0, 3) }}{{ 'x' | b64encode }}",
        "#!/bin/sh\n" + "echo $HOME ${x}\n" * 2000 + "{{ infra_id }}",
    ],
)
def test_what_people_write_needs_no_process(text):
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "{% set cut = variables.x.center %}{{ cut(10**9) }}",
        "{% for cmd in variables %}{{ cmd(1) }}{% endfor %}",
        "{{ [variables, variables] }}",
        "{{ variables.x.format(1) }}",
        "{% for i in variables.a %}{% if variables.b == variables.c %}{% endif %}{% endfor %}",
        "{% for i in variables.a %}{% if i in variables.b %}{% endif %}{% endfor %}",
        "{{ variables[0:9] }}",
        "{{ 2 ** 9 }}",
        "{{ 'a' | center(9) }}",
        "{{ x }}" * 2000,
        "{{ " + "1+" * 9000 + "1 }}",
    ],
)
def test_what_is_not_known_to_be_cheap_gets_one(text):
    assert not is_plain(text)


# The helper


def test_functions_are_called_where_their_answers_are():
    asked = []

    def getip(node):
        asked.append((node, os.getpid()))
        return "192.0.2.9"

    assert render("{% macro m() %}{{ getip('db') }}{% endmacro %}{{ m() }}", getip=getip) == "192.0.2.9"
    assert asked == [("db", os.getpid())]


def test_an_error_of_a_template_apart_reads_as_any_other():
    with pytest.raises(TemplateError) as caught:
        render("a\n{% macro m() %}{% endmacro %}\n{{ variables.nope }}")
    reason = "variables has no 'nope'; it has: a; give it a value in the description, or with --var nope=..."
    assert str(caught.value) == f"here: there, line 3: {reason}"


def test_calls_of_functions_are_counted_and_their_time_is():
    asked = []
    with pytest.raises(CutOffError, match="calls functions too often"):
        render("{% for i in range(100000) if getip('a') recursive %}{% endfor %}", getip=asked.append)
    assert 0 < len(asked) <= render_process.MOST_CALLS
    render("{% macro m() %}{% endmacro %}{{ m() }}")  # by which the other one has been collected
    assert render_process.worst().seconds <= CHILD_SECONDS


def test_a_child_that_the_system_kills_for_want_of_memory_is_begun_again(monkeypatch):
    monkeypatch.setattr(render_process, "SECONDS", 600.0)  # until which it cannot have used up its time
    asked = []

    def getip(_node):
        asked.append(True)
        if len(asked) == 1:
            helper = render_process._helper_of(os.getpid())._process.pid
            *_, child = Path(f"/proc/{helper}/task/{helper}/children").read_text().split()  # the youngest
            os.kill(int(child), signal.SIGKILL)
        return "192.0.2.9"

    assert render("{% macro m() %}{{ getip('db') }}{% endmacro %}{{ m() }}", getip=getip) == "192.0.2.9"
    assert len(asked) == 2


def test_a_helper_that_was_killed_is_started_again():
    text = "{% macro m() %}x{% endmacro %}{{ m() }}"
    assert render(text) == "x"
    helper = render_process._helper_of(os.getpid())
    os.kill(helper._process.pid, signal.SIGKILL)
    assert render(text) == "x"


def test_the_helper_has_no_environment():
    assert render("{% macro m() %}{{ 1 }}{% endmacro %}{{ m() }}") == "1"
    helper = render_process._helper_of(os.getpid())
    environ = Path(f"/proc/{helper._process.pid}/environ").read_bytes()
    assert {line.split(b"=")[0] for line in environ.split(b"\0") if line} <= {b"PATH", b"PYTHONPATH"}
