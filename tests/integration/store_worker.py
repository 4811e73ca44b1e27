"""A process that changes infrastructures under their leases until it is killed, and reports its commits."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import time
import traceback

from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.store import repository
from occopus_core.store.database import open_database
from occopus_core.store.records import LeaseLostError

repository.LEASE_SECONDS = 0.3  # how long a killed process keeps the others waiting
WAYS = [Implementation({"type": "memory", "number": number}) for number in range(4)]


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # short enough to arrive in one piece


def turn(store: repository.Store, infra_id: str, holder: str, rng: random.Random) -> None:
    lease = store.acquire(infra_id, holder, time.time())
    if lease is None:
        return
    (record,) = store.instances(infra_id)
    for _ in range(10):
        way = rng.choice(WAYS)
        record = dataclasses.replace(record, reason=str(int(record.reason) + 1), implementation=way.digest)
        with store.changing(lease) as change:
            change.renew(time.time())
            change.add_implementations([way])
            change.put_instances([record])
        say(f"committed {infra_id}")
    if rng.random() < 0.5:  # removes unused implementations
        store.put_definitions([NodeDefinition("web", (rng.choice(WAYS),))])
    store.release(lease)


def main(url: str, infra_ids: list[str]) -> None:
    rng = random.Random(os.getpid())
    store = repository.Store(open_database(url))
    while True:
        try:
            turn(store, rng.choice(infra_ids), f"process {os.getpid()}", rng)
        except LeaseLostError:
            say("lost")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except Exception:  # noqa: BLE001
        say("error " + repr(traceback.format_exc()))
