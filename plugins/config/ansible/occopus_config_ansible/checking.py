"""Errors that can be found in the text of a playbook without Ansible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

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


class Fault(NamedTuple):
    """An error and its place in the text: line and column count from 1, and are 0 if unknown."""

    message: str
    line: int = 0
    column: int = 0

    def at(self, file: str) -> str:
        """The message with the place in the file of this name; for a text without a name, only line and column."""
        if not self.line:
            return f"{file}: {self.message}" if file else self.message
        place = f"{file}:{self.line}:{self.column}" if file else f"line {self.line}, column {self.column}"
        return f"{place}: {self.message}"


class _Map(dict[Any, Any]):
    """A mapping with its place and those of its keys."""

    mark: yaml.Mark
    marks: dict[Any, yaml.Mark]


class _List(list[Any]):
    """A list with the places of its items."""

    marks: list[yaml.Mark]


class _Loader(yaml.SafeLoader):
    """A YAML loader that keeps places, and accepts Ansible's tags without reading their values."""

    def placed_map(self, node: yaml.MappingNode) -> _Map:
        """A mapping with the places of its keys."""
        self.flatten_mapping(node)
        made = _Map(self.construct_mapping(node, deep=True))
        made.mark = node.start_mark
        made.marks = {self.construct_object(key, deep=True): key.start_mark for key, _ in node.value}
        return made

    def placed_list(self, node: yaml.SequenceNode) -> _List:
        """A list with the places of its items."""
        made = _List(self.construct_sequence(node, deep=True))
        made.marks = [item.start_mark for item in node.value]
        return made


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.placed_map)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.placed_list)
for _tag in ("!vault", "!vault-encrypted", "!unsafe"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def fault_of(text: str) -> Fault | None:
    """The first error in the playbook, in one line; None without one."""
    try:
        plays = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        return _yaml_fault(error)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        return Fault(f"it is not YAML: {' '.join(str(error).split())}")
    if not isinstance(plays, _List) or not plays:
        return Fault("expected a list of plays", 1, 1)
    items = zip(plays, plays.marks, strict=True)
    return next((one for number, (play, at) in enumerate(items, 1) for one in _play(play, at, f"play {number}")), None)


def _yaml_fault(error: yaml.MarkedYAMLError) -> Fault:
    return _at(error.problem_mark or error.context_mark, error.problem or error.context or "it is not YAML")


def _at(mark: yaml.Mark | None, message: str) -> Fault:
    return Fault(message, mark.line + 1, mark.column + 1) if mark else Fault(message)


def _play(play: Any, at: yaml.Mark, place: str) -> Iterator[Fault]:
    if not isinstance(play, _Map):
        yield _at(at, f"{place}: expected a mapping")
        return
    if _IMPORT & set(play):
        return
    place = f"{place} '{play['name']}'" if isinstance(play.get("name"), str) else place
    unknown = [key for key in play if key not in _PLAY]
    if unknown:
        yield _at(play.marks[unknown[0]], f"{place}: '{unknown[0]}' is not a keyword of a play")
    if not play.get("hosts"):
        yield _at(play.mark, f"{place}: 'hosts' is missing")
    if play.get("vars_prompt"):
        yield _at(play.marks["vars_prompt"], f"{place}: 'vars_prompt' asks a person, use extra_vars")
    for key in _TASKS:
        if key in play:
            yield from _tasks(play[key], play.marks[key], f"{place}, {key}")


def _tasks(tasks: Any, at: yaml.Mark, place: str) -> Iterator[Fault]:
    if tasks is None:
        return
    if not isinstance(tasks, _List):
        yield _at(at, f"{place}: expected a list of tasks")
        return
    for number, (task, mark) in enumerate(zip(tasks, tasks.marks, strict=True), 1):
        yield from _task(task, mark, f"{place}, task {number}")


def _task(task: Any, at: yaml.Mark, place: str) -> Iterator[Fault]:
    if not isinstance(task, _Map):
        yield _at(at, f"{place}: expected a mapping")
        return
    place = f"{place} '{task['name']}'" if isinstance(task.get("name"), str) else place
    if "block" in task:
        for key in sorted(_BLOCK & set(task)):
            yield from _tasks(task[key], task.marks[key], f"{place}, {key}")
        return
    actions = [key for key in task if key not in _TASK and not re.match(r"with_\w", str(key))]
    if not actions:
        yield _at(task.mark, f"{place}: no module is named")
    elif len(actions) > 1:
        several = f"it names several modules, {' and '.join(map(str, actions))}"
        yield _at(task.marks[actions[1]], f"{place}: {several}: one of them is misspelt or too much")
