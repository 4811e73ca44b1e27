"""A simulated Azure with one subscription: ``python -m occopus_resource_azure.testing``."""

from __future__ import annotations

import argparse
from pathlib import Path

from occopus_core.testing.processes import wait_for_end
from occopus_resource_azure.testing.account import SUBSCRIPTION, TENANT
from occopus_resource_azure.testing.cloud import GROUP, REGION, AzureCloud
from occopus_resource_azure.testing.login import CLIENT_ID, CLIENT_SECRET


def main() -> None:
    """Print the endpoint, certificate and credentials, and serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; default: any free port")
    parser.add_argument("--ca-file", type=Path, help="where to write the certificate; default: a temporary file")
    parser.add_argument("--cores", type=int, metavar="N", help="the cores a region has room for; default: any number")
    parser.add_argument("--boot-seconds", type=float, default=2.0, metavar="S", help="what a VM takes to run")
    options = parser.parse_args()
    with AzureCloud(port=options.port) as cloud:
        cloud.limits.cores = options.cores
        cloud.account.times.update(vm_create=options.boot_seconds, container_create=options.boot_seconds)
        cloud.add_network("network", default="10.0.0.0/24")
        ca_file = options.ca_file or cloud.ca_file
        if options.ca_file:
            options.ca_file.write_bytes(cloud.ca_file.read_bytes())
        lines = {
            "endpoint": cloud.endpoint,
            "REQUESTS_CA_BUNDLE": ca_file,
            "subscription": SUBSCRIPTION,
            "tenant": TENANT,
            "client id": CLIENT_ID,
            "client secret": CLIENT_SECRET,
            "resource group": f"{GROUP} in {REGION}, with the virtual network 'network' and its subnet 'default'",
        }
        for name, value in lines.items():
            print(f"{name}: {value}", flush=True)  # noqa: T201
        wait_for_end()


if __name__ == "__main__":
    main()
