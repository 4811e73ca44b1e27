"""``occopus-plugins check`` with the harness of each distribution, and one clause of its suite."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CLAUSES = {
    "resource": "ready_in_the_end",
    "config": "ready_in_the_end",
    "health": "order",
    "context": "every_text_is_rendered",
    "notify": "all_in_order",
}
"""Clauses that need a running provider."""
ELSEWHERE = ("resource.nova",)
"""Needs an OpenStack, which a harness cannot start."""
HARNESSES = sorted({point.name for point in entry_points(group="occopus.harness")} - set(ELSEWHERE))


@pytest.mark.parametrize("name", HARNESSES)
def test_a_plugin_is_checked_with_the_harness_it_ships(workspace, name):
    kind, _, type = name.partition(".")
    checked = workspace.run("plugins", "check", f"{kind}/{type}", "--clause", CLAUSES[kind])
    if checked.code == 4 and "cannot be checked on this machine" in checked.stderr:
        pytest.skip(checked.stderr.strip())
    assert checked.code == 0, checked
    first, total = checked.stdout.splitlines()
    assert first == f"passed    {CLAUSES[kind]}"
    assert total.startswith(f"{kind}/{type}: 1 passed, 0 failed, 0 declined in ")


def test_what_a_machine_lacks_is_one_line(workspace):
    lacking = workspace.run("plugins", "check", "config/chef", environ={"PATH": "/nonexistent"})
    assert (lacking.code, lacking.stdout) == (4, "")
    reason = "goiardi is not installed: apt-get install goiardi"
    assert lacking.complaint == [f"error: config/chef cannot be checked on this machine: {reason}"]
    elsewhere = workspace.run("plugins", "check", "nova")
    assert (elsewhere.code, len(elsewhere.complaint)) == (4, 1)
    assert "'make test-openstack'" in elsewhere.complaint[0]


def test_a_package_that_is_missing_is_one_line_with_the_extra(workspace):
    blocked = workspace.folder / "blocked"
    blocked.mkdir()
    (blocked / "trustme.py").write_text("raise ModuleNotFoundError('No module', name='trustme')")
    lacking = workspace.run("plugins", "check", "azure_vm", environ={"PYTHONPATH": str(blocked)})
    assert (lacking.code, lacking.stdout) == (4, "")
    reason = "trustme is not installed: it comes with the extra [testing] of occopus-resource-azure"
    assert lacking.complaint == [f"error: resource/azure_vm cannot be checked: {reason}"]


def test_a_clause_that_does_not_exist_is_refused_with_those_that_do(workspace):
    ended = workspace.run("plugins", "check", "context/docker", "--clause", "sings")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.complaint[0].startswith("error: no clause sings; there are: contract_version, ")
