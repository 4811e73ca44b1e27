"""What can be known to be wrong with a playbook from its text alone, without Ansible."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_COMMON = """
any_errors_fatal become become_exe become_flags become_method become_user check_mode collections connection debugger
diff environment ignore_errors ignore_unreachable module_defaults name no_log port remote_user run_once tags
throttle timeout vars
"""
_PLAY = frozenset(
    f"""{_COMMON} fact_path force_handlers gather_facts gather_subset gather_timeout handlers hosts max_fail_percentage
    order post_tasks pre_tasks roles serial strategy tasks user vars_files vars_prompt validate_argspec""".split()
)
_TASK = frozenset(
    f"""{_COMMON} args async changed_when delay delegate_facts delegate_to failed_when listen loop loop_control notify
    poll register retries until when""".split()
)
_BLOCK = frozenset({"block", "rescue", "always"})
_TASKS = ("pre_tasks", "tasks", "post_tasks", "handlers")
_IMPORT = frozenset({"import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"})


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's tags; the values of those are of no interest here."""


for _tag in ("!vault", "!vault-encrypted", "!unsafe"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def fault_of(text: str) -> str:
    """What is wrong with the playbook, in one line; empty where nothing is found."""
    try:
        plays = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        return _yaml_fault(error)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"it is not YAML: {' '.join(str(error).split())}"
    if not isinstance(plays, list) or not plays:
        return "expected a list of plays"
    return next((fault for number, play in enumerate(plays, 1) for fault in _play(play, f"play {number}")), "")


def _yaml_fault(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem or error.context or 'it is not YAML'}"


def _play(play: Any, place: str) -> Iterator[str]:
    if not isinstance(play, Mapping):
        yield f"{place}: expected a mapping"
        return
    if _IMPORT & set(play):
        return
    place = f"{place} '{play['name']}'" if isinstance(play.get("name"), str) else place
    unknown = sorted(str(key) for key in play if key not in _PLAY)
    if unknown:
        yield f"{place}: '{unknown[0]}' is not a keyword of a play"
    if not play.get("hosts"):
        yield f"{place}: 'hosts' is missing"
    if play.get("vars_prompt"):
        yield f"{place}: 'vars_prompt' asks a person, use extra_vars"
    for key in _TASKS:
        yield from _tasks(play.get(key), f"{place}, {key}")


def _tasks(tasks: Any, place: str) -> Iterator[str]:
    if tasks is None:
        return
    if not isinstance(tasks, list):
        yield f"{place}: expected a list of tasks"
        return
    for number, task in enumerate(tasks, 1):
        yield from _task(task, f"{place}, task {number}")


def _task(task: Any, place: str) -> Iterator[str]:
    if not isinstance(task, Mapping):
        yield f"{place}: expected a mapping"
        return
    place = f"{place} '{task['name']}'" if isinstance(task.get("name"), str) else place
    if "block" in task:
        for key in sorted(_BLOCK & set(task)):
            yield from _tasks(task[key], f"{place}, {key}")
        return
    actions = sorted(str(key) for key in task if key not in _TASK and not re.match(r"with_\w", str(key)))
    if not actions:
        yield f"{place}: no module is named"
    elif len(actions) > 1:
        yield f"{place}: it names several modules, {' and '.join(actions)}: one of them is misspelt or too much"
