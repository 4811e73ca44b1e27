"""Errors found in a playbook without Ansible, and those left to Ansible."""

from __future__ import annotations

import pytest

from occopus_config_ansible.checking import fault_of

ONE = "one of them is misspelt or too much"
INNER = "play 1, tasks, task 1, block, task 1"
GOOD = """\
- name: web servers
  hosts: web
  become: true
  vars: {secret: !vault "x", raw: !unsafe "{{ y }}"}
  roles: [common]
  pre_tasks:
    - ansible.builtin.ping:
  tasks:
    - name: a block
      block:
        - command: uptime
          register: up
          changed_when: false
      rescue:
        - debug: msg="it failed"
      always:
        - include_tasks: more.yml
      when: true
    - template: {src: a.j2, dest: /tmp/a}
      with_items: [1, 2]
      notify: again
  handlers:
    - name: again
      listen: changes
      service: {name: nginx, state: restarted}
- import_playbook: other.yml
"""


def test_a_valid_playbook():
    assert fault_of(GOOD) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1, column 1: expected a list of plays"),
        ("hosts: all\n", "line 1, column 1: expected a list of plays"),
        ("- hosts: all\n  tasks: [\n", "line 3, column 1: did not find expected node content"),
        ("- hosts: all\n tasks: []\n", "line 2, column 2: did not find expected '-' indicator"),
        ("- hosts: all\n\ttasks: []\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("- hosts: all\n  vars: &a {x: *a}\n", "line 2, column 9: found unconstructable recursive node"),
        ("\n- 5\n", "line 2, column 3: play 1: expected a mapping"),
        ("- tasks: []\n", "line 1, column 3: play 1: 'hosts' is missing"),
        (
            "- hosts: all\n  name: web\n  task: []\n",
            "line 3, column 3: play 1 'web': 'task' is not a keyword of a play",
        ),
        ("- hosts: all\n  tasks: {ping: }\n", "line 2, column 3: play 1, tasks: expected a list of tasks"),
        ("- hosts: all\n  tasks:\n    - ping\n", "line 3, column 7: play 1, tasks, task 1: expected a mapping"),
        (
            "- hosts: all\n  tasks:\n    - name: x\n      when: y\n",
            "line 3, column 7: play 1, tasks, task 1 'x': no module is named",
        ),
        (
            "- hosts: all\n  handlers:\n    - copy: {}\n      onwer: root\n",
            f"line 4, column 7: play 1, handlers, task 1: it names several modules, copy and onwer: {ONE}",
        ),
        (
            "- {hosts: all, tasks: [{block: [{nmae: y, x: }]}]}\n",
            f"line 1, column 43: {INNER}: it names several modules, nmae and x: {ONE}",
        ),
        (
            "- {hosts: all, vars_prompt: [{name: x}]}\n",
            "line 1, column 16: play 1: 'vars_prompt' asks a person, use extra_vars",
        ),
    ],
)
def test_errors_are_reported_with_their_place(text, fault):
    found = fault_of(text)
    assert found is not None
    if "did not find" in fault or "cannot start" in fault:  # the parser's own message
        assert (found.line, found.at("").split(":")[0]) == (found.line, fault.split(":")[0])
    else:
        assert found.at("") == fault


def test_an_error_names_its_file():
    fault = fault_of("- hosts: all\n  task: []\n")
    assert fault.at("/srv/site.yml") == "/srv/site.yml:2:3: play 1: 'task' is not a keyword of a play"


def test_keys_of_an_alias_are_located_in_the_source():
    text = "- hosts: all\n  tasks:\n    - &a {command: x, register: y}\n    - <<: *a\n      when: z\n      shell: q\n"
    assert fault_of(text).at("").startswith("line 6, column 7: play 1, tasks, task 2: it names several modules, ")
