"""Templates: every string of a description is a Jinja2 template, rendered in a sandbox in the scope of one node.

Each string is rendered by itself and put back in its place, so a rendered value can never break the YAML around it.
Undefined names are errors. A rehearsal finds the references to other nodes before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from occopus_core import plain, render_process
from occopus_core.api.scalars import is_ambiguous
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.api.written import WrittenList, WrittenMap, items_of
from occopus_core.descriptions.schema import is_template
from occopus_core.evaluate import FaultError, evaluate, is_long
from occopus_core.sandbox import BUDGET
from occopus_core.templates_1x import Templates1x, filled, folded, is_plain, quoted, unfolded
from occopus_core.variables import all_in_scope

T = TypeVar("T")

PLAIN_BUDGET = 500_000
"""The budget of the texts of one value if only plain templates are rendered: some tens of milliseconds."""

_NOT_PLAIN = (
    "a template here may use names, the functions (getip, getprivip, getipall, ibget, find_node_id, cut), arithmetic, "
    "conditions, simple loops and the common filters; macros, recursive loops, calls of values and other filters are "
    "not possible"
)

DEFAULT_MANNERS = Templates1x()
CONTEXT_TEMPLATE = "contextualisation.context_template"
"""The place where a mapping becomes YAML for a node."""

MOST_FAULTS = 100
"""How many faults of templates are looked for: each takes time, and a reader mends some and tries again."""


class TemplateError(Exception):
    """A template is wrong or refers to an unknown name. The message contains its place.

    `at` is the path of its text within the implementation, `line` its line there if it is known.
    """

    def __init__(self, message: str, at: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.at = at
        self.line = line


class CutOffError(TemplateError):
    """Rendering was stopped, because it takes too much time or memory."""


class Allowance:
    """A limit on the cost of several values: units of the sandbox, and seconds of render processes.

    After a cut-off, `cut_off` holds its message, and nothing more is rendered with this allowance.
    """

    def __init__(self, units: float = math.inf, seconds: float = math.inf) -> None:
        self.units = units
        self.seconds = seconds
        self.cut_off = ""

    def refuse(self) -> None:
        """Raises `CutOffError` after a cut-off."""
        if self.cut_off:
            raise CutOffError(self.cut_off)

    def take(self, units: int, seconds: float) -> None:
        """Count the cost of a template. Raises `FaultError` if it exceeds the limit."""
        self.units -= units
        self.seconds -= seconds
        if self.units < 0 or self.seconds < 0:
            raise FaultError(None, "all templates together take too long", cut_off=True)


class Renderer:
    """Renders values in one scope; an `occopus_core.api.Render`. `place` begins every error message and warning.

    Plain templates are rendered in this process, all others in one of their own (`occopus_core.render_process`).
    """

    def __init__(
        self,
        names: Mapping[str, object],
        functions: Mapping[str, object],
        place: str,
        host_key: Callable[[], HostKeyPair] = generate_host_key,
        manners: Templates1x = DEFAULT_MANNERS,
        allowance: Allowance | None = None,
        *,
        plain_only: bool = False,
        faults: list[TemplateError] | None = None,
    ) -> None:
        """With `plain_only`, all other templates are refused; rendering then takes milliseconds.

        With `faults`, errors other than `CutOffError` are added to that list, and the text becomes empty; after
        `MOST_FAULTS` of them the next one is raised.
        """
        self._manners = manners
        self._names = {**functions, **self._visible(names)}
        self._place = place
        self._host_key = host_key
        self._allowance = allowance or Allowance()
        self._plain_only = plain_only
        self._faults = faults
        self._left = [PLAIN_BUDGET if plain_only else BUDGET]

    def host_key(self) -> HostKeyPair:
        """See `occopus_core.api.Render`."""
        return self._host_key()

    def __call__(self, value: T, /, at: str, **names: object) -> T:
        """See `occopus_core.api.Render`."""
        scope = {**self._names, **self._visible(names)} if names else self._names
        folds = self._manners.former and at == CONTEXT_TEMPLATE and not isinstance(value, str)
        rendered: T = self._folded(value, at, scope) if folds else self._render(value, at, scope)
        return rendered

    def _visible(self, names: Mapping[str, object]) -> dict[str, object]:
        return all_in_scope(names, former=self._manners.former)

    def extended(self, names: Mapping[str, object]) -> Renderer:
        """A renderer with additional names in scope."""
        made = self._like({**self._names, **names}, plain_only=self._plain_only)
        made._left = self._left  # noqa: SLF001  # what the texts of one value may cost
        return made

    def plainly(self) -> Renderer:
        """A renderer that refuses all but plain templates."""
        return self._like(self._names, plain_only=True)

    def _like(self, names: Mapping[str, object], *, plain_only: bool) -> Renderer:
        return Renderer(
            names,
            {},
            self._place,
            self._host_key,
            self._manners,
            self._allowance,
            plain_only=plain_only,
            faults=self._faults,
        )

    def _render(self, value: Any, at: str, scope: Mapping[str, object]) -> Any:
        if isinstance(value, str):
            return self._text(value, at, scope) if "{" in value else value
        if isinstance(value, Mapping):
            return {key: self._render(item, f"{at}.{key}", scope) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._render(item, f"{at}[{index}]", scope) for index, item in enumerate(value)]
        return value

    def _folded(self, value: Any, at: str, scope: Mapping[str, object]) -> Any:
        """Render the texts of a value that becomes YAML: fold their lines, and keep plain ones plain."""
        if isinstance(value, str) and "{" in value:
            return folded(self._text(unfolded(value), at, scope), plain=is_plain(value))
        if not isinstance(value, Mapping | list | tuple):
            return value
        made: Any = WrittenMap() if isinstance(value, Mapping) else WrittenList([None] * len(value))
        for key, item in items_of(value):
            step = f".{key}" if isinstance(value, Mapping) else f"[{key}]"
            made[key] = self._folded(item, at + step, scope)
            if is_template(item) and is_plain(item) and is_ambiguous(made[key]):
                made.texts[key] = made[key]
        return made

    def _text(self, text: str, at: str, scope: Mapping[str, object]) -> str:
        self._allowance.refuse()
        text, scope = self._put_right(text, at, scope)
        try:
            return self._evaluated(text, scope)
        except FaultError as fault:
            message = self._message(text, at, fault.line, fault.reason)
            if fault.cut_off:
                self._allowance.cut_off = message
                raise CutOffError(message, at, fault.line) from fault
            error = TemplateError(message, at, fault.line)
            if self._faults is None or len(self._faults) >= MOST_FAULTS:
                raise error from fault
            self._faults.append(error)
            return ""

    def _evaluated(self, text: str, scope: Mapping[str, object]) -> str:
        """Raises `FaultError`."""
        if not plain.is_plain(text):
            if self._plain_only:
                raise FaultError(None, _NOT_PLAIN)
            found, seconds = render_process.render(text, scope, self._left[0])
            self._allowance.take(0, seconds)
            return found
        before = self._left[0]
        try:
            return evaluate(text, scope, self._left)
        finally:
            self._allowance.take(before - self._left[0], 0.0)

    def _put_right(self, text: str, at: str, scope: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Correct a template by the rules of 1.x. Returns it with its scope; warns of each correction.

        A template that is too long to be parsed in this process is not corrected.
        """
        if is_long(text):
            return text, scope
        text, nodes = quoted(text, scope.keys(), self._manners.nodes)
        for name in nodes:
            self._manners.warn(f"{self._place}: {at}: put quotes around the name of a node: '{name}'")
        if self._manners.former:
            scope, missing = filled(text, scope)
            for name in missing:
                self._manners.warn(f"{self._place}: {at}: '{name}' is undefined and renders empty")
        return text, scope

    def _message(self, text: str, at: str, line: int | None, reason: str) -> str:
        where = f"{at}, line {line}" if line is not None and "\n" in text.strip("\n") else at
        return f"{self._place}: {where}: {reason}"


EXPANSION_UNITS, EXPANSION_SECONDS = 2 * BUDGET, 4.0
"""The budget of all templates of one description while it is loaded, and their seconds of processor time."""


def expander() -> Callable[[str, Mapping[str, object]], str]:
    """A function that renders the templates of one description with the names given and no functions.

    Raises `ValueError` with the reason.
    """
    allowance = Allowance(EXPANSION_UNITS, EXPANSION_SECONDS)

    def expand(text: str, names: Mapping[str, object]) -> str:
        try:
            return Renderer(names, {}, "", allowance=allowance)(text, at="")
        except TemplateError as error:
            raise ValueError(str(error).lstrip(": ")) from error

    return expand
