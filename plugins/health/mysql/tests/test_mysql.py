"""The checker fulfils the contract and gives useful reasons, on a real MariaDB server."""

from __future__ import annotations

import pytest

from occopus_core.api import Probe, Verdict
from occopus_core.testing.health import HealthCheckerConformance
from occopus_health_mysql import MySqlDatabases
from occopus_health_mysql.testing import GENEROUS, PASSWORD, MySqlHarness, probe


def reason(*args, **kwargs):
    (verdict,) = MySqlDatabases().check([probe(*args, **kwargs)])
    assert not verdict.healthy
    return verdict.reason


class TestMySqlDatabases(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, mariadb):
        harness = MySqlHarness(mariadb)
        yield harness
        harness.close()


def test_the_password_may_be_in_the_credentials(mariadb):
    assert MySqlDatabases().check([probe(mariadb.port, auth={"password": PASSWORD})]) == [Verdict(True)]


def test_a_password_in_the_description_takes_precedence(mariadb):
    assert "refused the password" in reason(mariadb.port, auth={"password": PASSWORD}, **{"pass": "wrong"})


def test_every_database_must_accept_the_login(mariadb):
    mixed = probe(mariadb.port, **{"pass": PASSWORD})
    other = {**mixed.value[0], "name": "warehouse"}
    mariadb.root("GRANT ALL ON warehouse.* TO 'app'@'%'")
    (verdict,) = MySqlDatabases().check([Probe("db", "127.0.0.1", [*mixed.value, other], GENEROUS)])
    assert verdict.reason == f"there is no database 'warehouse' at 127.0.0.1:{mariadb.port}"


def test_the_reason_says_what_is_wrong(mariadb, refusing, silent):
    at = f"127.0.0.1:{mariadb.port}"
    assert reason(mariadb.port, **{"pass": "x"}) == f"the database server at {at} refused the password of user 'app'"
    assert reason(mariadb.port, user="guest", **{"pass": PASSWORD}) == (
        f"user 'guest' may not use the database 'shop' at {at}"
    )
    assert reason(refusing) == f"the database server at 127.0.0.1:{refusing} cannot be used: Connection refused"
    assert reason(silent, 0.3) == f"the database server at 127.0.0.1:{silent} did not answer within 0.3 s"


def test_the_connection_is_encrypted_if_the_server_offers_it(mariadb):
    mariadb.root(
        f"CREATE OR REPLACE USER 'careful'@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
        "GRANT ALL ON shop.* TO 'careful'@'%'",
    )
    assert MySqlDatabases().check([probe(mariadb.port, user="careful", **{"pass": PASSWORD})]) == [Verdict(True)]


def test_a_server_without_tls_is_used_unencrypted(plain_mariadb):
    assert MySqlDatabases().check([probe(plain_mariadb.port, **{"pass": PASSWORD})]) == [Verdict(True)]


def test_an_empty_list_is_healthy():
    assert MySqlDatabases().check([Probe("db", "", [], 1.0)]) == [Verdict(True)]
