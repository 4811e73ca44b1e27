"""``python -m occopus_resource_cloudsigma.testing [--port N]``: serve a CloudSigma without machines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from occopus_core.testing.processes import wait_for_end
from occopus_resource_cloudsigma.testing.behaviour import Behaviour
from occopus_resource_cloudsigma.testing.model import LIBRARY_DRIVE
from occopus_resource_cloudsigma.testing.server import EMAIL, PASSWORD, CloudSigma


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped; the first line on stdout is the endpoint."""
    parser = argparse.ArgumentParser(description="A CloudSigma on the loopback, for tests and examples.")
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; default: any free port")
    parser.add_argument("--clone-seconds", type=float, default=2.0, help="how long a drive is cloned; default: 2")
    parser.add_argument("--start-seconds", type=float, default=1.0, help="how long a server starts; default: 1")
    options = parser.parse_args(arguments)
    behaviour = Behaviour(clone_seconds=options.clone_seconds, start_seconds=options.start_seconds)
    with CloudSigma(behaviour, port=options.port) as cloud:
        account = f"as {EMAIL} with the password {PASSWORD}"
        print(f"{cloud.url}/api/2.0/ {account}, library drive {LIBRARY_DRIVE}", flush=True)  # noqa: T201
        wait_for_end()


if __name__ == "__main__":
    main()
