"""Values are built by the core schema of YAML 1.2, with positions, and nothing can hurt the process."""

import os
import random
from pathlib import Path

import pytest
import yaml

from occopus_core.descriptions import builder, loader
from occopus_core.descriptions.loader import load
from occopus_core.descriptions.problems import DescriptionError, Position


def data(text):
    return load(text, name="t").data


def refused(text, **options):
    with pytest.raises(DescriptionError) as raised:
        load(text, name="t", **options)
    return str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "[~, null, 1, 0x1F, 1.5, -2.5e+3, .5, text, '1', \"yes\", 'null', '']",
        "{a: {b: [1, {c: d}]}, e: []}",
        "a: |\n  {% for x in y %}\n  - {{x}}\n  {% endfor %}\nb: >-\n  folded\n  text\nc: plain {{getip('a')}} -c 5\n",
        "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\none: {<<: *b, y: 9}\nmany: {<<: [*b, *o], w: 0}\n",
        "a: &x [1]\nb: *x\nc: &y 5\nd: *y\n",
        "? a\n: b\n",
        "a: !!str 12\nb: !!int '7'\nc: !!float 3\nd: !!bool 'true'\ne: !!null ''\n",
        "g: !!seq [1]\nh: !!map {i: j}\n",
        "- &empty\n- *empty\n- é😀\n",
    ],
)
def test_same_values_as_the_safe_loader(text):
    assert data(text) == yaml.safe_load(text)


def test_random_values_survive():
    chance = random.Random(5)

    def value(depth):
        kind = chance.randrange(7 if depth < 5 else 5)
        if kind == 5:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        if kind == 6:
            return {f"k{n}": value(depth + 1) for n in range(chance.randrange(4))}
        return chance.choice(
            [None, True, -3, 2.5, "a: b", "{{x}}", " lead", "12", "no", "a\n\tb\n", "#", "é", "<<", "="]
        )

    for _ in range(100):
        wanted = {"top": value(0)}
        assert data(yaml.safe_dump(wanted, allow_unicode=True)) == wanted


def test_the_tag_of_text_makes_text():
    assert data("a: ! 12\nb: ! [1]\n") == {"a": "12", "b": [1]}


def test_an_anchor_may_be_set_again():
    assert data("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_times_and_binaries_stay_text():
    assert data("a: 2001-12-14\nb: !!timestamp 2001-12-14\nc: !!binary aGk=\n") == {
        "a": "2001-12-14",
        "b": "2001-12-14",
        "c": "aGk=",
    }


def test_quoted_merge_key_is_a_key():
    assert data('"<<": {a: 1}') == {"<<": {"a": 1}}


def test_byte_order_mark_is_passed_over():
    assert load(b"\xef\xbb\xbfa: 1", name="t").data == {"a": 1}


# Positions


def test_positions_of_keys_and_values():
    document = load("nodes:\n  - name: web\n    scaling: {min: 1}\nuser_id:   é\n", name="t")
    assert document.locate(("nodes", 0, "scaling", "min")) == Position("t", 3, 20)
    assert document.locate(("nodes", 0, "scaling", "min"), key=True) == Position("t", 3, 15)
    assert document.locate(("nodes", 0, "scaling"), key=True) == Position("t", 3, 5)
    assert document.locate(("nodes", 0)) == Position("t", 2, 5)
    assert document.locate(("user_id",)) == Position("t", 4, 12)
    assert document.locate() == Position("t", 1, 1)


@pytest.mark.parametrize("path", [("a", "none"), ("a", 0), ("a", "b", "c")])
def test_a_path_that_is_not_there_is_located_where_it_ends(path):
    assert load("a:\n  b: 1\n", name="t").locate(path).line == 2


def test_an_alias_is_where_it_is_written_and_what_is_in_it_where_that_is():
    document = load("a: &a\n  x: 1\nb: *a\n", name="t")
    assert document.data["a"] is document.data["b"]
    assert document.locate(("b",)) == Position("t", 3, 4)
    assert document.locate(("b", "x")) == Position("t", 2, 6)


def test_a_merged_key_is_where_it_was_written():
    document = load("a: &a\n  x: 1\nb:\n  <<: *a\n  y: 2\n", name="t")
    assert document.locate(("b", "x")) == Position("t", 2, 6)
    assert document.locate(("b", "y"), key=True) == Position("t", 5, 3)


# Imports


def test_imports_nest_relative_to_the_file_that_holds_the_tag(tmp_path):
    (tmp_path / "nodes" / "keys").mkdir(parents=True)
    (tmp_path / "nodes" / "keys" / "my key.pem").write_bytes(b"-----BEGIN-----\r\n\tx\n")
    (tmp_path / "nodes" / "init.yaml").write_text("packages:\n- a\nkey: !text_import {url: file://keys/my%20key.pem}\n")
    main = tmp_path / "main.yaml"
    main.write_text(
        "init: !yaml_import\n  url: file://nodes/init.yaml\nagain: !yaml_import {url: file://nodes/init.yaml}\n"
    )
    document = load(main)
    assert document.data["init"] == {"packages": ["a"], "key": "-----BEGIN-----\r\n\tx\n"}
    assert document.data["again"] is document.data["init"]
    assert document.locate(("init", "packages", 0)) == Position(str(tmp_path / "nodes" / "init.yaml"), 2, 3)
    assert document.locate(("init", "key")).line == 3
    assert document.files == tuple(
        str(tmp_path / name) for name in ("main.yaml", "nodes/init.yaml", "nodes/keys/my key.pem")
    )


def test_absolute_import(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert data(f"a: !text_import {{url: 'file://{tmp_path}/a.txt'}}") == {"a": "text"}


def test_an_imported_file_has_its_own_anchors(tmp_path):
    (tmp_path / "part.yaml").write_text("x: *outer\n")
    (tmp_path / "main.yaml").write_text("a: &outer 1\nb: !yaml_import {url: file://part.yaml}\n")
    with pytest.raises(DescriptionError, match="no anchor &outer"):
        load(tmp_path / "main.yaml")


def test_imports_are_refused_for_a_text_from_the_network():
    message = "t:1:4: !text_import: a text that came over the network cannot import files: put the content itself here"
    assert refused("a: !text_import {url: 'file:///etc/hostname'}", imports=False) == message


def test_import_depth(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.yaml").write_text(f"next: !yaml_import {{url: file://{number + 1}.yaml}}\n")
    with pytest.raises(DescriptionError, match="imports are nested deeper than 20"):
        load(tmp_path / "0.yaml")


def test_imports_count_for_depth_and_size(tmp_path):
    (tmp_path / "deep.yaml").write_text("[" * 60 + "]" * 60)
    (tmp_path / "main.yaml").write_text("[" * 60 + "!yaml_import {url: file://deep.yaml}" + "]" * 60)
    with pytest.raises(DescriptionError, match="nested deeper than 100"):
        load(tmp_path / "main.yaml")
    deeper = "- !yaml_import {url: file://deep.yaml}\n- " + "[" * 60 + "!yaml_import {url: file://deep.yaml}" + "]" * 60
    (tmp_path / "main.yaml").write_text(deeper)
    with pytest.raises(DescriptionError, match=r"main\.yaml:2:63: nested deeper than 100"):
        load(tmp_path / "main.yaml")
    (tmp_path / "wide.yaml").write_text("[" + "x, " * 200_000 + "]")
    (tmp_path / "main.yaml").write_text("- !yaml_import {url: file://wide.yaml}\n" * 6)
    with pytest.raises(DescriptionError, match=r"main.yaml:5:3: more than 1,000,000 values"):
        load(tmp_path / "main.yaml")


# Files


def test_missing_file_and_folder(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "there is no such file"), (tmp_path, "this is a folder, not a file")):
        with pytest.raises(DescriptionError) as raised:
            load(path)
        assert str(raised.value) == f"{path}: {reason}"


def test_impossible_name():
    with pytest.raises(DescriptionError, match="the file cannot be read: its name is not possible"):
        load("a\0b")


def test_permission(tmp_path, monkeypatch):
    def denied(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(loader.Path, "open", denied)
    with pytest.raises(DescriptionError, match="you may not read this file: check its permissions"):
        load(tmp_path / "a.yaml")


def test_a_large_file_is_not_read_to_its_end():
    with pytest.raises(DescriptionError, match="/dev/zero: larger than 16 MiB"):
        load("/dev/zero")


# Limits


@pytest.mark.parametrize("unit", ["[", "- ", "{a: ", "? ", "- - ", "!!seq [", "&a [", "[[{a: "])
def test_deep_nesting_is_refused_without_a_crash(unit):
    assert "nested deeper than 100 levels" in refused(unit * 100_000)


def test_the_deepest_that_is_allowed():
    assert data("[" * 100 + "]" * 100)
    assert "t:1:101:" in refused("[" * 101 + "]" * 101)


def test_an_alias_bomb_is_refused_before_it_grows():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 90)]
    assert "t:19:12: more than 1,000,000 values" in refused("\n".join(lines))


def test_many_aliases_of_a_small_value_are_fine():
    assert len(data("a: &a {x: 1}\nb: [" + "*a, " * 10_000 + "]")["b"]) == 10_000


def test_many_values_are_refused(monkeypatch):
    monkeypatch.setattr(builder, "MAX_SIZE", 1_000)
    assert len(data("[" + "1," * 999 + "]")) == 999
    assert "t:1:2000: more than 1,000 values" in refused("[" + "1," * 1_000 + "]")


def test_tag_directives_are_limited():
    text = "".join(f"\n%TAG !t{number}! tag:example.org,2000:" for number in range(1000)) + "\n---\na: 1\n"
    assert "more than 100 %TAG directives" in refused(text)


# Tags


def test_nothing_is_constructed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for tag in ("!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!<tag:yaml.org,2002:python/name:x>"):
        for tolerant in (True, False):
            try:
                load(f"a: {tag} [made]", name="t", tolerant=tolerant)
            except DescriptionError as error:
                assert "is not allowed" in str(error)  # noqa: PT017 - the tolerant reading raises nothing
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_tolerant_reading_lists_the_tags_it_passes_over():
    document = load("a: !A &a {x: !B 1}\nb: !A [*a]\nc: !C\nd: !D '1'\n", name="t", tolerant=True)
    assert document.data == {"a": {"x": 1}, "b": [{"x": 1}], "c": None, "d": "1"}
    assert document.ignored_tags == ("!A", "!B", "!C", "!D")


def test_all_faults_are_reported_at_once():
    text = "a: 1\na: 2\n[3]: x\nb: !foo x\nc: *none\nd: !!float .nan\n"
    assert [line.split(":")[1] for line in refused(text).splitlines()] == ["2", "3", "4", "5", "6"]


def test_the_parser_written_in_python_says_the_same(monkeypatch):
    monkeypatch.setattr(loader, "_PARSER", yaml.SafeLoader)
    text = "a: &a {x: [1, !!str 2]}\nb: {<<: *a, y: |\n  text\n  }\n"
    assert load("a: &a {x: [1, !!str 2]}\nb: {<<: *a, y: z}\n", name="t").data["b"] == {"x": [1, "2"], "y": "z"}
    assert "not valid YAML" in refused(text)
    assert "nested deeper" in refused("[" * 2_000)


def test_a_large_description_is_read():
    nodes = "".join(f"- &n{n}\n  name: node-{n}\n  type: web\n  scaling: {{min: 1, max: 3}}\n" for n in range(5_000))
    document = load(f"nodes:\n{nodes}last: [*n4999, *n0]\n", name="t")
    assert document.data["last"][0] is document.data["nodes"][4999]
    assert document.locate(("nodes", 4999, "name")) == Position("t", 19_999, 9)


def test_a_syntax_error_in_one_import_hides_no_fault_of_another(tmp_path):
    (tmp_path / "main.yaml").write_text(
        "a: !yaml_import {url: file://broken.yaml}\nb: !text_import {url: file://absent}\n"
        "c: !yaml_import {url: file://latin.yaml}\nd: !yaml_import {url: file://broken.yaml}\n"
        "e: !yaml_import {url: file://nested.yaml}\ne: 1\n"
    )
    (tmp_path / "broken.yaml").write_text("a: [1\nb: 2\n")
    (tmp_path / "latin.yaml").write_bytes("é".encode("latin-1"))
    (tmp_path / "nested.yaml").write_text("- !yaml_import {url: file://tab.yaml}\n- !unknown x\n")
    (tmp_path / "tab.yaml").write_text("a:\n\tb: 1\n")
    with pytest.raises(DescriptionError) as raised:
        load(tmp_path / "main.yaml")
    found = [(Path(one.position.file).name, one.position.line) for one in raised.value.problems]
    assert sorted(found) == [
        ("broken.yaml", 2), ("latin.yaml", 1), ("main.yaml", 2), ("main.yaml", 6), ("nested.yaml", 2), ("tab.yaml", 2)
    ]  # fmt: skip
