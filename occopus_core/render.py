"""Templates: every string of a description is a Jinja2 template, rendered in a sandbox in the scope of one node.

Each string is rendered by itself and put back in its place, so a rendered value can never break the YAML around it.
Undefined names are errors. A rehearsal finds the references to other nodes before anything is built.
"""

from __future__ import annotations

import functools
import math
import re
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import jinja2
from jinja2 import nodes as syntax
from jinja2.meta import find_undeclared_variables

from occopus_core import plain, render_process
from occopus_core.api.resource import Address, AddressKind
from occopus_core.api.scalars import is_ambiguous
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.api.written import WrittenList, WrittenMap, items_of
from occopus_core.descriptions.problems import did_you_mean
from occopus_core.descriptions.schema import is_template
from occopus_core.evaluate import (
    UNREADABLE,
    FaultError,
    compiled,
    environment,
    evaluate,
    is_long,
    parsed,
    syntax_reason,
)
from occopus_core.sandbox import BUDGET
from occopus_core.template_errors import RefusalError
from occopus_core.templates_1x import ASKING, PEER_FUNCTIONS, Templates1x, filled, folded, is_plain, quoted, unfolded
from occopus_core.variables import all_in_scope

T = TypeVar("T")

CMD_TIMEOUT = 60.0
"""The time limit, in seconds, of a command run by `cmd()`."""

PLAIN_BUDGET = 500_000
"""The budget of the texts of one value if only plain templates are rendered: some tens of milliseconds."""

_NOT_PLAIN = (
    "a template here may use names, the functions (getip, getprivip, getipall, ibget, find_node_id, cut), arithmetic, "
    "conditions, simple loops and the common filters; macros, recursive loops, calls of values and other filters are "
    "not possible"
)

NAMES = frozenset(
    {"infra_name", "infra_id", "name", "node_id", "user_id", "variables", "type", "scaling", "resource", "attributes"}
)
"""The names in every template, besides the functions."""

FUNCTIONS = frozenset({*PEER_FUNCTIONS, "ibget", "cut", "cmd"})
"""The functions of every template."""


DEFAULT_MANNERS = Templates1x()
CONTEXT_TEMPLATE = "contextualisation.context_template"
"""The place where a mapping becomes YAML for a node."""
_ADDRESS_KEYS = ("node.resource.address", "node.resource.ip_address")


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


class Peers(Protocol):
    """The other nodes of the infrastructure, as far as templates may read them.

    The methods raise `LookupError` with a message, followed by the names of nodes in it: any other text that was asked
    for may be a secret.
    """

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """The addresses of each instance of a node, the first instance first. Raises `LookupError`."""
        ...

    def node_ids(self, node_name: str) -> Sequence[str]:
        """The ids of the same instances in the same order. Raises `LookupError`."""
        ...


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


def functions(peers: Peers) -> dict[str, object]:
    """The functions of a template, which may read other nodes and run commands."""
    return {**_peer_functions(peers), "cut": cut, "cmd": cmd}


def rehearsal_functions(peers: Peers) -> dict[str, object]:
    """The functions of a rehearsal, which run no commands: `cmd` returns an empty text."""
    return {**_peer_functions(peers), "cut": cut, "cmd": lambda _command: ""}


def named_peers(value: Any) -> Iterator[str]:
    """The nodes named as literals, as in ``getip('db')``, including branches that a rehearsal does not take."""
    if isinstance(value, str):
        if any(name in value for name in PEER_FUNCTIONS):
            yield from _named_in_template(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from named_peers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_peers(item)


_NAMED_PEER = re.compile(r"\bget(?:ip|privip|ipall)\s*\(\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")")


@functools.lru_cache(maxsize=1024)
def _named_in_template(text: str) -> tuple[str, ...]:
    if is_long(text):  # parsing it could take long; a name in a comment too many does no harm
        return tuple(single or double for single, double in _NAMED_PEER.findall(text))
    try:
        tree = parsed(text)
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return ()  # rendering reports it, with its place
    return tuple(
        argument.value
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in PEER_FUNCTIONS
        for argument in call.args[:1]
        if isinstance(argument, syntax.Const) and isinstance(argument.value, str)
    )


def inspect(text: str, names: Collection[str] | None) -> str:
    """The mistakes in a template that do not depend on the infrastructure; empty if there are none, or unknown.

    `names` are those it has beyond `NAMES`, or None if they are unknown. Renders nothing.
    """
    try:
        compiled(text)
        unknown = _undefined(text) - {*NAMES, *names} if names is not None else set()
    except jinja2.TemplateSyntaxError as error:
        line = f"line {error.lineno} of it: " if "\n" in text.strip("\n") else ""
        return f"{line}{syntax_reason(error)}"
    except (jinja2.TemplateError, *UNREADABLE):
        return ""  # the rehearsal reports it, when all its names are known
    known = {*NAMES, *(names or ()), *FUNCTIONS}
    return "; ".join(f"'{name}' is undefined{did_you_mean(name, known)}" for name in sorted(unknown))


def _undefined(text: str) -> set[str]:
    """The names that neither the template nor the environment defines, without those it tests first."""
    tree = parsed(text)
    asked = (one for one in tree.find_all((syntax.Filter, syntax.Test)) if one.name in ASKING)
    nodes = (
        call.args[0]
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in PEER_FUNCTIONS and call.args
    )  # may be named without quotes
    names = (name for one in (*asked, *nodes) for name in ([one] if isinstance(one, syntax.Name) else _names(one)))
    careful = {name.name for name in names}
    return find_undeclared_variables(tree) - careful - FUNCTIONS - environment().globals.keys()


def _names(node: syntax.Node) -> Iterator[syntax.Name]:
    yield from node.find_all(syntax.Name)


def calls_commands(value: Any) -> bool:
    """True if a template in the value refers to `cmd`."""
    if isinstance(value, str):
        return "cmd" in value and _names_cmd(value)
    if isinstance(value, Mapping):
        return any(map(calls_commands, value.values()))
    return isinstance(value, list | tuple) and any(map(calls_commands, value))


def _names_cmd(text: str) -> bool:
    if is_long(text):
        return True
    try:
        return any(name.name == "cmd" for name in parsed(text).find_all(syntax.Name))
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return True  # an invalid template is not trusted


def _peer_functions(peers: Peers) -> dict[str, Callable[[str], object]]:
    def of_each(node: str) -> list[str]:
        try:
            instances = peers.addresses(node)
        except LookupError as error:
            raise RefusalError(*map(str, error.args)) from error
        return [addresses[0].value for addresses in instances if addresses]

    def getip(node: str) -> str:
        return _first(of_each(node), node)

    def getprivip(node: str) -> str:
        instances = peers.addresses(node) if of_each(node) else ()
        private = [a.value for addresses in instances[:1] for a in addresses if a.kind is AddressKind.PRIVATE]
        return _first(private or of_each(node), node)

    return {"getip": getip, "getprivip": getprivip, "getipall": of_each, **_former_functions(peers)}


def _former_functions(peers: Peers) -> dict[str, Callable[..., object]]:
    """Two functions of 1.x: the id of the first instance of a node, and attributes of the instance with an id."""
    nodes: dict[str, str] = {}

    def find_node_id(node: str) -> str:
        try:
            ids = peers.node_ids(node)
        except LookupError as error:
            raise RefusalError(*map(str, error.args)) from error
        if not ids:
            raise RefusalError(f"there is no instance of node '{node}'", node)
        nodes[ids[0]] = node
        return ids[0]

    def ibget(key: str, node_id: str) -> str:
        if key not in _ADDRESS_KEYS:
            raise RefusalError(f"ibget has no '{key}'; it has: {', '.join(_ADDRESS_KEYS)}")
        if node_id not in nodes:
            raise RefusalError("ibget takes the id that find_node_id gives")
        return _first([one[0].value for one in peers.addresses(nodes[node_id])[:1] if one], nodes[node_id])

    return {"find_node_id": find_node_id, "ibget": ibget}


def _first(addresses: Sequence[str], node: str) -> str:
    if not addresses:
        raise RefusalError(f"no instance of node '{node}' has an address", node)
    return addresses[0]


def cut(text: str, start: int, end: int) -> str:
    """The part of a text from `start` up to, not including, `end`, as Python slices."""
    return str(text)[start:end]


def cmd(command: str) -> str:
    """The standard output of a command run on this host, without a shell."""
    try:
        words = shlex.split(command)
        result = subprocess.run(words, capture_output=True, text=True, timeout=CMD_TIMEOUT, check=True)
    except (ValueError, IndexError, OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        # Neither the arguments nor the output is quoted: both may be secrets.
        raise RefusalError(f"cmd: the command {_failure(error)}") from error
    return result.stdout


def _failure(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exited with status {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {CMD_TIMEOUT:g} s"
    if isinstance(error, OSError):
        return f"cannot be run: {error.strerror}"
    return "is not well formed or did not print text"
