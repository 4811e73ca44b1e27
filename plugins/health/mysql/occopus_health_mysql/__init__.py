"""Health check `mysqldbs`: databases of MySQL and MariaDB that accept a login."""

from occopus_health_mysql.checker import MySqlDatabases

__all__ = ["MySqlDatabases"]
