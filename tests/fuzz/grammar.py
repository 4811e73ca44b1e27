"""Random templates over all of Jinja2: a text or a `TemplateError`, within the stated time and memory.

The filters, tests and globals are those of the environment, so that those of a new Jinja2 are covered too.

python -m tests.fuzz.grammar --templates 100000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from occopus_core import render_process
from occopus_core.evaluate import environment
from occopus_core.plain import is_plain
from occopus_core.render import Renderer, TemplateError
from occopus_core.template_functions import cut
from occopus_core.template_inspection import calls_commands, named_peers

HERE_SECONDS = 5.0
"""The processor time that one template may use in the calling process."""

HERE_MIB = 256
"""Memory that the process may grow by, over all templates."""

CHILD_SECONDS = render_process.SECONDS + 0.5
CHILD_MIB = (render_process.MEMORY >> 20) + 128
"""The memory of one child, including memory shared with the helper."""

ALLOWED = (HERE_SECONDS, HERE_MIB, CHILD_SECONDS, CHILD_MIB)

PORTION = 1000
"""The resource usage is checked after this many templates."""

NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "1.5",
    "99",
    "1000",
    "99999",
    "100000",
    "10**6",
    "10**9",
    "2**64",
    "true",
    "none",
]
TEXTS = [
    "''",
    "'a'",
    "'ab'",
    "'a,b c'",
    "'<b>x</b>'",
    "'%s'",
    "'%d%%'",
    "'%*d'",
    "'{}'",
    "'{:99}'",
    "'{0:{1}}'",
    "'\\n'",
]
NAMES = [
    "variables",
    "variables.a",
    "variables.t",
    "variables.d",
    "name",
    "x",
    "i",
    "ns",
    "ns.s",
    "missing",
    "loop.index",
]
METHODS = [
    *("upper", "split", "join", "replace", "center", "ljust", "zfill", "expandtabs", "encode", "format", "format_map"),
    *("items", "keys", "values", "get", "index", "count", "copy", "append", "translate", "maketrans", "to_bytes"),
    *("partition", "splitlines", "startswith", "bit_length", "__class__", "__init__", "mro", "hex", "title"),
]
OPERATORS = ["+", "-", "*", "**", "/", "//", "%", "~", "and", "or", "==", "!=", "<", ">", "in", "not in"]
FUNCTIONS = ["getip", "getipall", "getprivip", "cut", "loop", "m", "caller", "self.b", "super"]


class Grammar:
    """Makes templates. Reproducible from the random numbers."""

    def __init__(self, rng: random.Random) -> None:
        known = environment()
        self._rng = rng
        self._filters = sorted(name for name in known.filters if " " not in name)
        self._tests = sorted(name for name in known.tests if name.isidentifier())
        self._globals = sorted([*known.globals, "lipsum"])
        self._deepest = 0

    def template(self) -> str:
        """One template."""
        self._deepest = self._rng.choice([1, 2, 2, 3, 4])
        space = "{% set ns = namespace(s='ab', n=2) %}"
        macro = "{% macro m(i=1, x=2) %}{{ i }}{% endmacro %}"
        start = self._rng.choice(["", "", space, macro, space + macro])
        return start + "".join(self._statement(0) for _ in range(self._rng.choice([1, 1, 2])))

    def _statement(self, depth: int) -> str:
        if depth >= self._deepest:
            return self._rng.choice(["x", "{{ i }}", "{{ ns.s }}", ""])
        kinds = [self._output] * 6 + [self._for] * 3 + [self._set] * 2
        kinds += [self._if, self._macro, self._call_block, self._filter_block, self._with, self._block, self._other]
        return self._rng.choice(kinds)(depth + 1)

    def _body(self, depth: int) -> str:
        return "".join(self._statement(depth) for _ in range(self._rng.randint(1, 2)))

    def _output(self, depth: int) -> str:
        return f"{{{{ {self._expression(depth)} }}}}"

    def _for(self, depth: int) -> str:
        target = self._rng.choice(["i", "i", "x", "k, v"])
        recursive = self._rng.choice(["", "", " recursive"])
        condition = f" if {self._expression(depth)}" if self._rng.random() < 0.1 else ""
        items = self._rng.choice([f"range({self._number()})", f"range({self._number()})", self._expression(depth)])
        otherwise = "{% else %}y" if self._rng.random() < 0.1 else ""
        again = f"{{{{ loop({self._expression(depth)}) }}}}" if recursive else ""
        body = self._body(depth) + again
        return f"{{% for {target} in {items}{condition}{recursive} %}}{body}{otherwise}{{% endfor %}}"

    def _set(self, depth: int) -> str:
        target = self._rng.choice(["x", "i", "ns.s", "ns.n"])
        if target.startswith("ns") and self._rng.random() < 0.5:  # a value that grows in each iteration
            grown = self._rng.choice(["{0} ~ {0}", "{0} + {0}", "{0} * 2", "[{0}, {0}]", "'%s%s' % ({0}, {0})"])
            return f"{{% set {target} = {grown.format(target)} %}}"
        if self._rng.random() < 0.2:
            return f"{{% set x %}}{self._body(depth)}{{% endset %}}"
        return f"{{% set {target} = {self._expression(depth)} %}}"

    def _if(self, depth: int) -> str:
        return f"{{% if {self._expression(depth)} %}}{self._body(depth)}{{% else %}}{self._body(depth)}{{% endif %}}"

    def _macro(self, depth: int) -> str:
        inner = self._body(depth) + self._rng.choice(["", "{{ m(i) }}", "{{ m(i) }}{{ m(i) }}", "{{ caller() }}"])
        return f"{{% macro m(i, x=2) %}}{inner}{{% endmacro %}}{{{{ m({self._expression(depth)}) }}}}"

    def _call_block(self, depth: int) -> str:
        return f"{{% call m({self._expression(depth)}) %}}{self._body(depth)}{{% endcall %}}"

    def _filter_block(self, depth: int) -> str:
        return f"{{% filter {self._filter(depth)} %}}{self._body(depth)}{{% endfilter %}}"

    def _with(self, depth: int) -> str:
        return f"{{% with x = {self._expression(depth)} %}}{self._body(depth)}{{% endwith %}}"

    def _block(self, depth: int) -> str:
        return f"{{% block b{self._rng.randrange(10**6)} %}}{self._body(depth)}{{% endblock %}}"

    def _other(self, depth: int) -> str:
        if self._rng.random() < 0.7:
            return self._output(depth)
        return self._rng.choice(
            [
                "{% raw %}{{ raw }}{% endraw %}",
                "{# a comment #}",
                "{% include 'a' %}",
                "{% import 'a' as b %}",
                "{% extends 'a' %}",
                "{% autoescape true %}<{% endautoescape %}",
                "{% do 1 %}",
                "{% if %}",
                "{{ '" + "9" * self._rng.choice([10, 5000]) + "' }}",
            ]
        )

    # Expressions

    def _expression(self, depth: int) -> str:
        if depth >= self._deepest:
            return self._atom()
        makers = [self._atom] * 3 + [lambda: self._deeper(depth + 1)] * 5
        return self._rng.choice(makers)()

    def _deeper(self, depth: int) -> str:
        rng = self._rng
        kind = rng.randrange(10)
        one = self._expression(depth)
        if kind <= 2:
            return f"({one} {rng.choice(OPERATORS)} {self._expression(depth)})"
        if kind <= 5:
            return f"({one} | {self._filter(depth)})"
        if kind == 6:
            return f"({one} is {rng.choice(['', 'not '])}{self._test(depth)})"
        if kind == 7:
            return f"{one}.{rng.choice(METHODS)}({self._arguments(depth)})"
        if kind == 8:
            return f"{rng.choice([*self._globals, *FUNCTIONS])}({self._arguments(depth)})"
        return rng.choice(
            [
                f"[{one}, {self._expression(depth)}]",
                f"{{'a': {one}, 'b': {self._expression(depth)}}}",
                f"({one} if {self._expression(depth)} else {self._atom()})",
                f"{one}[{self._atom()}]",
                f"{one}[{self._number()}:{self._number()}:{self._number()}]",
                f"-{one}",
                f"not {one}",
            ]
        )

    def _filter(self, depth: int) -> str:
        name = self._rng.choice(self._filters)
        if name in {"map", "select", "reject", "selectattr", "rejectattr"} and self._rng.random() < 0.7:
            return f"{name}('{self._rng.choice([*self._filters, *self._tests])}', {self._atom()})"
        if self._rng.random() < 0.5:
            return name
        if name == "tojson":
            return f"tojson(indent={self._number()})"
        return f"{name}({self._arguments(depth)})"

    def _test(self, depth: int) -> str:
        name = self._rng.choice(self._tests)
        return f"{name}({self._atom()})" if self._rng.random() < 0.3 else name

    def _arguments(self, depth: int) -> str:
        named = ["attribute='a'", "default='x'", f"indent={self._number()}", f"width={self._number()}", "*variables.a"]
        count = self._rng.randint(0, 2)
        more = [self._rng.choice(named)] if self._rng.random() < 0.1 else []
        return ", ".join([self._expression(depth) for _ in range(count)] + more)

    def _atom(self) -> str:
        return self._rng.choice([self._number, lambda: self._rng.choice(TEXTS), lambda: self._rng.choice(NAMES)])()

    def _number(self) -> str:
        return self._rng.choice(NUMBERS)


@dataclass(slots=True)
class Seen:
    """The largest resource usage of templates."""

    outcomes: Counter[str] = field(default_factory=Counter)
    here_seconds: float = 0.0
    slowest: str = ""


def run(templates: Iterator[str], seen: Seen) -> None:
    """Render templates. Propagates every error except `TemplateError`."""
    values = {"variables": {"a": [1, "b", [2, 3]], "t": "text " * 100, "d": {"a": 1, "b": [2]}}, "name": "n"}
    values |= {"x": "<b>x y</b> " * 9, "i": [3, 1, 2], "ns": {"s": "ab", "n": 2}}
    functions = {"cut": cut, "getip": str, "getprivip": str, "getipall": lambda _node: ["192.0.2.1"] * 3}
    for text in templates:
        began = time.thread_time()
        kind = "plain" if is_plain(text) else "apart"
        try:
            Renderer(values, functions, "fuzz")(text, at="x")
            kind += " rendered"
        except TemplateError as error:
            kind += f" {type(error).__name__}"
        list(named_peers(text))
        calls_commands(text)
        seen.outcomes[kind] += 1
        took = time.thread_time() - began
        if took > seen.here_seconds:
            seen.here_seconds, seen.slowest = took, text


def resident_mib() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(
    templates: int, seed: int, report: Callable[[Seen, Mapping[str, float]], object] = lambda *_: None
) -> tuple[Seen, dict[str, float]]:
    """Render this many templates; return their resource usage.

    Raises `AssertionError` beyond the limits, with the seed.

    `report` is called with the usage so far after every `PORTION` of them.
    """
    before, seen = resident_mib(), Seen()
    grammars = [Grammar(random.Random(f"{seed} {number}")) for number in range(2)]
    measured: dict[str, float] = {}
    for start in range(0, templates, PORTION):
        count = min(PORTION, templates - start) // 2

        def some(grammar: Grammar, count: int = count) -> None:
            run((grammar.template() for _ in range(count)), seen)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(some, grammars))
        measured = _measured(before, seen)
        for (what, value), most in zip(measured.items(), ALLOWED, strict=True):
            assert value <= most, f"seed {seed}: {value:.1f} {what}, allowed are {most}: {seen.slowest}"
        report(seen, measured)
    return seen, measured


def _measured(before: float, seen: Seen) -> dict[str, float]:
    worst = render_process.worst()
    return {
        "seconds here": seen.here_seconds,
        "MiB here": resident_mib() - before,
        "seconds of a child": worst.seconds,
        "MiB of a child": worst.memory / 2**20,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()

    def report(seen: Seen, measured: Mapping[str, float]) -> None:
        took = f"{seen.outcomes.total()} templates, seed {options.seed}, {time.monotonic() - began:.0f} s: "
        print(took + ", ".join(f"at most {value:.2f} {what}" for what, value in measured.items()), flush=True)

    seen, _ = check(options.templates, options.seed, report)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.outcomes.items())))


if __name__ == "__main__":
    main()
