"""``python -m benchmarks.hops``: how many modules a description passes from a file to the first `create`."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from types import FrameType
from typing import Any

from benchmarks import build, shapes
from occopus_core.credentials import Credentials
from occopus_core.manager import InfrastructureManager
from occopus_core.settings import Settings
from occopus_core.testing.simcloud.process import SimulatedCloud

PACKAGE = "occopus_core."
END = ("occopus_resource_sim.handler", "create")


class Trace:
    """Calls between modules of the core, in all threads, until the handler's `create` begins."""

    def __init__(self) -> None:
        self.changes: Counter[tuple[str, str]] = Counter()
        self.modules: set[str] = set()
        self._over = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """For `sys.setprofile`."""
        if event != "call" or self._over:
            return
        called = frame.f_globals.get("__name__", "")
        self._over = (called, frame.f_code.co_name) == END
        if not called.startswith(PACKAGE):
            return
        self.modules.add(called)
        caller = _caller(frame)
        if caller and caller != called:
            self.changes[caller, called] += 1


def _caller(frame: FrameType) -> str:
    """The nearest calling module of the core, skipping libraries and generated code."""
    before = frame.f_back
    while before is not None:
        name: str = before.f_globals.get("__name__", "")
        if name.startswith(PACKAGE):
            return name
        before = before.f_back
    return ""


def measure() -> Trace:
    """Build an infrastructure of one node in this process. The store, the definitions and all imports are ready."""
    shape = shapes.independent(1, 0.0)
    with SimulatedCloud() as cloud, build.workspace() as here:
        here.run("occopus-import", here.write("nodes.yaml", shape.definitions(cloud.endpoint)))
        file = str(here.folder / here.write("infrastructure.yaml", shape.infrastructure()))
        trace = Trace()
        with InfrastructureManager(Settings(here.environment["OCCOPUS_STORE"]), Credentials()) as manager:
            manager.build(manager.load(file))  # imports everything
            threading.setprofile(trace)
            sys.setprofile(trace)
            try:
                manager.build(manager.load(file))
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
    return trace


def main() -> None:
    """Print the counts, and the pairs of modules with the most calls."""
    trace = measure()
    print(f"{len(trace.modules)} modules, {sum(trace.changes.values())} changes of module")
    for (caller, called), count in trace.changes.most_common(25):
        print(f"{count:4} {caller.removeprefix(PACKAGE)} -> {called.removeprefix(PACKAGE)}")


if __name__ == "__main__":
    main()
