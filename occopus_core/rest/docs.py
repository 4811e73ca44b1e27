"""The page at `/docs`: Swagger UI, which shows the API and sends requests to it.

Its files come from the package `fastapi-offline`. This service serves them under its own content security policy,
which allows scripts and calls of this service only: the page works without internet access.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from occopus_core.rest.page import Files

PATH = "/docs"
_PACKAGE = "fastapi_offline"
_SERVED = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})

_HEADERS = {
    # The images of Swagger UI are in its style sheet, as data.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Occopus: the REST API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<main id="api"></main>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Without `validatorUrl` Swagger UI would show a badge of a validator on another server.
_START = """SwaggerUIBundle({
    url: "openapi.json", dom_id: "#api", validatorUrl: null, queryConfigEnabled: false, persistAuthorization: false,
});
"""


def install(app: FastAPI) -> None:
    """Add the page to the application."""

    async def shown() -> Response:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    async def started() -> Response:
        return Response(_START, media_type="text/javascript", headers=_HEADERS)

    app.get(PATH, include_in_schema=False)(shown)
    app.get(f"{PATH}/start.js", include_in_schema=False)(started)
    app.mount(PATH, _files())


def _files() -> StaticFiles:
    return Files(_HEADERS, _SERVED, directory=Path(str(files(_PACKAGE))) / "static")
