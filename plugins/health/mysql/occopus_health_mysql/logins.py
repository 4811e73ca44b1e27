"""Concurrent logins to many databases, each within the time limit of its probe."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymysql
from pymysql.constants import ER

from occopus_core.api import Probe, Verdict, within

AT_ONCE = 200
"""The most concurrent logins in one check; more than that share the time."""
DEFAULT_PORT = 3306


def check(probes: Sequence[Probe]) -> list[Verdict]:
    """One verdict for each probe, in order: healthy if every one of its databases accepts the login."""
    logins = [(number, database) for number, probe in enumerate(probes) for database in probe.value]
    if not logins:
        return [Verdict(True)] * len(probes)
    turns = -(-len(logins) // AT_ONCE)
    reasons: list[list[str]] = [[] for _ in probes]
    with ThreadPoolExecutor(min(len(logins), AT_ONCE), thread_name_prefix="mysql login") as threads:
        found = threads.map(lambda login: _fault(probes[login[0]], login[1], turns), logins)
        for (number, _), fault in zip(logins, found, strict=True):
            reasons[number].append(fault)
    return [_verdict(faults) for faults in reasons]


def _verdict(faults: Sequence[str]) -> Verdict:
    reason = "; ".join(dict.fromkeys(filter(None, faults)))
    return Verdict(not reason, reason)


def _fault(probe: Probe, database: Mapping[str, Any], turns: int) -> str:
    """The error of one database, in one line; empty if there is none."""
    if not probe.address:
        return "no address yet"
    port = int(database.get("port", DEFAULT_PORT))
    password = database.get("pass", probe.auth.get("password", ""))
    server = f"{probe.address}:{port}"
    seconds = probe.timeout / turns
    try:
        within(seconds, lambda: _log_in(probe.address, port, database, password, seconds))
    except TimeoutError:
        return f"the database server at {server} did not answer within {probe.timeout:g} s"
    except (pymysql.MySQLError, OSError, ValueError) as error:
        return _in_words(error, server, database)
    return ""


def _log_in(address: str, port: int, database: Mapping[str, Any], password: str, seconds: float) -> None:
    """Raises `pymysql.MySQLError`, `OSError`, `ValueError`.

    PyMySQL encrypts if the server offers TLS, without verification: the server of a new node has a self-signed
    certificate.
    """
    with socket.create_connection((address, port), timeout=seconds) as connected:
        connected.recv(1, socket.MSG_PEEK)  # a server speaks first; do not set up TLS for a silent one
        connection = pymysql.Connection(
            user=database["user"],
            password=password,
            database=database["name"],
            read_timeout=seconds,
            write_timeout=seconds,
            defer_connect=True,
        )
        connection.connect(connected)
        try:
            connection.ping(reconnect=False)
        finally:
            connection.close()


def _in_words(error: Exception, server: str, database: Mapping[str, Any]) -> str:
    """The error as a message without the password. The server's text is used only if it cannot contain it."""
    name, user = database["name"], database["user"]
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    known = {
        ER.ACCESS_DENIED_ERROR: f"the database server at {server} refused the password of user '{user}'",
        ER.DBACCESS_DENIED_ERROR: f"user '{user}' may not use the database '{name}' at {server}",
        ER.BAD_DB_ERROR: f"there is no database '{name}' at {server}",
        ER.CON_COUNT_ERROR: f"the database server at {server} has too many connections",
    }
    if code in known:
        return known[code]
    if isinstance(error, OSError):
        return f"the database server at {server} cannot be used: {error.strerror or error}"
    number = f" (error {code})" if code else ""
    return f"the database server at {server} cannot be used: {type(error).__name__}{number}"
