"""The output of instances: its last lines are read when an instance fails, before it is deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from occopus_core.api.errors import ThrottledError
from occopus_core.api.resource import Feature, InstanceId, ResourceHandler
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.guard import wrong_answer

KEPT_LINES = 10
"""The most lines of output that the reason of a failure has."""

KEPT_LENGTH = 300
"""The most characters of one of them."""

READ_SECONDS = 10.0
"""Seconds for which the output of an instance that failed is waited for."""

_READ_LINES = 40
"""Lines that are read to keep `KEPT_LINES`: empty ones are left out."""

MOST_CHARACTERS = 1_000_000
"""Of a text that a handler answers, this much of its end is looked at."""

LAST_OUTPUT = "; its last output:\n"
"""Between the reason of a failure and the last lines of output, each of which is indented."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Sequences by which programs colour their output, or set the title of a terminal."""


def cleaned(text: str, redact: Callable[[str], str], length: int) -> list[str]:
    """The lines of an output without control characters and secrets, each of `length` characters at the most.

    Of what a carriage return overwrites on a terminal, the last text is kept.
    """
    if len(text) > MOST_CHARACTERS:  # a line that was cut may begin within a secret
        text = text[-MOST_CHARACTERS:].partition("\n")[2]
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in redact(text).split("\n"))
    plain = (_printable(_ESCAPES.sub("", line).expandtabs()).rstrip() for line in lines)
    return [_cut(redact(line), length) for line in plain]


def last_lines(
    handler: ResourceHandler,
    ids: Sequence[InstanceId],
    lines: int,
    redact: Callable[[str], str],
    length: int,
    since: float | None = None,
) -> Mapping[InstanceId, list[str] | None]:
    """The last lines of the output of each instance, cleaned; None where there is nothing to be had.

    `since` (seconds since 1970) is for handlers with `Feature.LOGS_SINCE`: lines printed before are left out.
    Blocks as long as the provider does. Raises `ProviderError`.
    """
    what = "logs" if since is None else "logs_since"
    found = handler.logs(ids, lines) if since is None else handler.logs_since(ids, lines, since)
    if not isinstance(found, Mapping):
        raise wrong_answer(handler, what, f"answered {type(found).__name__}, expected a mapping")
    if wrong := [(id, text) for id in ids if not isinstance(text := found.get(id), str | None)]:
        id, text = wrong[0]
        kind = type(text).__name__
        raise wrong_answer(handler, what, f"answered {kind} for '{id}', expected a text or None")
    return {id: _lines(found.get(id), lines, redact, length) for id in ids}


def _lines(text: str | None, lines: int, redact: Callable[[str], str], length: int) -> list[str] | None:
    if text is None:
        return None
    found = cleaned(text, redact, length)
    while found and not found[-1]:
        found.pop()
    return found[-lines:] if lines > 0 else []


def has_logs(handler: ResourceHandler) -> bool:
    """Whether the handler can say what instances have printed."""
    return Feature.LOGS in handler.features


class LastOutput:
    """Reads what instances have printed, in the pool, before they are deleted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._halted = False

    def halt(self) -> None:
        """Answer nothing more."""
        self._halted = True

    def read(self, work: Work, then: Callable[[str], None]) -> None:
        """Have `then` called with the last lines, as `with_output` adds them to a reason; empty where there are none.

        It is called at once where the handler has no logs, and at the latest after `READ_SECONDS`. Until then the
        instance counts as called, so that it is not deleted. Whatever goes wrong, the answer is empty.
        """
        link, id = work.link, work.record.instance_id
        if work.calling or link is None or id is None or not has_logs(link.plugin):
            then("")
            return
        over: list[bool] = []
        work.calling = True

        def read() -> str:
            if over:
                return ""
            redact = self._runtime.scope.connections.redact
            try:
                return _text(last_lines(link.plugin, [id], _READ_LINES, redact, KEPT_LENGTH)[id] or ())
            except ThrottledError:
                raise
            except Exception:  # noqa: BLE001  # the reason of the failure is what matters
                return ""

        def end(text: str) -> None:
            if not over:
                over.append(True)
                work.calling = False
                if not self._halted:
                    then(text)

        link.limits.submit(read, lambda outcome: end(outcome.value or ""))
        self._runtime.loop.after(READ_SECONDS, lambda: end(""))


def with_output(reason: str, output: str) -> str:
    """A reason, and the last lines of output that were read."""
    return f"{reason}{LAST_OUTPUT}{output}" if output else reason


def without_output(text: str) -> str:
    """A reason as it was before `with_output`, where it is one of several in a line."""
    return text.partition(LAST_OUTPUT)[0]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in [line for line in lines if line][-KEPT_LINES:])


def _printable(line: str) -> str:
    return "".join(each if each.isprintable() else " " for each in line)


def _cut(line: str, length: int) -> str:
    return line if len(line) <= length else f"{line[: length - 1]}…"
