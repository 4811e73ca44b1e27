"""One subscription of the simulated Azure: its content, clock and limits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from occopus_resource_azure.testing.operations import Operation, Operations
from occopus_resource_azure.testing.wire import Json, Path, RefusedError

SUBSCRIPTION = "0cc0b005-0000-4000-8000-000000000001"
TENANT = "0cc0b005-0000-4000-8000-00000000000a"

_REGIONS = (
    "centralus,eastasia,southeastasia,eastus,eastus2,westus,westus2,northcentralus,southcentralus,westcentralus,"
    "northeurope,westeurope,japaneast,japanwest,brazilsouth,australiasoutheast,australiaeast,westindia,southindia,"
    "centralindia,canadacentral,canadaeast,uksouth,ukwest,koreacentral,koreasouth,francecentral,southafricanorth,"
    "uaenorth,australiacentral,switzerlandnorth,germanywestcentral,norwayeast,jioindiawest,westus3,australiacentral2"
)
REGIONS = tuple(_REGIONS.split(","))

TIMES = {
    "network": 0.02,
    "network_delete": 0.02,
    "disk": 0.02,
    "vm_create": 0.05,
    "vm_delete": 0.05,
    "vm_power": 0.02,
    "cascade": 0.02,
    "container_create": 0.05,
    "container_power": 0.02,
    "group_delete": 0.05,
    "nic_reserved": 0.0,
    "index_lag": 0.05,
    "index_forget": 0.05,
}
"""Durations of transitions, in seconds.

``cascade``: delay of what is deleted with a VM. ``nic_reserved``: how long the NIC of a failed VM stays reserved for
it. ``index_lag`` and ``index_forget``: how long lists of /resources lack new resources, and show deleted ones.
"""
_TAGS, _TAG_NAME, _TAG_VALUE = 50, 512, 256
"""The most tags of a resource, and the most characters of their names and values."""


Behaviour = Literal["run", "complete", "crash", "no_image"]
"""Behaviour of a container's process.

``run``: runs until it is stopped. ``complete``: exits with 0 at once. ``crash``: exits with 1 at once. ``no_image``:
never starts, because its image cannot be pulled.
"""


@dataclass
class Limits:
    """Limits of the subscription. None is unlimited."""

    cores: int | None = None
    """Cores of VMs in a region."""
    public_ips: int | None = None
    """Public addresses in a region."""
    container_groups: int | None = None
    """Container groups in a region."""
    container_cores: float | None = None
    """Cores of container groups in a region."""
    sizes: dict[str, list[str]] = field(default_factory=dict)
    """VM sizes that are not available, by region; ``*`` for every size."""
    regions: tuple[str, ...] = REGIONS
    unregistered: frozenset[str] = frozenset()
    """Resource providers, in lower case, that the subscription has not registered."""
    calls: int | None = None
    """The number of calls before every further call is throttled; tests raise it to end that."""
    page_size: int = 200
    """The most entries of one page of a list."""
    basic_addresses: bool = False
    """Whether public addresses of the retired SKU Basic can still be made."""


@dataclass
class Resource:
    """One resource as the stand-in stores it: the source of answers."""

    id: str
    type: str
    """In Azure's spelling."""
    name: str
    group: str
    body: Json
    """The requested body with defaults, without fields that change by themselves."""
    state: str = "Succeeded"
    """The provisioning state."""
    operation: Operation | None = None
    """The last operation on it."""
    made: float = 0.0
    hidden: Json = field(default_factory=dict)
    """Values that are never returned, or from which answers are computed."""

    @property
    def key(self) -> str:
        """The id in the form used for comparisons."""
        return self.id.lower()

    @property
    def properties(self) -> Json:
        """The properties of `body`, to be changed in place."""
        made: Json = self.body.setdefault("properties", {})
        return made

    @property
    def location(self) -> str:
        """The region."""
        return str(self.body.get("location", ""))

    @property
    def deleting(self) -> bool:
        """Whether its deletion has begun."""
        return self.state == "Deleting"


class Account:
    """Everything in the subscription. Not thread-safe: the server handles one call at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._start = datetime.now(UTC), clock()
        self.subscription = SUBSCRIPTION
        self.tenant = TENANT
        self.limits = Limits()
        self.times = dict(TIMES)
        self.resources: dict[str, Resource] = {}
        self.groups: dict[str, Resource] = {}
        self.operations = Operations(clock, self.written)
        self.index: dict[str, tuple[float, float | None]] = {}
        """When each resource was made and deleted, for lists that lag."""
        self.gone: dict[str, Resource] = {}
        self.addresses = iter(range(1, 250 * 250))
        self.poll_seconds: int | None = None
        """Retry-After of operations that have not ended; None for Azure's own value."""
        self.behaviours: dict[str, Behaviour] = {}
        """Behaviour of containers, by a pattern of the name of their group: see `Behaviour`."""

    def now(self) -> float:
        """The time in seconds: of the clock, or the end of the operation that is being finished."""
        moment = self.operations.moment
        return self.clock() if moment is None else moment

    def written(self, at: float) -> str:
        """A time of the clock in Azure's format."""
        zero, start = self._start
        return (zero + timedelta(seconds=at - start)).isoformat()

    def group(self, name: str) -> Resource:
        """A resource group. Raises `RefusedError` if it does not exist."""
        found = self.groups.get(name.lower())
        if found is None:
            message = f"Resource group '{name}' could not be found."
            raise RefusedError(404, "ResourceGroupNotFound", message, cause="gateway")
        return found

    def find(self, id: str) -> Resource | None:
        """The resource with an id, in any case."""
        return self.resources.get(id.lower())

    def of_type(self, type: str, group: str = "") -> list[Resource]:
        """All resources of a type, of one group or of all, in order of creation."""
        return [
            each
            for each in self.resources.values()
            if each.type.lower() == type.lower() and group.lower() in ("", each.group.lower())
        ]

    def children(self, id: str) -> list[Resource]:
        """The children of a resource."""
        return [each for key, each in self.resources.items() if key.startswith(f"{id.lower()}/")]

    def add(self, resource: Resource) -> Resource:
        """Add a new resource."""
        resource.made = self.now()
        self.resources[resource.key] = resource
        self.index[resource.key] = (resource.made, None)
        self.gone.pop(resource.key, None)
        return resource

    def drop(self, id: str) -> None:
        """Remove a resource and its children."""
        for resource in [*self.children(id), *filter(None, [self.find(id)])]:
            del self.resources[resource.key]
            self.index[resource.key] = (resource.made, self.now())
            self.gone[resource.key] = resource

    def indexed(self) -> Iterator[Resource]:
        """The resources as lists of /resources show them: creations and deletions with a delay."""
        for key, (made, went) in list(self.index.items()):
            resource = self.find(key) or self.gone.get(key)
            if resource is None or made + self.times["index_lag"] > self.now():
                continue
            if went is None or went + self.times["index_forget"] > self.now():
                yield resource

    def location(self, body: Json, type: str) -> str:
        """The short form of the location in a body. Raises `RefusedError`."""
        given = body.get("location")
        if not given:
            raise RefusedError(400, "LocationRequired", "The location property is required for this definition.")
        region = str(given).lower().replace(" ", "")
        if region not in self.limits.regions:
            known = ",".join(self.limits.regions)
            message = (
                f"The provided location '{given}' is not available for resource type '{type}'. "
                f"List of available regions for the resource type is '{known}'."
            )
            raise RefusedError(400, "LocationNotAvailableForResourceType", message)
        return region

    def absent(self, path: Path) -> RefusedError:
        """The answer to a GET of a missing resource."""
        kind = f"{path.provider}/" + "/".join(
            word for pair in zip(path.types, path.names, strict=False) for word in pair
        )
        message = (
            f"The Resource '{kind}' under resource group '{path.group}' was not found. "
            "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        )
        return RefusedError(404, "ResourceNotFound", message, cause="gateway")

    def next_address(self, block: int) -> str:
        """A new public address, in 127.77.0.0/16 and the following ranges, so that tests can reach it."""
        number = next(self.addresses)
        return f"127.{block}.{number // 250}.{number % 250 + 1}"

    @staticmethod
    def guid() -> str:
        """A new GUID."""
        return str(uuid.uuid4())

    def tags(self, body: Json) -> dict[str, Any] | None:
        """The tags in a body, or None without tags. Raises `RefusedError`."""
        tags = body.get("tags")
        if tags is None:
            return None
        if len(tags) > _TAGS:
            message = "The number of tags cannot be more than 50."
            raise RefusedError(400, "TooManyTags", message)
        for name, value in tags.items():
            _check_tag(name, value)
        return dict(tags)


def _check_tag(name: str, value: Any) -> None:
    if len(name) > _TAG_NAME or not isinstance(value, str) or len(value) > _TAG_VALUE:
        raise RefusedError(400, "InvalidTag", f"The tag '{name}' is too long.")
    bad = sorted(set(name) & set("<>%&\\?/"))
    if bad or not name.isprintable():
        message = f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."
        raise RefusedError(400, "InvalidTagNameCharacters", message)
