"""What `occopus-logs` prints of an output that goes on."""

import pytest

from occopus_core.cli.logs import _Printer, added
from occopus_core.engine.passes.outputs import InstanceOutput


@pytest.mark.parametrize(
    ("before", "now", "fresh"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        (["a", "b"], [], []),
    ],
)
def test_what_is_new(before, now, fresh):
    assert list(added(before, now)) == fresh


def test_lines_are_printed_once_with_the_name_of_their_instance(capsys):
    printer = _Printer("text", several=True)
    printer.show([InstanceOutput("web", "0123456789ab", ("a", "b", "c"))], 2)
    printer.show([InstanceOutput("web", "0123456789ab", ("b", "c", "d"))])
    assert capsys.readouterr().out.splitlines() == ["web/01234567: b", "web/01234567: c", "web/01234567: d"]


def test_a_problem_is_said_once(capsys):
    printer = _Printer("text", several=False)
    for _ in range(2):
        printer.show([InstanceOutput("web", "0123456789ab", problem="no answer", failed=True)])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "web/01234567: error: no answer\n")


def test_json_has_a_line_for_each_line(capsys):
    _Printer("json", several=False).show([InstanceOutput("web", "id", ("a",))])
    assert capsys.readouterr().out == '{"node": "web", "nodeid": "id", "line": "a"}\n'


def test_the_output_of_a_failed_job_follows_that_of_its_instance(capsys):
    found = [InstanceOutput("web", "id", ("a", "b")), InstanceOutput("web", "id", ("b", "c"), kept_at=0.0, of_job=True)]
    for form in ("text", "json"):
        printer = _Printer(form, several=False)
        printer.show(found)
        printer.show(found)
    printed = capsys.readouterr()
    *lines, own, _, job, _ = printed.out.splitlines()
    assert lines == ["a", "b", "b", "c"]
    assert own == '{"node": "web", "nodeid": "id", "line": "a"}'
    assert job == '{"node": "web", "nodeid": "id", "job": true, "line": "b"}'
    note = "web/id: its configuration manager has failed; what was kept at 1970-01-01T00:00:00+00:00:"
    assert printed.err.splitlines() == [note] * 2
