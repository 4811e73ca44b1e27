"""Loads the JSON Schema that a plugin ships as a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def load_schema(package: str, name: str = "schema.json") -> Mapping[str, Any]:
    """The JSON Schema in a file of an import package; a new object at each call. Raises `OSError`, `ValueError`."""
    # Imported here because few commands read schemas, and every plugin imports this package.
    import json  # noqa: PLC0415
    from importlib import resources  # noqa: PLC0415

    schema: Mapping[str, Any] = json.loads(resources.files(package).joinpath(name).read_text("utf-8"))
    return schema
