"""Entry points of the programs for tests; without their extra they print what to install."""

from __future__ import annotations

import sys
from importlib import import_module

_UNAVAILABLE = 4


def simulated_cloud() -> int:
    """``occopus-simulated-cloud``."""
    return _run("occopus_core.testing.simcloud.server")


def simulated_manager() -> int:
    """``occopus-simulated-manager``."""
    return _run("occopus_core.testing.simmanager.server")


def _run(module: str) -> int:
    try:
        run = import_module(module).main
    except ModuleNotFoundError as error:
        wanted = "it comes with the extra [testing] of occopus-core"
        print(f"error: {error.name} is not installed: {wanted}", file=sys.stderr)  # noqa: T201 - for people
        return _UNAVAILABLE
    run()
    return 0
