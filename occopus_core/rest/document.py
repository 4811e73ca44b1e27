"""The OpenAPI document: FastAPI derives it from the routes, and this module adds to it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from occopus_core.rest.auth import Gatekeeper
from occopus_core.rest.problems import ProblemDetails

_REFERENCE = "#/components/schemas/{model}"


def install(app: FastAPI, keeper: Gatekeeper) -> None:
    """Add the document to the application."""
    made = app.openapi()
    _, problems = models_json_schema([(ProblemDetails, "serialization")], ref_template=_REFERENCE)
    made["components"]["schemas"].update(problems["$defs"])
    guarded = [one for path in made["paths"].values() for one in path.values() if "security" in one]
    schemes = [one["security"] for one in guarded]

    def openapi() -> dict[str, Any]:
        # Whether a token is required may change while the service runs: when the first token is created.
        for operation, security in zip(guarded, schemes, strict=True):
            operation["security"] = security if keeper.asks else [{}, *security]
        return made

    app.openapi = openapi  # type: ignore[method-assign]  # which is how FastAPI wants it
