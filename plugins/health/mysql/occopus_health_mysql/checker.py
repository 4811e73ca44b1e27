"""The implementation of `HealthChecker`. PyMySQL is imported by the first check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import HealthChecker, Probe, Verdict


class MySqlDatabases(HealthChecker):
    """Healthy if every database in the list exists and accepts a login. Only pings the server."""

    contract_version: ClassVar[int] = 1

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """A list of databases; see `HealthChecker.schema`."""
        text = {"type": "string", "minLength": 1}
        return {
            "description": "MySQL or MariaDB databases that must exist and accept a login at the node's first address.",
            "type": "array",
            "default": [],
            "items": {
                "type": "object",
                "required": ["name", "user"],
                "additionalProperties": False,
                "properties": {
                    "name": {**text, "description": "The name of the database."},
                    "user": {**text, "description": "The user who logs in."},
                    "pass": {
                        "type": "string",
                        "description": "The password. Left out, it is `password` of the matching entry of the section "
                        "`health_check` in the credentials file.",
                    },
                    "port": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 65535,
                        "default": 3306,
                        "description": "The TCP port of the server.",
                    },
                },
            },
            "examples": [[{"name": "shop", "user": "app", "pass": "{{variables.database_password}}"}]],
        }

    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """Logs in to every database of every probe, concurrently."""
        from occopus_health_mysql import logins  # noqa: PLC0415

        return logins.check(probes)
