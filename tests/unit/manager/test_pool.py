"""Calls of one provider that do not return, beside those of others."""

from __future__ import annotations

import threading

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.loop import Waiting
from occopus_core.manager.installation import WORKERS, Installation
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.testing.memory import MemoryHandler


class Handler(MemoryHandler):
    def __init__(self, connection):
        super().__init__(connection, None)


def test_calls_of_one_provider_that_hang_hold_up_no_call_of_another(tmp_path):
    settings = Settings(store=f"sqlite:///{tmp_path}/store.db")
    registry = Registry({("resource", "mine"): Handler})
    installation = Installation(settings, Credentials(), registry, "sequential", pytest.fail, pytest.fail, None)
    opened, answers = threading.Event(), []

    def link(resources, endpoint):
        section = Implementation({"type": "mine", "endpoint": endpoint})
        return resources.connections.resource(section, f'{{"endpoint": "{endpoint}"}}')

    def steps(resources):
        far, here = link(resources, "far"), link(resources, "here")
        for _ in range(WORKERS["sequential"]):  # with one that is left over, they wait until it gives up
            far.limits.submit(lambda: opened.wait(30), answers.append)
        here.limits.submit(opened.set, lambda _outcome: None)
        yield Waiting(lambda: None, lambda: len(answers) == WORKERS["sequential"])

    installation.run(steps)
    assert all(outcome.get() for outcome in answers), "they returned without the other provider's call"
