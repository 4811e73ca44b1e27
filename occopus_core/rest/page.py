"""The installed page, if any: files of another package, served at `/`.

A page is a package with an `index.html`, named by the entry-point group `occopus.page`. It consists of files only and
works in the browser, through the API, like any other client. The service serves the files with a content security
policy under which only these files can run, and only this service can be called.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import PathLike, StaticFiles

from occopus_core.registry import PluginError

GROUP = "occopus.page"
PATH = "/page"
"""The path of its files, apart from `/` itself; its links are relative."""
INDEX = "index.html"

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",  # browsers revalidate cached files, so that an upgrade is visible at once
}


def find() -> Path | None:
    """The folder of the installed page. Raises `PluginError` if there are several pages, or no index."""
    found = {one.value: one for one in entry_points(group=GROUP)}
    if not found:
        return None
    if len(found) > 1:
        names = sorted(one.dist.name if one.dist is not None else one.value for one in found.values())
        raise PluginError(f"more than one page is installed, by {' and by '.join(names)}: uninstall all but one")
    return _folder(next(iter(found.values())))


def _folder(point: EntryPoint) -> Path:
    try:
        folder = Path(str(files(point.value)))
    except ImportError as error:
        raise PluginError(f"the page '{point.name}' cannot be found: {error}") from error
    if not (folder / INDEX).is_file():
        raise PluginError(f"the page '{point.name}' has no {INDEX} in {folder}")
    return folder


def install(app: FastAPI, folder: Path | None) -> None:
    """Serve the files of this folder; without one, `/` answers 404."""
    if folder is None:
        return
    page = Files(_HEADERS, directory=folder)

    async def index(request: Request) -> Response:
        return await page.get_response(INDEX, request.scope)

    app.add_route("/", index, include_in_schema=False)
    app.mount(PATH, page)


class Files(StaticFiles):
    """Static files with these headers; if `only` is given, the files with these names only."""

    def __init__(self, headers: Mapping[str, str], only: Collection[str] | None = None, *, directory: Path) -> None:
        super().__init__(directory=directory)
        self._headers = headers
        self._only = only

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of this path, or none if it is not served."""
        return super().lookup_path(path) if self._only is None or path in self._only else ("", None)

    def file_response(self, full_path: PathLike, *args: Any, **kwargs: Any) -> Response:
        """One file, or the answer that it has not changed."""
        response = super().file_response(full_path, *args, **kwargs)
        response.headers.update(self._headers)
        return response
