"""Harnesses of the core's own contextualisers."""

from __future__ import annotations

from occopus_core.contextualisers.basic import Basic
from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.contextualisers.docker import Docker
from occopus_core.testing.context import TEMPLATE, ContextHarness


def basic_harness() -> ContextHarness:
    """Attributes, which are for the configuration manager: the instance gets nothing."""
    return ContextHarness(Basic, {"attributes": {"greeting": f"hello {TEMPLATE}", "ports": [TEMPLATE, 80]}})


def cloudinit_harness() -> ContextHarness:
    """A template as a mapping, with texts at several depths."""
    template = {"hostname": TEMPLATE, "runcmd": [f"echo {TEMPLATE}", ["echo", TEMPLATE]]}
    return ContextHarness(CloudInit, {"context_template": template, "attributes": {}})


def docker_harness() -> ContextHarness:
    """An environment, and a command of words."""
    return ContextHarness(Docker, {"env": [f"WORD={TEMPLATE}"], "command": ["echo", TEMPLATE], "context_variables": {}})
