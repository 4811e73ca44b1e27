"""The installed plugins, and the schema files for editors made from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from occopus_core.descriptions.export import CATALOG, catalog, documents
from occopus_core.installed import InstalledPlugin, usable_schemas
from occopus_core.rest.problems import Refused, documented
from occopus_core.rest.routes.shared import COMMON, Reader

router = APIRouter(tags=["plugins"])

FileName = Annotated[str, Path(description="the name of the file, as `GET /schemas/` lists them")]


class Plugin(BaseModel):
    """One plugin, as one distribution provides it."""

    kind: str
    type: str
    distribution: str
    version: str
    contract_version: int | None = Field(description="the version of the contract that it is written for, if known")
    state: str
    reason: str = Field(description="why it cannot be used; else empty")
    note: str = Field(description="the requirements of its distribution that are not met; else empty")


class Plugins(BaseModel):
    """Every plugin that is installed."""

    plugins: list[Plugin]


class Files(BaseModel):
    """Names of schema files."""

    schemas: list[str]


@router.get("/plugins", response_model=Plugins, responses=COMMON)
def list_plugins(request: Request, _client: Reader) -> dict[str, Any]:
    """List the plugins that are installed now, and why one cannot be used."""
    return {"plugins": [one.summary() for one in _installed(request)]}


@router.get("/schemas/", response_model=Files, responses=COMMON)
def list_schemas(request: Request, _client: Reader) -> dict[str, Any]:
    """List the schema files for editors."""
    return {"schemas": [*documents(usable_schemas(_installed(request))), CATALOG]}


@router.get("/schemas/{name}", response_model=dict[str, Any], responses={**COMMON, **documented(404)})
def schema(request: Request, _client: Reader, name: FileName) -> Any:
    """One schema file; `catalog.json` is the catalogue of all, in SchemaStore's format."""
    if name == CATALOG:
        base = str(request.base_url).rstrip("/")
        return json.loads(catalog(lambda file: f"{base}/schemas/{file}"))
    text = documents(usable_schemas(_installed(request))).get(name)
    if text is None:
        raise Refused(404, f"there is no schema file '{name}'")
    return json.loads(text)


def _installed(request: Request) -> Sequence[InstalledPlugin]:
    ask: Callable[[], Sequence[InstalledPlugin]] = request.app.state.plugins
    return ask()
