"""Derives the outcome of hosts from the events of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from occopus_config_ansible.checking import Fault

_LONGEST = 500
"""The most characters of a reason."""
_OUTPUT_LINES, _OUTPUT_LENGTH = 40, 16_000
"""The last lines of a failed task's output that are kept, and their most characters in total."""
_PRINTED = ("stdout", "module_stdout", "stderr", "module_stderr")
"""Keys of a result with the output of a program or a module."""
_DENIED = re.compile(r"(\S+): Permission denied \(([^)]*)\)")
_CHANGED_KEY = ("REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")
_WITHOUT_CAUSE = ("non-zero return code", "MODULE FAILURE", "Module result deserialization failed")
"""Messages without a cause: the output has it."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Outcomes:
    """The hosts of one run: their failures, published values, and the progress of the run."""

    def __init__(self, secrets: Iterable[str], text_file: str = "") -> None:
        """`text_file`: see `refusal`."""
        self._text_file = text_file
        self._secrets = sorted({each for each in secrets if each}, key=len, reverse=True)
        self.failures: dict[str, str] = {}
        """The error of each failed host."""
        self._printed: dict[str, str] = {}
        self.ended: set[str] = set()
        """Hosts that have completed the playbook."""
        self.progress = ""
        """The current task of the run."""
        self._own: dict[str, dict[str, Any]] = {}
        self._common: dict[str, Any] = {}
        self._said: list[str] = []

    def take(self, event: Mapping[str, Any]) -> bool:
        """Process an event; True if the progress has changed."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if kind == "playbook_on_task_start":
            return self._at(data.get("name") or data.get("task") or "")
        if kind in ("runner_on_failed", "runner_item_on_failed", "runner_on_async_failed"):
            if kind == "runner_on_failed" and not data.get("ignore_errors"):
                result = _cause(data.get("res") or {})
                self._fail(data, f"task '{data.get('task', '')}': {_message(result)}", _printed(result))
        elif kind == "runner_on_unreachable":
            self._fail(data, _unreachable(str((data.get("res") or {}).get("msg", ""))))
        elif kind in ("runner_on_ok", "runner_item_on_ok"):
            self._publish(data)
        elif kind == "playbook_on_stats":
            self.ended.update(data.get("processed") or {})
            for host in data.get("rescued") or {}:
                if not ((data.get("failures") or {}).get(host) or (data.get("dark") or {}).get(host)):
                    self.failures.pop(host, None)
                    self._printed.pop(host, None)
        elif kind in ("verbose", "error", "warning", ""):
            self._said.append(str(event.get("stdout", "")))
        return False

    def reason(self, host: str) -> str:
        """Why a host is not configured; empty if it is. Only valid after a run that was not stopped."""
        if host in self.failures:
            return self.failures[host]
        if host in self.ended:
            return ""
        said = self._error()
        if said:
            return said
        if self.failures:
            return "another node of the same run failed, and the playbook ends then for all"
        return "the playbook has no play for it: its `hosts` select neither its node's name nor a group of it"

    def output(self, host: str) -> str:
        """The last lines of output of the task that failed on the host, without secrets."""
        return self._printed.get(host, "")

    def published(self, host: str) -> dict[str, Any]:
        """The values that the host publishes: those set for all hosts, then its own."""
        return {**self._common, **self._own.get(host, {})}

    def redact(self, text: str) -> str:
        """The text in one line, without secrets, of a limited length."""
        text = self._without_secrets(" ".join(_COLOURS.sub("", text).split()))
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

    def refusal(self, output: str, text_file: str = "") -> str:
        """The error of Ansible itself in its output, with its place; empty without one.

        `text_file` is a file written only for this run: for places in it, line and column are shown.
        """
        found = refusal_of(output, text_file)
        return self.redact(found[0].at(found[1])) if found else ""

    def _at(self, task: str) -> bool:
        before, self.progress = self.progress, self.redact(task)
        return self.progress != before

    def _fail(self, data: Mapping[str, Any], why: str, printed: str = "") -> None:
        host = str(data.get("host", ""))
        if host not in self.failures:
            self.failures[host] = self.redact(why)
            self._printed[host] = _last_lines(self._without_secrets(printed))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    def _publish(self, data: Mapping[str, Any]) -> None:
        stats = (data.get("res") or {}).get("ansible_stats")
        if isinstance(stats, Mapping) and isinstance(stats.get("data"), Mapping):
            self._own.setdefault(str(data.get("host", "")), {}).update(stats["data"])
            if not stats.get("per_host"):
                self._common.update(stats["data"])

    def _error(self) -> str:
        """The error that Ansible reports if it does not start or aborts."""
        refusal = self.refusal("\n".join(self._said), self._text_file)
        return f"Ansible refuses the playbook: {refusal}" if refusal else ""


def refusal_of(output: str, text_file: str = "") -> tuple[Fault, str] | None:
    """The error of Ansible itself, and its file: empty for `text_file`, or if none is named."""
    text = _COLOURS.sub("", output)
    match = re.search(r"(?:ERROR!|\[ERROR\]:)\s*(.+?)(?:\n\s*\n|\nOrigin|\Z)", text, re.DOTALL)
    if match is None:
        return None
    message = " ".join(match[1].split())
    place = re.search(r"^Origin: (.+?):(\d+)(?::(\d+))?$", text, re.MULTILINE)
    if place is None:
        return Fault(message), ""
    return Fault(message, int(place[2]), int(place[3] or 1)), "" if place[1] == text_file else place[1]


def _cause(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result that made a task fail: the first failed one of its items, or of its modules."""
    if result.get("censored"):
        return result
    parts = [*(result.get("results") or ()), *dict(result.get("failed_modules") or {}).values()]
    failed = [part for part in parts if isinstance(part, Mapping) and part.get("failed")]
    return _cause(failed[0]) if failed else result


def _message(result: Mapping[str, Any]) -> str:
    """The message of a failed task, else its last output."""
    if result.get("censored"):
        return "it failed, and its output is hidden by `no_log`"
    message = str(result.get("msg") or result.get("reason") or "")  # a failed include has a `reason`
    if not message or message.startswith(_WITHOUT_CAUSE):
        output = [line for key in ("stderr", "module_stderr", "stdout", "module_stdout")
                  for line in str(result.get(key) or "").strip().splitlines()[-1:]]  # fmt: skip
        code = f" (exit code {result['rc']})" if "rc" in result else ""
        return f"{output[0] if output else message or 'it failed'}{code}"
    return message


def _printed(result: Mapping[str, Any]) -> str:
    """The output of a failed task, else its message if that has several lines."""
    if result.get("censored"):
        return ""
    message = str(result.get("msg") or "").strip()
    return "\n".join(filter(None, (str(result.get(key) or "").strip("\n") for key in _PRINTED))) or (
        message if "\n" in message else ""
    )


def _last_lines(text: str) -> str:
    """The last non-empty lines, uncut."""
    lines = [line for line in _COLOURS.sub("", text).splitlines() if line.strip()][-_OUTPUT_LINES:]
    while sum(map(len, lines)) > _OUTPUT_LENGTH:
        lines.pop(0)
    return "".join(f"{line}\n" for line in lines)


def _unreachable(message: str) -> str:
    if any(each in message for each in _CHANGED_KEY):
        return "it shows another SSH host key than the pinned one"
    denied = _DENIED.search(message)
    if denied:
        return f"{denied[1]}: it refused the SSH login ({denied[2]})"
    return f"Ansible cannot reach it: {message}"
