"""Passes with the configuration manager `puppet_solo` are killed at every boundary between two steps.

The machines are those of the cloud in memory; each runs the commands of its user data once, with a stand-in for the
program `puppet` that takes milliseconds. ``OCCOPUS_TEST_KILLS`` is how many kills there are at the most, of each kind
of moment (5).
"""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml

from occopus_config_puppet_solo import PuppetSolo

from ..unit.engine.conftest import World, empty_store, userdata, world  # noqa: F401  # fixtures
from .kills import MOMENTS, Campaign, mortal

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("OCCOPUS_TEST_KILLS", "5"))
PUPPET = """\
#!/bin/sh
set -eu
[ "$1 $2" = "apply site.pp" ]
mkdir "$OCCOPUS_TEST_LOG.$3" || echo "doubled $3" >>"$OCCOPUS_TEST_LOG"
echo "begun $3 $4" >>"$OCCOPUS_TEST_LOG"
"""
TEMPLATE = """\
#cloud-config
runcmd:
  - set -e
  - for manifest in {{ puppet.manifests }}; do
      puppet apply "$manifest" {{ node_id }} {{ puppet.attributes[0].version }};
    done
"""


class Machines:
    """The machines of a cloud: each runs its user data once. `failed` are those whose script did."""

    def __init__(self, folder):
        self._folder = folder
        self._booted = set()
        self.failed = []

    def boot(self, token, user_data):
        if token in self._booted:
            return
        self._booted.add(token)
        script = "\n".join(yaml.safe_load(user_data)["runcmd"])
        path = f"{self._folder}:{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path, "OCCOPUS_TEST_LOG": str(self._folder / "log")}
        if subprocess.run(["sh", "-c", script], env=environ, check=False, timeout=600).returncode != 0:
            self.failed.append(token)


@pytest.fixture
def killed(world, tmp_path):  # noqa: F811
    lives, machines = [], Machines(tmp_path)
    program = tmp_path / "puppet"
    program.write_text(PUPPET)
    program.chmod(0o755)

    class Handler(world.handler):
        def create(self, request):
            instance = super().create(request)
            machines.boot(request.token, request.context.user_data)
            return instance

    class Mortal(PuppetSolo):
        def __init__(self, connection):
            super().__init__(connection)
            for name in ("register", "configure", "status", "cancel", "forget", "forget_infrastructure"):
                setattr(self, name, mortal(lives, getattr(self, name)))

    world.install("resource", "memory", Handler)
    world.install("config", "puppet_solo", Mortal)
    world.lives, world.log, world.machines = lives, tmp_path / "log", machines
    return world


def define(world, version):  # noqa: F811
    section = {"type": "puppet_solo", "manifests": ["site.pp"], "attributes": [{"version": str(version)}]}
    way = {"config": section, "contextualisation": userdata(TEMPLATE), "resource": {"boot_seconds": 1}}
    world.define("web", implementations=[way])


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_doubled_and_nothing_is_left(killed, moment):
    def nothing_is_left(infra_id, known):
        assert "doubled" not in killed.log.read_text()
        assert killed.machines.failed == []
        applied = [line for line in killed.log.read_text().splitlines() if line.split()[1] in known]
        assert len({line.split()[1] for line in applied}) == len(applied)

    Campaign(killed, lambda version: define(killed, version), nothing_is_left).run(moment, KILLS)
