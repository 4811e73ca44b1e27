"""Infrastructure descriptions in the forms that the Python API accepts: a file, a text, a mapping or the model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.render import expander

Description = Infrastructure | Mapping[str, Any] | str | os.PathLike[str]
"""The model, a mapping with the keys of a description, a text in YAML (of several lines, or in braces), or a file."""


def described(description: Description, warn: Callable[[str], None]) -> Infrastructure:
    """The model of a description. `warn` gets each warning. Raises `DescriptionError`."""
    if isinstance(description, Infrastructure):
        return description
    name: str | None = None
    if isinstance(description, Mapping):
        source: str | os.PathLike[str] = json.dumps(description, default=_plain)
        name = "description"
    else:
        source = description
    if isinstance(description, str) and ("\n" in description or description.lstrip().startswith("{")):
        name = "description"
    return load_infrastructure(
        source,
        name=name,
        warn=lambda problem: warn(str(problem)),
        render=expander(),
        judge_outputs=output_faults,
    )


def _plain(value: object) -> object:
    """Convert mappings of other types, such as those of parsers, to `dict`."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a description cannot contain the type {type(value).__name__}")
