"""``python -m occopus_resource_cloudbroker.testing [--port N]``: serve a CloudBroker Platform without machines."""

from __future__ import annotations

import argparse

from occopus_core.testing.processes import wait_for_end
from occopus_resource_cloudbroker.testing import DEPLOYMENT, EMAIL, INSTANCE_TYPE, KEY_PAIR, PASSWORD, Platform, Server


def main() -> None:
    """Serve until stopped; the first line on stdout is the endpoint."""
    parser = argparse.ArgumentParser(description="A CloudBroker Platform on this machine, for tests.")
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; default: any free port")
    parser.add_argument("--boot-seconds", type=float, default=2.0, help="how long an instance takes to start")
    parser.add_argument("--instances", type=int, metavar="N", help="the quota of the account; default: any number")
    options = parser.parse_args()
    server = Server(Platform(boot_seconds=options.boot_seconds, stop_seconds=1.0, quota=options.instances))
    server.start(options.port)
    print(server.endpoint, flush=True)  # noqa: T201
    print(f"email {EMAIL}, password {PASSWORD}", flush=True)  # noqa: T201
    print(f"deployment {DEPLOYMENT}, instance type {INSTANCE_TYPE}, key pair {KEY_PAIR}", flush=True)  # noqa: T201
    wait_for_end()


if __name__ == "__main__":
    main()
