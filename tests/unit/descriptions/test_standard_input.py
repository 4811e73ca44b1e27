"""The file `-` is standard input."""

import io
import sys
from types import SimpleNamespace

import pytest

from occopus_core.descriptions.loader import load
from occopus_core.descriptions.problems import DescriptionError


def given(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_what_it_imports_is_relative_to_the_working_directory(monkeypatch, tmp_path):
    (tmp_path / "part.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path)
    given(monkeypatch, b"part: !yaml_import {url: file://part.yaml}\n")
    document = load("-")
    assert document.data == {"part": {"a": 1}}
    assert document.files == ("part.yaml",)


def test_mistakes_are_in_standard_input(monkeypatch):
    given(monkeypatch, b"a: [\n")
    with pytest.raises(DescriptionError, match="standard input:2:1: not valid YAML"):
        load("-")


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DescriptionError, match="standard input cannot be read"):
        load("-")


def test_a_text_is_never_standard_input(monkeypatch):
    given(monkeypatch, b"a: 1\n")
    assert load("-", name="request").data == [None]


def test_a_file_of_this_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("a: 2\n")
    assert load("./-").data == {"a": 2}
