"""Errors in imported node definitions are reported with the playbook's own file, line and column."""

from __future__ import annotations

from unittest import mock

import pytest

from occopus_config_ansible import Ansible, importing, syntax
from occopus_core.api import SectionFault
from occopus_core.descriptions.loader import DescriptionError
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.registry import Registry

GOOD = "- hosts: all\n  tasks:\n    - ping:\n"
WRONG = "- hosts: all\n  tsks: []\n"
RAW = "# {% raw %}\n- hosts: all\n  tasks:\n    - debug: {msg: '{{ x }}'}\n      tsks: y\n# {% endraw %}\n"
AT = "node_def:web[0].config_management.playbook"
FAULT = "play 1: 'tsks' is not a keyword of a play"
DEFINITIONS = """\
'node_def:web':
  - resource: {{type: local}}
    config_management:
      type: ansible
      playbook: {playbook}
"""


@pytest.fixture
def accepting(monkeypatch):
    """Ansible's own check accepts everything."""
    asked = mock.Mock(return_value=syntax.ACCEPTED)
    monkeypatch.setattr(syntax, "fault_of", asked)
    return asked


def problems(folder, playbook):
    file = folder / "nodes.yaml"
    file.write_text(DEFINITIONS.format(playbook=playbook))
    registry = Registry()
    with pytest.raises(DescriptionError) as refused:
        load_node_definitions(str(file), registry, examine=registry.section_faults)
    return str(refused.value).splitlines()


def test_the_file_of_an_imported_playbook_is_named_with_line_and_column(tmp_path, accepting):
    (tmp_path / "site.yml").write_text(RAW)
    (line,) = problems(tmp_path, "!text_import {url: file://site.yml}")
    place = f"{tmp_path}/site.yml:5:7: {AT}: play 1, tasks, task 1: "
    assert line == f"{place}it names several modules, debug and tsks: one of them is misspelt or too much"


def test_a_playbook_named_by_its_path(tmp_path, accepting):
    (tmp_path / "site.yml").write_text(WRONG)
    (line,) = problems(tmp_path, tmp_path / "site.yml")
    assert line == f"{tmp_path}/nodes.yaml:5:17: {AT}: {tmp_path}/site.yml:2:3: {FAULT}"


def test_a_playbook_in_the_definitions_themselves(tmp_path, accepting):
    (line,) = problems(tmp_path, '"- hosts: all\\n  tsks: []\\n"')
    assert line == f"{tmp_path}/nodes.yaml:5:17: {AT}: line 2, column 3 of the text: {FAULT}"


@pytest.mark.parametrize(
    "section",
    [
        {"playbook": GOOD},
        {"playbook": "/no/such/site.yml"},
        {"playbook": "{{ variables.folder }}/site.yml"},
        {"playbook": "site.yml"},
        {"playbook": WRONG + "# {{ variables.x }}\n"},
        {"playbook": "{% if x %}\n" + WRONG + "{% endif %}"},
        {},
    ],
)
def test_valid_or_unknown_playbooks_have_no_errors(accepting, section):
    assert importing.faults(section) == ()


def test_ansible_finds_a_missing_module(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "SECONDS", 600.0)
    section = {"playbook": GOOD.replace("ping", "no_such_module"), "extra_vars": {"greeting": "{{ variables.x }}"}}
    (found,) = Ansible.faults(section)
    assert (found.key, found.line, found.column) == ("playbook", 3, 7)
    assert found.message.startswith("couldn't resolve module/action 'no_such_module'")
    (tmp_path / "site.yml").write_text(section["playbook"])
    (found,) = Ansible.faults({"playbook": str(tmp_path / "site.yml")})
    assert (found.line, found.message.split(": ")[0]) == (0, f"{tmp_path}/site.yml:3:7")


@pytest.mark.parametrize("message", ["'role_of_web' is undefined", "role_of_web.yml: No such file"])
def test_errors_that_may_depend_on_unknown_variables_are_not_reported(accepting, message):
    accepting.return_value = (syntax.Fault(message, 1, 1), "")
    assert importing.faults({"playbook": GOOD, "extra_vars": {"role_of_web": "{{ variables.x }}"}}) == ()
    assert importing.faults({"playbook": GOOD}) == (SectionFault("playbook", message, 1, 1),)
    assert "role_of_web" not in accepting.call_args_list[0].args[0]["extra_vars"]
