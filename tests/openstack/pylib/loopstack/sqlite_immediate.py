"""oslo.db on sqlite, many threads: writer transactions start with BEGIN IMMEDIATE.

oslo.db emits a deferred BEGIN; two transactions that read and then write get
"database is locked" at once, whatever the busy timeout.  With BEGIN IMMEDIATE
writers queue (up to the URL's ?timeout=), and with WAL readers never block.
Import before the service creates its engines.
"""

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade as ef
from sqlalchemy.engine import Engine

_session, _connection = ef._TransactionFactory._create_session, ef._TransactionFactory._create_connection


def _mark(bind):
    if bind is not None and bind.dialect.name == "sqlite" and isinstance(bind, Engine):
        return bind.execution_options(loop_immediate=True)
    return bind


def _create_session(self, mode, bind=None):
    s = _session(self, mode, bind=bind)
    if mode is ef._WRITER:
        s.bind = _mark(s.bind)
    return s


def _create_connection(self, mode):
    if mode is ef._WRITER:
        if not self._started:
            self._start()
        return _mark(self._writer_engine).connect()
    return _connection(self, mode)


ef._TransactionFactory._create_session = _create_session
ef._TransactionFactory._create_connection = _create_connection


@sqlalchemy.event.listens_for(Engine, "begin")
def _begin(conn):
    if (
        conn.dialect.name == "sqlite"
        and "in_transaction" not in conn.info
        and conn.get_execution_options().get("loop_immediate")
    ):
        conn.info["in_transaction"] = True  # oslo.db's own listener then does nothing
        try:
            conn.exec_driver_sql("BEGIN IMMEDIATE")
        except Exception:
            conn.info.pop("in_transaction", None)
            raise
