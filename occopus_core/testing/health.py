"""Conformance of health checkers: what `occopus_core.api.health` asks of them, as an abstract pytest class.

A plugin derives from the class and says what to look at::

    class TestPorts(HealthCheckerConformance):
        @pytest.fixture
        def harness(self) -> HealthHarness:
            return HealthHarness(Ports(), healthy=..., unhealthy=..., silent=...)

`failures` runs the same clauses without pytest.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from occopus_core.api.health import HealthChecker, Probe, Verdict
from occopus_core.testing import suite
from occopus_core.testing.shape import assert_no_io, assert_states_version, plugin_class

CROWD = 100
"""How many silent targets are checked concurrently."""
GRACE = 15.0
"""Seconds by which a busy machine may exceed a probe's timeout."""
NO_SUCH_HOST = "x" * 64 + ".invalid"
"""A name that is invalid without a resolver: its label is too long."""


@dataclass(frozen=True, slots=True)
class HealthHarness(suite.Harness):
    """A checker and its probes. Give the probes short timeouts, under a second."""

    checker: HealthChecker
    healthy: Probe
    unhealthy: Probe
    silent: Probe
    """The target accepts the request and never answers; if a target cannot do that, the same as `unhealthy`."""
    secret: str = ""
    """A text in the value of `unhealthy` that no reason may show; empty if such values contain no secret."""


class HealthCheckerConformance(suite.Suite):
    """Every clause of the contract. Derive from it, name the class ``Test…`` and give it the fixture `harness`."""

    def test_contract_version(self, harness: HealthHarness) -> None:
        """The class states which version of the contract it is written for, and it is the current one."""
        assert isinstance(harness.checker, HealthChecker), "it is no `HealthChecker`"
        assert_states_version(plugin_class(harness.checker))

    def test_powers_without_io(self, harness: HealthHarness) -> None:
        """`powers` returns texts without I/O, also for values that are templates."""
        for value in (harness.healthy.value, "{{ variables.x }}"):
            found: list[Any] = []
            assert_no_io(lambda: found.extend(type(harness.checker).powers(value)))  # noqa: B023 - it is called at once
            assert all(isinstance(each, str) and each for each in found), "a power is a text that says what it is"

    def test_schema(self, harness: HealthHarness) -> None:
        """The schema is valid and documented, and accepts its examples and the values of the probes."""
        schema = type(harness.checker).schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("description"), "an editor shows the description to people who write the key"
        for probe in (harness.healthy, harness.unhealthy):
            jsonschema.validate(probe.value, schema, cls=jsonschema.Draft7Validator)
        for example in schema.get("examples", ()):
            jsonschema.validate(example, schema, cls=jsonschema.Draft7Validator)

    def test_no_probes(self, harness: HealthHarness) -> None:
        """Without probes there are no verdicts."""
        assert list(harness.checker.check([])) == []

    def test_order(self, harness: HealthHarness) -> None:
        """One verdict for each probe, in order."""
        order = [True, False, False, True, False]
        verdicts = harness.checker.check([harness.healthy if well else harness.unhealthy for well in order])
        assert [verdict.healthy for verdict in verdicts] == order

    def test_reason(self, harness: HealthHarness) -> None:
        """An unhealthy verdict has a reason of one line, a healthy one has no reason."""
        well, ill = harness.checker.check([harness.healthy, harness.unhealthy])
        assert well == Verdict(True)
        assert len(ill.reason.splitlines()) == 1
        assert ill.reason == ill.reason.strip()

    def test_repeat(self, harness: HealthHarness) -> None:
        """A check changes nothing: a repeat gives the same verdicts."""
        probes = [harness.healthy, harness.unhealthy]
        assert harness.checker.check(probes) == harness.checker.check(probes)

    def test_silent_targets(self, harness: HealthHarness) -> None:
        """Silent targets are checked concurrently, no longer than their timeout."""
        probes = [dataclasses.replace(harness.silent, node_id=str(number)) for number in range(CROWD)]
        started = time.monotonic()
        verdicts = harness.checker.check(probes)
        assert time.monotonic() - started < harness.silent.timeout + GRACE
        assert [verdict.healthy for verdict in verdicts] == [False] * CROWD
        assert all(verdict.reason for verdict in verdicts)

    def test_own_timeout(self, harness: HealthHarness) -> None:
        """A probe's short timeout does not shorten the others."""
        hurried = dataclasses.replace(harness.silent, timeout=harness.silent.timeout / 10)
        hurried_verdict, well = harness.checker.check([hurried, harness.healthy])
        assert not hurried_verdict.healthy
        assert well.healthy

    def test_no_address(self, harness: HealthHarness) -> None:
        """A target without an address is unhealthy."""
        (verdict,) = harness.checker.check([dataclasses.replace(harness.unhealthy, address="")])
        assert not verdict.healthy
        assert verdict.reason

    def test_no_such_host(self, harness: HealthHarness) -> None:
        """A host name that does not exist is a verdict, not an error, and does not affect other verdicts."""
        lost, well = harness.checker.check(
            [dataclasses.replace(harness.unhealthy, address=NO_SUCH_HOST), harness.healthy]
        )
        assert not lost.healthy
        assert well.healthy

    def test_secrets(self, harness: HealthHarness) -> None:
        """No reason, and nothing printed or logged, contains a secret or a credential, whatever the error."""
        probes = [
            harness.unhealthy,
            dataclasses.replace(harness.unhealthy, address=""),
            dataclasses.replace(harness.unhealthy, address=NO_SUCH_HOST),
            dataclasses.replace(harness.unhealthy, timeout=0.001),
        ]
        auth = harness.unhealthy.auth
        secrets = [text for text in (harness.secret, *suite.secrets_of(auth)) if text]
        with suite.printed(plugin_class(harness.checker)) as shown:
            verdicts = harness.checker.check(probes)
        found = suite.leaked(shown(), secrets, auth)
        assert not found, f"what is printed or logged shows {found}"
        for verdict in verdicts:
            found = suite.leaked(verdict.reason, secrets, auth)
            assert not found, f"a reason shows {found}"

    def test_threads(self, harness: HealthHarness) -> None:
        """The checker is thread-safe: many threads may check at once."""

        def ask(number: int) -> Sequence[bool]:
            probes = [harness.healthy, harness.unhealthy][:: 1 if number % 2 else -1]
            return [verdict.healthy for verdict in harness.checker.check(probes)]

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, range(16)))
        assert answers == [[True, False] if number % 2 else [False, True] for number in range(16)]


CLAUSES = suite.clauses(HealthCheckerConformance)
"""The names of all clauses."""
failures = functools.partial(suite.failures, HealthCheckerConformance)
"""Run clauses on harnesses without pytest; see `occopus_core.testing.suite.failures`."""
