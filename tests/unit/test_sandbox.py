"""No template exceeds its budget, and ordinary templates use little of it."""

from __future__ import annotations

import resource
import time

import pytest

from occopus_core.render import Renderer, TemplateError
from occopus_core.template_functions import cut
from occopus_core.template_inspection import calls_commands, named_peers

GREEDY = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ 2 ** 99999999 }}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ '1'.zfill(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ (5).to_bytes(10**9, 'big') }}",
    "{{ 'a\nb' | indent(10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 10**9) }}",
    "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
    "{{ ('a' * 10**6) | replace('a', 'b' * 10**6) }}",
    "{{ ('a' * 10**6).translate({97: 'b' * 10**6}) }}",
    "{{ ('b' * 10**6).join('a' * 10**6) }}",
    "{{ ('a' * 10**5) | join('b' * 10**6) }}",
    "{{ [['a' * 10**4] * 10**3] * 10**3 }}",
    "{% set s = 'a' * 10**6 %}{{ [s, s, s, s, s, s, s, s, s, s, s, s] * 1000 }}",
    "{% set s = 'a' * 10**6 %}{{ ([s] * 10**5) | tojson }}",
    "{% set s = 'a' * 10**6 %}{{ ([s] * 10**5) | join }}",
    "{% set s = 'a' * 10**6 %}{% for i in range(1000) %}{{ s }}{% endfor %}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}",
    "{% for i in range(10**5) %}{% for j in range(10**5) %}{% set x = 1 %}{% endfor %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s=9) %}{% for i in range(60) %}{% set n.s = n.s * n.s %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = '%s%s' % (n.s, n.s) %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = '{}{}'.format(n.s, n.s) %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ 1 | round(10**9, 'ceil') }}",
    "{{ ('<>' * 10**6) | striptags }}",
    "{{ ('a ' * 10**6) | urlize }}",
    "{{ range(10**5) | map('center', 10**5) | list }}",
    "{{ {'a': 1} | tojson(indent=10**9) }}",
    "{{ lipsum(10**9) }}",
    "{{ " + "(" * 10**5 + "1" + ")" * 10**5 + " }}",
    "{{ " + "1+" * 10**4 + "1 }}",
    "{{ " + "9" * 10**5 + " }}",
    "{{ " + "-" * 10**5 + "1 }}",
    "{% if 1 %}" * 10**4 + "{% endif %}" * 10**4,
]


def render(text, **names):
    return Renderer({"variables": {}, **names}, {"cut": cut}, "here")(text, at="there")


@pytest.fixture
def little_memory():
    """A gigabyte more than there is now: the worst is an error here, not the end of the machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("text", GREEDY, ids=lambda text: text[:60])
def test_a_greedy_template_is_refused(text, little_memory):
    start = time.process_time()
    with pytest.raises(TemplateError) as caught:
        render(text)
    assert "MemoryError" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.process_time() - start < 20
    list(named_peers(text + "{{ getip('a') }}"))
    calls_commands(text + "cmd")


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{% for line in variables.lines %}- {{ line }}\n{% endfor %}", "".join(f"- {n}\n" for n in range(90))),
        ("{% for line in variables.lines %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}", None),
        ("{% raw %}{{ not mine }}{% endraw %}", "{{ not mine }}"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ variables.lines | join(', ') }}", ", ".join(map(str, range(90)))),
        ("{{ '%05d of %s' % (7, 'me') }}{{ '{:>4}'.format(1) }}", "00007 of me   1"),
        ("{{ 2**31 * 2 }} {{ none | default(10737418240) }} {{ 'x' * 3 }}", "4294967296 None xxx"),
        ("{{ 'a\nb' | indent(4) }} {{ 'b' | center(5) }} {{ 'aXb'.replace('X', '-') }}", "a\n    b   b   a-b"),
        ("{{ ('0123456789' * 30000) | replace('9', 'nine') | length }}", "390000"),
        (
            "{% for k in [1, [2, [3]]] recursive %}{{ loop(k) if k is iterable else k }}{% endfor %}",
            "123",
        ),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{% filter upper %}abc{% endfilter %}", "<1>ABC"),
    ],
)
def test_ordinary_templates_work_unchanged(text, rendered):
    found = render(text, variables={"lines": list(range(90))})
    assert rendered is None or found == rendered
