"""The place of an instance: its cloud, its region, and its implementation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.descriptions.model import Implementation
from occopus_core.store.records import InstanceRecord

_REGIONS = ("region_name", "regionname", "region_id", "region", "location")
"""Keys by which `resource` sections name a region."""
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


@dataclass(frozen=True, slots=True)
class InstancePlace:
    """The place of an instance, in texts that may be empty."""

    cloud: str = ""
    """Type and endpoint of its connection."""
    region: str = ""
    implementation: str = ""
    """The `name` of its implementation, else its type and endpoint as written."""

    @property
    def text(self) -> str:
        """Cloud and region in one text, without an implementation of the same name."""
        parts = [self.cloud, self.region, f"({self.implementation})" if self.implementation != self.cloud else ""]
        return " ".join(part for part in parts if part)


def place_of(record: InstanceRecord, implementation: Implementation | None) -> InstancePlace:
    """The place of an instance.

    Before its connection is chosen, it comes from the implementation, without templates.
    """
    if implementation is None:
        return InstancePlace()
    resource = implementation.resource
    settings = {**_plain(resource), **_settings(record.connection)}
    names = (str(settings[key]) for key in ("type", "endpoint") if key in settings)
    region = next((str(settings[key]) for key in _REGIONS if settings.get(key)), "")
    return InstancePlace(_shown(" ".join(names)), region, _shown(implementation.label))


def _settings(connection: str) -> Mapping[str, Any]:
    """The rendered settings of a connection."""
    try:
        found = json.loads(connection) if connection else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _plain(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = ("type", "endpoint", *_REGIONS)
    return {key: resource[key] for key in wanted if key in resource and "{{" not in str(resource[key])}


def _shown(text: str) -> str:
    """An endpoint without the user and password that its URL may have."""
    return _USERINFO.sub("", text)
