"""A renderer that treats a context template like Occopus 1.x, made of the libraries it used.

The section is read as YAML 1.2, written as YAML in block style, rendered as one template, and read by the node.
"""

from __future__ import annotations

import io
from typing import Any

import jinja2
from ruamel.yaml import YAML


def reader() -> YAML:
    made = YAML(typ="safe", pure=True)
    made.default_flow_style = False
    return made


def read(text: str) -> Any:
    return reader().load(text)


def rendered(context_template: str, names: dict[str, Any]) -> Any:
    """The data that the node reads. Raises the errors of the libraries: 1.x failed there too."""
    stream = io.StringIO()
    reader().dump(read(context_template), stream)
    return read(jinja2.Environment().from_string(stream.getvalue()).render(**names))
