"""A script for `passes.py` and `ticks.py`: fills a store, or maintains its infrastructures and reports the cost."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from occopus_core.api.context import Context
from occopus_core.api.resource import Connection, CreateRequest, Owner, ResourceHandler
from occopus_core.credentials import Credentials
from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.manager import InfrastructureManager
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.store.records import InstanceRecord

PASSES = 4
"""The first pass is not counted: it opens the connections."""


def build(manager: InfrastructureManager, infra_ids: Sequence[str], description: str) -> None:
    """Build the same infrastructure many times."""
    for infra_id in infra_ids:
        manager.build(manager.load(description), infra_id)


def maintain(manager: InfrastructureManager, infra_ids: Sequence[str], result: str) -> None:
    """Run a few passes over all of them; write the CPU seconds of each."""
    seconds = []
    for _ in range(PASSES):
        began = time.process_time()
        one_round(manager, infra_ids)
        seconds.append(time.process_time() - began)
    Path(result).write_text(json.dumps(seconds[1:]), "utf-8")


def one_round(manager: InfrastructureManager, infra_ids: Sequence[str]) -> None:
    """One pass over each, as in `occopus-maintain -c` and the service."""
    rounds = manager.rounds(interval=1.0)
    for infra_id in infra_ids:
        rounds.attach(infra_id)
        rounds.detach(infra_id)
    rounds.run(until_none_left=True)


class Counter(CallMetrics):
    """Counts completed passes."""

    def __init__(self) -> None:
        self.passes = 0
        self.errors = 0

    def passed(self, _seconds: float, error: Exception | None) -> None:
        """See `Meter.passed`."""
        self.passes += 1
        self.errors += error is not None


def fill(manager: InfrastructureManager, infra_ids: Sequence[str], description: str) -> None:
    """Build one infrastructure; copy it in the cloud and in the store, without the engine."""
    first, *others = infra_ids
    manager.build(manager.load(description), first)
    store = manager.store
    model, records = store.infrastructure(first), store.instances(first)
    assert model.description is not None, "it was built"
    handler = Registry().resource("sim")(Connection("sim", json.loads(records[0].connection), {}))
    for infra_id in others:
        lease = store.add_infrastructure(infra_id, model.description, model.targets, "benchmark", time.time())
        with store.changing(lease) as change:
            change.add_instances([_copy(handler, store.installation, infra_id, one) for one in records])
            change.finish_build(model.description, model.targets)
        store.release(lease)


def _copy(handler: ResourceHandler, installation: str, infra_id: str, like: InstanceRecord) -> InstanceRecord:
    node_id = str(uuid.uuid4())
    owner = Owner(installation, infra_id, like.node_name, node_id)
    made = handler.create(CreateRequest(f"occopus-{node_id}", owner, {"boot_seconds": 0}, Context()))
    return dataclasses.replace(
        like,
        node_id=node_id,
        infra_id=infra_id,
        token=made.token,
        instance_id=made.id,
        addresses=made.addresses,
    )


def tick(manager: InfrastructureManager, infra_ids: Sequence[str], plan: str) -> None:
    """Maintain all of them like a service, at an interval, and report the cost after two passes over each.

    `plan` is INTERVAL,SECONDS,RESULT.
    """
    interval, seconds, result = plan.split(",")
    rounds = manager.rounds(float(interval))
    for infra_id in infra_ids:
        rounds.attach(infra_id)
    thread = threading.Thread(target=rounds.run)
    thread.start()
    while METER.passes < 2 * len(infra_ids):
        time.sleep(0.1)
    before, began, cpu = METER.passes, time.monotonic(), time.process_time()
    time.sleep(float(seconds))
    passes, wall, cpu = METER.passes - before, time.monotonic() - began, time.process_time() - cpu
    rounds.stop()
    thread.join()
    Path(result).write_text(json.dumps({"passes": passes, "wall": wall, "cpu": cpu, "errors": METER.errors}), "utf-8")


METER = Counter()
ROLES = {"build": build, "maintain": maintain, "fill": fill, "tick": tick}

if __name__ == "__main__":
    role, count, path = sys.argv[1:]
    with InfrastructureManager(Settings.load(), Credentials(), process_strategy="parallel", meter=METER) as made:
        ROLES[role](made, [f"benchmark-{number}" for number in range(int(count))], path)
