"""Marketplace images: the versions of each."""

from __future__ import annotations

import re

from occopus_resource_azure.testing.wire import Answer, Json, Path, RefusedError, Request

VERSION = "1.0.0"
"""The version that every image has, in addition to requested versions."""
_WORDS = ("locations", "publishers", "artifacttypes", "offers", "skus", "versions")
_MISSING = re.compile("no-such|missing|absent", re.IGNORECASE)


def is_for(target: Path) -> bool:
    """Whether a path is the versions of an image."""
    return target.provider.lower() == "microsoft.compute" and tuple(map(str.lower, target.types)) == _WORDS


def answer(request: Request) -> Answer:
    """The list of versions, empty for a missing image; or one version. Raises `RefusedError`."""
    target = request.target
    location, publisher, _, offer, sku = target.names[:5]
    exists = not any(map(_MISSING.search, target.names))
    if not target.is_item:
        return Answer(200, [_entry(request, VERSION)] if exists else [])
    version = target.names[-1]
    if not exists:
        message = (
            f"Artifact: VMImage was not found. Publisher '{publisher}', offer '{offer}', sku '{sku}', version "
            f"'{version}' in location '{location}'."
        )
        raise RefusedError(404, "NotFound", message)
    return Answer(200, _entry(request, version))


def _entry(request: Request, version: str) -> Json:
    start = request.path if not request.target.is_item else request.path.rpartition("/")[0]
    return {"id": f"{start}/{version}", "location": request.target.names[0], "name": version}
