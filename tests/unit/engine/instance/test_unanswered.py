from __future__ import annotations

from occopus_core.api.errors import PermanentError
from occopus_core.engine.instance.unanswered import Unanswered, summarise


def locked(node, number):
    return Unanswered(node, "sim one", PermanentError("locked", request_id=f"req-{number}"))


def test_calls_that_fail_alike_are_told_once_whatever_their_numbers_are():
    lines = summarise([locked("web", 1), locked("web", 2), locked("db", 3), Unanswered("web", "sim two", "overdue")])
    assert lines == [
        "3 instances of nodes 'db', 'web' (sim one): locked (request req-1)",
        "node 'web' (sim two): overdue",
    ]


def test_an_error_that_no_plugin_may_raise_is_told_as_that():
    (line,) = summarise([Unanswered("web", "sim", KeyError("id"))])
    assert line.endswith(": the plugin failed in a way its contract does not allow: KeyError")
