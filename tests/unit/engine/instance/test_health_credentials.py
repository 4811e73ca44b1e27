"""The section `health_check` of the credentials file reaches the checkers it is for."""

import pytest

from occopus_core.api import Verdict
from occopus_core.credentials import Credentials
from occopus_core.engine.planning.design import InvalidDesignError

from ..conftest import infrastructure
from ..fakes import health_checker

AUTH = """
health_check:
  - {type: database, auth_data: {password: geheim99}}
  - {type: other, auth_data: {password: another-one}}
"""


@pytest.fixture
def checker(world, tmp_path):
    (tmp_path / "auth.yaml").write_text(AUTH)
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"))
    checker = health_checker(lambda probe: Verdict(probe.auth.get("password") == "geheim99", "access denied"))
    world.define("db", implementations=[{"checks": {"database": {"port": 3306, "user": "app"}}, "timeout": 30.0}])
    return world.install("health", "database", checker)


def test_a_checker_gets_its_credentials_in_a_build_and_in_maintenance(world, checker):
    world.build(infrastructure("db"))
    world.convergence().maintain()
    probes = [probe for probes in checker.asked for probe in probes]
    assert len(probes) >= 2
    assert {probe.auth["password"] for probe in probes} == {"geheim99"}
    assert "geheim99" not in repr(probes)
    world.assert_runs({"db": 1})


def test_a_selector_may_name_a_value_of_the_check(world, checker, tmp_path):
    (tmp_path / "auth.yaml").write_text(AUTH.replace("type: database", "type: database, user: somebody"))
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"))
    convergence = world.convergence()
    with pytest.raises(Exception, match="access denied"):
        convergence.build(infrastructure("db"))
    assert all(not probe.auth for probes in checker.asked for probe in probes)


def test_two_entries_that_apply_are_a_message_before_anything_is_made(world, checker, tmp_path):
    (tmp_path / "auth.yaml").write_text(f"{AUTH}  - {{type: database, user: app, auth_data: {{password: third}}}}\n")
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"))
    with pytest.raises(InvalidDesignError, match="all apply to type 'database'"):
        world.build(infrastructure("db"))
    assert world.calls("create") == 0
