"""What is found in a playbook without Ansible, and what is left to it."""

from __future__ import annotations

import pytest

from occopus_config_ansible.checking import fault_of

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


def test_a_playbook_that_is_right():
    assert fault_of(GOOD) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "expected a list of plays"),
        ("hosts: all\n", "expected a list of plays"),
        ("- hosts: all\n  tasks: [\n", "line 3, column 1: did not find expected node content"),
        ("- hosts: all\n tasks: []\n", "line 2, column 2: did not find expected '-' indicator"),
        ("- hosts: all\n\ttasks: []\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("- 5\n", "play 1: expected a mapping"),
        ("- tasks: []\n", "play 1: 'hosts' is missing"),
        ("- {name: web, hosts: all, task: []}\n", "play 1 'web': 'task' is not a keyword of a play"),
        ("- {hosts: all, tasks: {ping: }}\n", "play 1, tasks: expected a list of tasks"),
        ("- {hosts: all, tasks: [ping]}\n", "play 1, tasks, task 1: expected a mapping"),
        ("- {hosts: all, tasks: [{name: x, when: y}]}\n", "play 1, tasks, task 1 'x': no module is named"),
        (
            "- {hosts: all, handlers: [{copy: {}, onwer: root}]}\n",
            "play 1, handlers, task 1: it names several modules, copy and onwer: one of them is misspelt or too much",
        ),
        (
            "- {hosts: all, tasks: [{block: [{nmae: y, x: }]}]}\n",
            f"{INNER}: it names several modules, nmae and x: one of them is misspelt or too much",
        ),
        ("- {hosts: all, vars_prompt: [{name: x}]}\n", "play 1: 'vars_prompt' asks a person, use extra_vars"),
    ],
)
def test_what_is_wrong_is_named(text, fault):
    found = fault_of(text)
    assert found == fault or (fault.startswith("line") and found.startswith(fault.split(":")[0]))
