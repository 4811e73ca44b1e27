"""The worker of one infrastructure: a separate process that runs Ansible until every order is executed.

It inherits a descriptor that holds the folder's lock: so at most one worker runs, and its end always releases the lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from occopus_config_ansible.folders import InfraFolder, NodeFolder
from occopus_config_ansible.job import Job, end
from occopus_config_ansible.manager import MOST_JOBS

_LOOK_SECONDS = 0.2
_GATHER_SECONDS = 0.4
"""How long an order waits for others with the same playbook, which arrive one by one."""
_GATHER_AT_MOST = 2.0
_FINAL = ("ready", "failed")
_DETACHED = "import os; os.fork() and os._exit(0); from occopus_config_ansible.worker import main; main()"
"""Starts the worker as no child of this process, which then need not wait for its end."""

Order = dict[str, Any]


def start(infra: InfraFolder) -> None:
    """Start the worker of the infrastructure; a running one finds the new order by itself. Raises `OSError`."""
    lock = infra.take_lock()
    if lock is None:
        return
    try:
        with open(infra.log, "ab", opener=_private) as log:
            subprocess.run(
                [sys.executable, "-c", _DETACHED, str(infra.path), str(lock)],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=(lock,),
                start_new_session=True,  # it continues when the starting process ends
            )
    finally:
        os.close(lock)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def is_final(order: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether the status is the final one of this order."""
    return status.get("order") == order["id"] and status.get("state") in _FINAL


class Worker:
    """Finds orders, runs them, and stops runs whose orders were withdrawn or replaced."""

    def __init__(self, infra: InfraFolder) -> None:
        self._infra = infra
        self._running: dict[Job, threading.Thread] = {}
        self._woken = threading.Event()

    def work(self) -> None:
        """Run until there are neither orders nor runs. Raises `OSError` if the folder cannot be read."""
        for folder in self._infra.all_jobs():
            end(folder)  # end processes of a killed worker
        while self._turn():
            self._woken.wait(_LOOK_SECONDS)
            self._woken.clear()

    def has_work(self) -> bool:
        """Whether an order is not executed yet. Raises `OSError` if the folder cannot be read."""
        return any(not is_final(order, self._node(id).status()) for id, order in self._orders().items())

    def _turn(self) -> bool:
        """Start and stop runs. Returns whether work remains."""
        orders = self._orders()
        for job, thread in list(self._running.items()):
            if not thread.is_alive():
                del self._running[job]
            elif any(orders.get(id, {}).get("id") != order["id"] for id, order in job.orders.items()):
                job.stop()
        busy = {id for job in self._running for id in job.orders}
        waiting = {id: order for id, order in orders.items() if not is_final(order, self._node(id).status())}
        self._begin({id: order for id, order in waiting.items() if id not in busy})
        return bool(waiting or self._running)

    def _orders(self) -> dict[str, Order]:
        found = {node.node_id: node.order() for node in self._infra.all_nodes()}
        return {id: order for id, order in found.items() if order is not None}

    def _node(self, node_id: str) -> NodeFolder:
        return self._infra.node(node_id)

    def _begin(self, waiting: Mapping[str, Order]) -> None:
        now = time.time()
        runs: dict[str, list[Order]] = {}
        for order in waiting.values():
            runs.setdefault(order["run"], []).append(order)
        for orders in runs.values():
            times = [order["at"] for order in orders]
            gathered = now - max(times) >= _GATHER_SECONDS or now - min(times) >= _GATHER_AT_MOST
            # `now < ...`: a clock that was set back must not delay the run.
            if (gathered or now < min(times)) and len(self._running) < MOST_JOBS:
                self._run(orders)

    def _run(self, orders: Sequence[Order]) -> None:
        nodes = {order["owner"]["node_id"]: self._node(order["owner"]["node_id"]) for order in orders}
        works = {order["owner"]["node_id"]: nodes[order["owner"]["node_id"]].work(order["id"]) for order in orders}
        # Orders without work have just been replaced: the next turn reads the new ones.
        job = Job(self._infra, nodes, {id: work for id, work in works.items() if work is not None})

        def run() -> None:
            job.run()
            self._woken.set()

        thread = threading.Thread(target=run, name=f"job {job.id}")
        self._running[job] = thread
        thread.start()


def main() -> None:
    """The main function of the process."""
    os.umask(0o077)
    infra, lock = InfraFolder(Path(sys.argv[1])), int(sys.argv[2])
    os.set_inheritable(lock, False)
    while True:
        worker = Worker(infra)
        worker.work()
        os.close(lock)
        # An order written while the lock was held has started no other worker.
        taken = infra.take_lock() if worker.has_work() else None
        if taken is None:
            # The call that removed the last node leaves the folder to a living worker.
            infra.remove_if_empty()
            return
        lock = taken
