"""The conformance suite finds faulty checkers: each one here violates one clause."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time

import pytest

from occopus_core.api import HealthChecker, Probe, Verdict
from occopus_core.testing import health
from occopus_core.testing.health import HealthCheckerConformance, HealthHarness


class Sound(HealthChecker):
    """A sound checker; its values are the verdicts that it returns."""

    contract_version = 1

    @classmethod
    def schema(cls):
        return {"description": "An outcome.", "type": "string", "examples": ["well"]}

    def check(self, probes):
        if any(probe.value == "silent" for probe in probes):
            time.sleep(max(probe.timeout for probe in probes))
        return [self.look(probe) for probe in probes]

    def look(self, probe):
        if not probe.address or probe.address == health.NO_SUCH_HOST:
            return Verdict(False, "no such host")
        return Verdict(True) if probe.value == "well" else Verdict(False, "it is ill")


class OldContract(Sound):
    contract_version = 0


class Undocumented(Sound):
    @classmethod
    def schema(cls):
        return {"type": "string"}


class WrongType(Sound):
    @classmethod
    def schema(cls):
        return {"description": "An outcome.", "type": "integer"}


class WrongExample(Sound):
    @classmethod
    def schema(cls):
        return {**super().schema(), "examples": [1]}


class UnsoundSchema(Sound):
    @classmethod
    def schema(cls):
        return {"description": "An outcome.", "type": "text"}


class FailsOnNothing(Sound):
    def check(self, probes):
        return [self.look(probes[0]), *super().check(probes[1:])]


class Sorts(Sound):
    def check(self, probes):
        return sorted(super().check(probes), key=lambda verdict: verdict.healthy)


class Drops(Sound):
    def check(self, probes):
        return super().check(probes)[:4]


class Mute(Sound):
    def look(self, probe):
        return dataclasses.replace(super().look(probe), reason="")


class Verbose(Sound):
    def look(self, probe):
        return dataclasses.replace(super().look(probe), reason="line\nline")


class Counts(Sound):
    def __init__(self):
        self.looks = 0

    def look(self, probe):
        self.looks += 1
        verdict = super().look(probe)
        return verdict if verdict.healthy else Verdict(False, f"look {self.looks}")


class OneByOne(Sound):
    def check(self, probes):
        return [verdict for probe in probes for verdict in super(OneByOne, self).check([probe])]


class Hurried(Sound):
    def check(self, probes):
        if min(probe.timeout for probe in probes) < 0.05:
            return [Verdict(False, "no time")] * len(probes)
        return super().check(probes)


class NeedsAnAddress(Sound):
    def look(self, probe):
        if not probe.address:
            raise ValueError(probe.address)
        return super().look(probe)


class NeedsARealHost(Sound):
    def look(self, probe):
        if probe.address == health.NO_SUCH_HOST:
            raise OSError(probe.address)
        return super().look(probe)


class TellsOnNoHost(Sound):
    def look(self, probe):
        if probe.address == health.NO_SUCH_HOST:
            return Verdict(False, f"no host for {probe.value}")
        return super().look(probe)


class PowerOfAName(Sound):
    @classmethod
    def powers(cls, value):
        return [str(socket.getaddrinfo("127.0.0.1", 80))]


class InheritsItsVersion(Sound):
    pass


class TellsCredentials(Sound):
    def look(self, probe):
        verdict = super().look(probe)
        return verdict if verdict.healthy else Verdict(False, f"refused with {dict(probe.auth)}")


class OneAtATime(Sound):
    def __init__(self):
        self.busy = threading.Lock()

    def check(self, probes):
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("busy")
        try:
            time.sleep(0.01)
            return super().check(probes)
        finally:
            self.busy.release()


def harness_of(checker):
    def probe(value):
        return Probe("node", "127.0.0.1", value, 0.1)

    ill = dataclasses.replace(probe("ill-hidden"), auth={"password": "hush-hush"})
    return HealthHarness(checker(), probe("well"), ill, probe("silent"), secret="hidden")


CLAUSES = sorted(name for name in dir(HealthCheckerConformance) if name.startswith("test_"))


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_sound_checker_passes(clause):
    getattr(HealthCheckerConformance(), clause)(harness_of(Sound))


@pytest.mark.parametrize(
    ("clause", "broken"),
    [
        ("test_contract_version", OldContract),
        ("test_contract_version", InheritsItsVersion),
        ("test_powers_without_io", PowerOfAName),
        ("test_schema", Undocumented),
        ("test_schema", WrongType),
        ("test_schema", WrongExample),
        ("test_schema", UnsoundSchema),
        ("test_no_probes", FailsOnNothing),
        ("test_order", Sorts),
        ("test_order", Drops),
        ("test_reason", Mute),
        ("test_reason", Verbose),
        ("test_repeat", Counts),
        ("test_silent_targets", OneByOne),
        ("test_own_timeout", Hurried),
        ("test_no_address", NeedsAnAddress),
        ("test_no_such_host", NeedsARealHost),
        ("test_secrets", TellsOnNoHost),
        ("test_secrets", TellsCredentials),
        ("test_threads", OneAtATime),
    ],
)
def test_a_broken_checker_fails(clause, broken, monkeypatch):
    monkeypatch.setattr(health, "GRACE", 0.3)
    monkeypatch.setattr(health, "CROWD", 10)
    with pytest.raises(Exception):  # noqa: B017, PT011 - some clauses fail with the error of the checker
        getattr(HealthCheckerConformance(), clause)(harness_of(broken))


def test_every_clause_can_fail():
    marks = test_a_broken_checker_fails.pytestmark
    (broken,) = (mark.args[1] for mark in marks if mark.name == "parametrize")
    assert sorted({clause for clause, _ in broken}) == CLAUSES
