"""The output of instances and of the jobs that configure them: the last lines become part of the reason of a failure.

That of an instance is read when it fails, before it is deleted; that of a job is in the answer of its manager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from occopus_core.api.errors import ThrottledError
from occopus_core.api.resource import Feature, InstanceId, ResourceHandler
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.guard import mapping_of, wrong_answer
from occopus_core.engine.kernel.job_status import KEPT_LENGTH, KEPT_LINES
from occopus_core.printable import cleaned

READ_SECONDS = 10.0
"""Seconds for which the output of an instance that failed is waited for."""

_READ_LINES = 40
"""Lines that are read to keep `KEPT_LINES`: empty ones are left out."""

LAST_OUTPUT = "; its last output:\n"
"""Between the reason of a failure and the last lines of output, each of which is indented."""


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
    answer = handler.logs(ids, lines) if since is None else handler.logs_since(ids, lines, since)
    found = mapping_of(handler, what, answer)
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

        link.limits.submit(read, lambda outcome: end(outcome.value or ""), "logs")
        self._runtime.loop.after(READ_SECONDS, lambda: end(""))


def job_output(printed: str) -> str:
    """The last lines that a job of a configuration manager has printed, as `with_output` adds them to a reason."""
    return _text(printed.split("\n"))


def with_output(reason: str, output: str) -> str:
    """A reason, and the last lines of output that were read."""
    return f"{reason}{LAST_OUTPUT}{output}" if output else reason


def split_output(text: str) -> tuple[str, str]:
    """A reason as it was before `with_output`, and the lines that were added; empty where there are none."""
    reason, _, output = text.partition(LAST_OUTPUT)
    return reason, output


def without_output(text: str) -> str:
    """A reason as it was before `with_output`, where it is one of several in a line."""
    return split_output(text)[0]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in [line for line in lines if line][-KEPT_LINES:])
