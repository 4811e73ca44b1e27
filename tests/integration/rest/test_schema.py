"""What the OpenAPI document promises, and what the service answers to whatever may be sent to it."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

pytestmark = pytest.mark.integration


@pytest.fixture
def api(served):
    return schemathesis.openapi.from_url(f"{served.base}/openapi.json")


def test_every_answer_is_as_documented(api, served):
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        _try(operation)
    assert served.get("/readyz").status == 200
    lines = [json.loads(line) for line in served.process.said.read_text().splitlines() if line.startswith("{")]
    assert len(lines) > 10 * len(operations)
    assert {200, 404, 422} <= {line["status"] for line in lines}
    assert not [line for line in lines if line["status"] in (0, 429, 500)]


def _try(operation):
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        case.call_and_validate(excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])

    given(case=operation.as_strategy())(check)()
