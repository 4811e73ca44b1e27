"""The simulated platform as a separate process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from occopus_core.api import QuotaError
from occopus_core.testing.processes import end

pytestmark = pytest.mark.integration


def test_it_serves_the_printed_endpoint(connect, order):
    words = [sys.executable, "-W", "error", "-m", "occopus_resource_cloudbroker.testing", "--instances", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            endpoint, credentials, ids = (process.stdout.readline().strip() for _ in range(3))
            _, email, _, password = credentials.replace(",", "").split()
            handler = connect(endpoint=endpoint, auth={"email": email, "password": password})
            request = order()
            assert request.resource["description"]["deployment_id"] in ids
            assert handler.create(request).raw_state == "starting"
            with pytest.raises(QuotaError):
                handler.create(order("t-2"))
        finally:
            end(process, 10.0)
