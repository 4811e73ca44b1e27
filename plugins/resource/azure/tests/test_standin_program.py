"""The stand-in as a separate program."""

from __future__ import annotations

import subprocess
import sys

import pytest
import requests

from occopus_core.testing.processes import end
from occopus_resource_azure.testing import TENANT

pytestmark = pytest.mark.integration


def test_it_prints_how_to_use_it(tmp_path):
    certificate = tmp_path / "ca.pem"
    command = [sys.executable, "-m", "occopus_resource_azure.testing", "--ca-file", str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = dict(process.stdout.readline().rstrip("\n").split(": ", 1) for _ in range(7))
            assert said["REQUESTS_CA_BUNDLE"] == str(certificate)
            address = f"{said['endpoint']}/{TENANT}/v2.0/.well-known/openid-configuration"
            answer = requests.get(address, verify=str(certificate), timeout=60)
            assert answer.json()["token_endpoint"].startswith(said["endpoint"])
        finally:
            end(process, 30.0)
