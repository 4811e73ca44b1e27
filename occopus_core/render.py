"""Templates: every string of a description is one Jinja2 template, rendered in a sandbox in the scope of one node.

A string is rendered by itself and put back where it was, so a rendered value can never break the YAML around it.
Undefined names are errors. References to other nodes are found by a rehearsal before anything is built.
"""

from __future__ import annotations

import base64
import functools
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import jinja2
from jinja2 import nodes as syntax
from jinja2.meta import find_undeclared_variables
from jinja2.utils import missing

from occopus_core.api.resource import Address, AddressKind
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.descriptions.problems import did_you_mean
from occopus_core.sandbox import Sandbox, budget
from occopus_core.variables import in_scope, install

T = TypeVar("T")

CMD_TIMEOUT = 60.0
"""Seconds a command of `cmd()` may take."""

_ASKING = frozenset({"default", "d", "defined", "undefined"})
"""Filters and tests of what may not be there."""

MOST_NAMES = 10
"""How many names of a mapping a message lists."""

_UNREADABLE = (RecursionError, ValueError, MemoryError, SyntaxError)
"""What Jinja2 and Python raise for a template that is nested too deep or has too long a number."""

NAMES = frozenset({"infra_name", "infra_id", "name", "node_id", "user_id", "variables"})
"""What every template can name, beside the functions."""

_PEER_FUNCTIONS = ("getip", "getprivip", "getipall")
FUNCTIONS = frozenset({*_PEER_FUNCTIONS, "cut", "cmd"})
"""The functions of every template."""


class TemplateError(Exception):
    """A template is wrong, or names what does not exist. The message says where it stands."""


class _RefusalError(Exception):
    """A template function cannot answer; the message says why."""


class _MissingKeyError(jinja2.UndefinedError):
    """A mapping has no such key."""

    def __init__(self, mapping: Mapping[Any, Any], key: object, message: str) -> None:
        super().__init__(message)
        self.mapping = mapping
        self.key = key

    def reason(self, scope: Mapping[str, object]) -> str:
        """Which one of the scope it is, what it has not, and what it has."""
        names = sorted(map(str, self.mapping))
        more = ", ..." if len(names) > MOST_NAMES else ""
        has = f"has: {', '.join(names[:MOST_NAMES])}{more}" if names else "is empty"
        return f"{_path_to(self.mapping, scope) or 'the mapping'} has no '{self.key}'; it {has}"


class _Undefined(jinja2.StrictUndefined):
    """Knows, where it stands for what a mapping has not, which mapping that is."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = jinja2.UndefinedError
    ) -> None:
        if hint is None and isinstance(obj, Mapping):
            exc = functools.partial(_MissingKeyError, obj, name)
        super().__init__(hint, obj, name, exc)


class Peers(Protocol):
    """The other nodes of the infrastructure, as templates may see them."""

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """The addresses of each instance of a node, the first instance first. Raises `LookupError` with a message."""
        ...


class Renderer:
    """Renders values in one scope; an `occopus_core.api.Render`. `place` begins every error message."""

    def __init__(
        self,
        names: Mapping[str, object],
        functions: Mapping[str, object],
        place: str,
        host_key: Callable[[], HostKeyPair] = generate_host_key,
    ) -> None:
        self._names = {**functions, **_visible(names)}
        self._place = place
        self._host_key = host_key

    def host_key(self) -> HostKeyPair:
        """See `occopus_core.api.Render`."""
        return self._host_key()

    def __call__(self, value: T, /, at: str, **names: object) -> T:
        """See `occopus_core.api.Render`."""
        scope = {**self._names, **_visible(names)} if names else self._names
        rendered: T = self._render(value, at, scope)
        return rendered

    def extended(self, names: Mapping[str, object]) -> Renderer:
        """The same with more names in scope."""
        return Renderer({**self._names, **names}, {}, self._place, self._host_key)

    def _render(self, value: Any, at: str, scope: Mapping[str, object]) -> Any:
        if isinstance(value, str):
            return self._text(value, at, scope) if "{" in value else value
        if isinstance(value, Mapping):
            return {key: self._render(item, f"{at}.{key}", scope) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._render(item, f"{at}[{index}]", scope) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, at: str, scope: Mapping[str, object]) -> str:
        try:
            with budget():
                return compiled(text).render(scope)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(self._message(text, at, error.lineno, error.message or "syntax error")) from error
        except Exception as error:  # a template may raise whatever its expressions raise
            raise TemplateError(self._message(text, at, _line(error), _reason(error, scope))) from error

    def _message(self, text: str, at: str, line: int | None, reason: str) -> str:
        where = f"{at}, line {line}" if line is not None and "\n" in text.strip("\n") else at
        return f"{self._place}: {where}: {reason}"


def _visible(names: Mapping[str, object]) -> dict[str, object]:
    return {name: in_scope(value) for name, value in names.items()}


def expand(text: str, names: Mapping[str, object]) -> str:
    """A template that has these names and no functions, rendered. Raises `ValueError` with the reason."""
    try:
        return Renderer(names, {}, "")(text, at="")
    except TemplateError as error:
        raise ValueError(str(error).lstrip(": ")) from error


@functools.lru_cache(maxsize=4096)
def compiled(text: str) -> jinja2.Template:
    """The compiled template. Raises `jinja2.TemplateSyntaxError`."""
    return _environment().from_string(text)


def functions(peers: Peers) -> dict[str, object]:
    """The functions of a template that may look at other nodes and run commands."""
    return {**_peer_functions(peers), "cut": cut, "cmd": cmd}


def rehearsal_functions(peers: Peers) -> dict[str, object]:
    """The same where nothing is to be run: `cmd` answers nothing."""
    return {**_peer_functions(peers), "cut": cut, "cmd": lambda _command: ""}


def named_peers(value: Any) -> Iterator[str]:
    """The nodes named outright, as in ``getip('db')``, also in branches that a rehearsal does not take."""
    if isinstance(value, str):
        if any(name in value for name in _PEER_FUNCTIONS):
            yield from _named_in_template(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from named_peers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_peers(item)


@functools.lru_cache(maxsize=4096)
def _named_in_template(text: str) -> tuple[str, ...]:
    try:
        tree = _environment().parse(text)
    except (jinja2.TemplateSyntaxError, *_UNREADABLE):
        return ()  # rendering reports it, with its place
    return tuple(
        argument.value
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in _PEER_FUNCTIONS
        for argument in call.args[:1]
        if isinstance(argument, syntax.Const) and isinstance(argument.value, str)
    )


def inspect(text: str, names: Collection[str] | None) -> str:
    """What is wrong with a template whatever infrastructure it is used in; nothing where that cannot be said.

    `names` are those it has beyond `NAMES`, or None where they are not known. Renders nothing.
    """
    try:
        with budget():
            compiled(text)
        unknown = _undefined(text) - {*NAMES, *names} if names is not None else set()
    except jinja2.TemplateSyntaxError as error:
        line = f"line {error.lineno} of it: " if "\n" in text.strip("\n") else ""
        return f"{line}{error.message or 'syntax error'}"
    except (jinja2.TemplateError, *_UNREADABLE):
        return ""  # it is told when it is rehearsed, where all that it is given is known
    known = {*NAMES, *(names or ()), *FUNCTIONS}
    return "; ".join(f"'{name}' is undefined{did_you_mean(name, known)}" for name in sorted(unknown))


def _undefined(text: str) -> set[str]:
    """The names that neither the template nor the environment defines, without those it asks after first."""
    tree = _environment().parse(text)
    asked = (one for one in tree.find_all((syntax.Filter, syntax.Test)) if one.name in _ASKING)
    careful = {name.name for one in asked for name in one.find_all(syntax.Name)}
    return find_undeclared_variables(tree) - careful - FUNCTIONS - _environment().globals.keys()


def calls_commands(value: Any) -> bool:
    """True where a template anywhere in the value names `cmd`."""
    if isinstance(value, str):
        return "cmd" in value and _names_cmd(value)
    if isinstance(value, Mapping):
        return any(map(calls_commands, value.values()))
    return isinstance(value, list | tuple) and any(map(calls_commands, value))


def _names_cmd(text: str) -> bool:
    try:
        return any(name.name == "cmd" for name in _environment().parse(text).find_all(syntax.Name))
    except (jinja2.TemplateSyntaxError, *_UNREADABLE):
        return True  # what cannot be read is not trusted


def _peer_functions(peers: Peers) -> dict[str, Callable[[str], object]]:
    def of_each(node: str) -> list[str]:
        try:
            instances = peers.addresses(node)
        except LookupError as error:
            raise _RefusalError(str(error.args[0])) from error
        return [addresses[0].value for addresses in instances if addresses]

    def getip(node: str) -> str:
        return _first(of_each(node), node)

    def getprivip(node: str) -> str:
        instances = peers.addresses(node) if of_each(node) else ()
        private = [a.value for addresses in instances[:1] for a in addresses if a.kind is AddressKind.PRIVATE]
        return _first(private or of_each(node), node)

    return {"getip": getip, "getprivip": getprivip, "getipall": of_each}


def _first(addresses: Sequence[str], node: str) -> str:
    if not addresses:
        raise _RefusalError(f"no instance of node '{node}' has an address")
    return addresses[0]


def cut(text: str, start: int, end: int) -> str:
    """The part of a text from `start` up to, not including, `end`, as Python slices."""
    return str(text)[start:end]


def cmd(command: str) -> str:
    """Standard output of a command run on this host, without a shell."""
    try:
        words = shlex.split(command)
        result = subprocess.run(words, capture_output=True, text=True, timeout=CMD_TIMEOUT, check=True)
    except (ValueError, IndexError, OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        # Neither the arguments nor the output is repeated: both are often a secret's.
        raise _RefusalError(f"cmd: the command {_failure(error)}") from error
    return result.stdout


def _failure(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exited with status {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {CMD_TIMEOUT:g} s"
    if isinstance(error, OSError):
        return f"cannot be run: {error.strerror}"
    return "is not well formed or did not print text"


def _reason(error: Exception, scope: Mapping[str, object]) -> str:
    if isinstance(error, _MissingKeyError):
        return error.reason(scope)
    known = isinstance(error, jinja2.TemplateError | _RefusalError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _path_to(wanted: object, scope: Mapping[Any, object]) -> str:
    """How a template names a mapping, such as ``variables.database``; empty where it is none of the scope's."""
    for name, value in scope.items():
        if value is wanted:
            return str(name)
        if isinstance(value, Mapping) and (found := _path_to(wanted, value)):
            return f"{name}.{found}"
    return ""


def _line(error: BaseException) -> int | None:
    """The line of the template that failed: Jinja2 puts it into the traceback."""
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


@functools.cache
def _environment() -> Sandbox:
    environment = Sandbox(undefined=_Undefined, keep_trailing_newline=True)
    install(environment)
    environment.filters["b64encode"] = lambda text: base64.b64encode(str(text).encode()).decode()
    return environment
