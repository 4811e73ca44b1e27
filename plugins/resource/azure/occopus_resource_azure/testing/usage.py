"""The subscription and the usage of its quotas."""

from __future__ import annotations

from occopus_resource_azure.testing import machine
from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError

_UNLIMITED = 1_000_000


def subscription(account: Account) -> Json:
    """The subscription as the API returns it."""
    return {
        "id": f"/subscriptions/{account.subscription}",
        "subscriptionId": account.subscription,
        "tenantId": account.tenant,
        "displayName": "For tests",
        "state": "Enabled",
    }


def usages(account: Account, provider: str, region: str) -> Answer:
    """The usage of a provider's quotas in a region. Raises `RefusedError`."""
    counts: dict[str, tuple[float, float | None]]
    limits = account.limits
    if provider.lower() == "microsoft.compute":
        sizes = [each.properties["hardwareProfile"]["vmSize"] for each in _in(account, "virtualMachines", region)]
        counts = {"cores": (sum(map(machine.cores, sizes)), limits.cores), "virtualMachines": (len(sizes), None)}
    elif provider.lower() == "microsoft.network":
        counts = {"PublicIPAddresses": (len(_in(account, "publicIPAddresses", region)), limits.public_ips)}
    elif provider.lower() == "microsoft.containerinstance":
        groups = _in(account, "containerGroups", region)
        cpus = [c["properties"]["resources"]["requests"]["cpu"] for g in groups for c in g.properties["containers"]]
        counts = {
            "ContainerGroups": (len(groups), limits.container_groups),
            "StandardCores": (sum(cpus), limits.container_cores),
        }
    else:
        raise RefusedError(404, "InvalidResourceNamespace", f"The resource namespace '{provider}' is invalid.")
    return Answer(200, {"value": [_usage(name, *numbers) for name, numbers in counts.items()]})


def _in(account: Account, word: str, region: str) -> list[Resource]:
    return [each for each in account.resources.values() if each.type.endswith(f"/{word}") and each.location == region]


def _usage(name: str, used: float, limit: float | None) -> Json:
    most = _UNLIMITED if limit is None else int(limit)
    return {"unit": "Count", "currentValue": int(used), "limit": most, "name": {"value": name, "localizedValue": name}}
