"""Microsoft's own clients on a cloud of the tests."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from occopus_resource_azure.testing.account import SUBSCRIPTION, TENANT
from occopus_resource_azure.testing.cloud import AzureCloud
from occopus_resource_azure.testing.login import CLIENT_ID, CLIENT_SECRET


class Once:
    """A client or one of its groups; its ``begin_…`` methods poll only on demand."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if name.startswith("begin_"):
            return functools.partial(found, polling=False)
        return found if callable(found) else Once(found)


@dataclass(frozen=True)
class Clients:
    """One client for each provider, without polling and retries."""

    resources: Any
    network: Any
    compute: Any
    containers: Any


@contextlib.contextmanager
def clients(
    cloud: AzureCloud, *, secret: str = CLIENT_SECRET, client: str = CLIENT_ID, tenant: str = TENANT
) -> Iterator[Clients]:
    """Clients with these credentials, for the duration of a block."""
    trust = {"connection_verify": str(cloud.ca_file)}
    credential = ClientSecretCredential(
        tenant, client, secret, authority=cloud.endpoint, disable_instance_discovery=True, **trust
    )
    where: dict[str, Any] = {"base_url": cloud.endpoint, "credential_scopes": [f"{cloud.endpoint}/.default"], **trust}
    with (
        credential,
        ResourceManagementClient(credential, SUBSCRIPTION, retry_total=0, **where) as resources,
        NetworkManagementClient(credential, SUBSCRIPTION, retry_total=0, **where) as network,
        ComputeManagementClient(credential, SUBSCRIPTION, retry_total=0, **where) as compute,
        ContainerInstanceManagementClient(credential, SUBSCRIPTION, retry_total=0, **where) as containers,
    ):
        yield Clients(Once(resources), Once(network), Once(compute), Once(containers))
