"""Checks that the image in a description exists, before anything is made."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from occopus_core.api import NotFoundError
from occopus_resource_azure.cloud import Cloud
from occopus_resource_azure.connect import Clients

_IMAGE = ("location", "publisher", "offer", "sku", "version")
_LATEST = "latest"


class Images:
    """Marketplace images known to exist. Images of a gallery, perhaps of another subscription, are not checked."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def look_for(self, resource: Mapping[str, Any]) -> None:
        """One request for each image and handler. Raises `NotFoundError` if the image does not exist."""
        if resource.get("image_id"):
            return
        wanted = tuple(str(resource[key]) for key in _IMAGE)
        if wanted in self._known:
            return
        if not self._exists(*wanted):
            raise NotFoundError(
                f"{self._cloud.where}: there is no image {':'.join(wanted[1:])} in {wanted[0]} "
                "(resource.publisher, offer, sku, version)"
            )
        with self._lock:
            self._known.add(wanted)

    def _exists(self, location: str, publisher: str, offer: str, sku: str, version: str) -> bool:
        def ask(clients: Clients) -> bool:
            images = clients.compute.virtual_machine_images
            if version.lower() == _LATEST:
                return bool(images.list(location, publisher, offer, sku, top=1))
            return bool(images.get(location, publisher, offer, sku, version))

        try:
            return self._cloud.call(ask, "publisher")
        except NotFoundError:
            return False
