"""Lines of text for events, and for instances without confirmation."""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes as long to import as argparse, and events take twice that
if TYPE_CHECKING:
    from collections.abc import Sequence

    from occopus_core.events import Event


_MARGIN = "    "


def counted(count: int, noun: str) -> str:
    """The number with the noun, in the plural unless 1: `1 instance`, `2,000 instances`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def line(event: Event) -> str:
    """An event as one line."""
    return _subject(event) + (f": {event.text}" if event.text else "")


class ShortLines:
    """Events as lines for commands that list problems and unconfirmed instances when they end: a reason comes once."""

    def __init__(self) -> None:
        self._failures: set[str] = set()

    def of(self, event: Event) -> str:
        """An event as one line."""
        from occopus_core.engine.instance.output import without_output  # noqa: PLC0415
        from occopus_core.events import EventKind  # noqa: PLC0415

        repeated = event.kind is EventKind.NODE_UNCONFIRMED
        if event.kind is EventKind.NODE_FAILED and event.text:
            repeated = event.text in self._failures
            self._failures.add(event.text)
        elif event.kind is EventKind.ROLLING_BACK:
            repeated = any(without_output(text) in event.text for text in self._failures)
        return _subject(event) if repeated else line(event)


def _subject(event: Event) -> str:
    return f"{event.kind.value} {event.node_name} {event.node_id[:8]}".rstrip()


def unconfirmed(instances: Sequence[str]) -> list[str]:
    """A line for each instance whose state, or whose end, no provider has confirmed."""
    return [f"unconfirmed: {instance}" for instance in instances]


def indented(text: str) -> str:
    """The text of an event without control characters; its further lines are indented, and keep their own indentation.

    Lines that already have this indentation, such as the last output of an instance, stay unchanged.
    """
    plain = ("".join(each if each.isprintable() else " " for each in line.expandtabs()) for line in text.split("\n"))
    first, *more = (line.rstrip() for line in plain)
    margin = "" if all(line.startswith(_MARGIN) for line in more if line) else _MARGIN
    return "\n".join([first, *(f"{margin}{line}".rstrip() for line in more)])
