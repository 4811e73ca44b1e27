"""Published descriptions for Azure, unchanged but for their placeholders, where Azure's names lead to this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DESCRIPTIONS = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
WORLD = """
set -e
ip link set lo up
ip route add local 10.0.0.0/16 dev lo
printf '127.0.0.1 localhost management.azure.com login.microsoftonline.com\\n' > "$1/hosts"
mount --bind "$1/hosts" /etc/hosts
exec "$2" -m tests.integration.azure_world "$3" "$4" "$1"
"""
"""Names and addresses of a network of its own: nothing leaves it."""


@pytest.mark.skipif(not (DESCRIPTIONS / "azure-ping").is_dir(), reason=f"no descriptions in {DESCRIPTIONS}")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own")
@pytest.mark.parametrize(("name", "node"), [("azure-ping", "ping-receiver"), ("azure-aci-nginx", "nginx-server")])
def test_a_life_of_published_descriptions(tmp_path, name, node):
    words = ["unshare", "-n", "-m", "sh", "-c", WORLD, "sh", tmp_path, sys.executable, DESCRIPTIONS / name, node]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert ended.stdout.endswith("done\n"), ended.stderr
