"""Templates: every string of a description is a Jinja2 template, rendered in a sandbox in the scope of one node.

Each string is rendered by itself and put back in its place, so a rendered value can never break the YAML around it.
Undefined names are errors. A rehearsal finds the references to other nodes before anything is built.
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
from occopus_core.api.scalars import is_ambiguous
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.api.written import WrittenList, WrittenMap, items_of
from occopus_core.descriptions.problems import did_you_mean
from occopus_core.descriptions.schema import is_template
from occopus_core.sandbox import Sandbox, budget
from occopus_core.templates_1x import ASKING, PEER_FUNCTIONS, Templates1x, filled, folded, is_plain, quoted, unfolded
from occopus_core.variables import in_scope, install

T = TypeVar("T")

CMD_TIMEOUT = 60.0
"""The time limit, in seconds, of a command run by `cmd()`."""

MOST_NAMES = 10
"""How many names of a mapping a message lists."""

_UNREADABLE = (RecursionError, ValueError, MemoryError, SyntaxError)
"""The errors of Jinja2 and Python for a template with too deep nesting or too long a number."""

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


class TemplateError(Exception):
    """A template is wrong or refers to an unknown name. The message contains its place."""


class _RefusalError(Exception):
    """A template function cannot return a value; the message says why."""


class _MissingKeyError(jinja2.UndefinedError):
    """A mapping does not have this key."""

    def __init__(self, mapping: Mapping[Any, Any], key: object, message: str) -> None:
        super().__init__(message)
        self.mapping = mapping
        self.key = key

    def reason(self, scope: Mapping[str, object]) -> str:
        """The path of the mapping in the scope, the missing key, and the keys it has."""
        names = sorted(map(str, self.mapping))
        more = ", ..." if len(names) > MOST_NAMES else ""
        has = f"has: {', '.join(names[:MOST_NAMES])}{more}" if names else "is empty"
        return f"{_path_to(self.mapping, scope) or 'the mapping'} has no '{self.key}'; it {has}"


class _UndefinedNameError(jinja2.UndefinedError):
    """The name is undefined."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _hint(name: str, names: Collection[str]) -> str:
    return did_you_mean(name, names) or f": put quotes around it if text is meant: '{name}'"


class _Undefined(jinja2.StrictUndefined):
    """Remembers the requested name, or key and mapping."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = jinja2.UndefinedError
    ) -> None:
        if hint is None and isinstance(obj, Mapping):
            exc = functools.partial(_MissingKeyError, obj, name)
        elif hint is None and obj is missing:
            exc = functools.partial(_UndefinedNameError, str(name))
        super().__init__(hint, obj, name, exc)


class Peers(Protocol):
    """The other nodes of the infrastructure, as far as templates may read them."""

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """The addresses of each instance of a node, the first instance first. Raises `LookupError` with a message."""
        ...

    def node_ids(self, node_name: str) -> Sequence[str]:
        """The ids of the same instances in the same order. Raises `LookupError` with a message."""
        ...


class Renderer:
    """Renders values in one scope; an `occopus_core.api.Render`. `place` begins every error message and warning."""

    def __init__(
        self,
        names: Mapping[str, object],
        functions: Mapping[str, object],
        place: str,
        host_key: Callable[[], HostKeyPair] = generate_host_key,
        manners: Templates1x = DEFAULT_MANNERS,
    ) -> None:
        self._manners = manners
        self._names = {**functions, **self._visible(names)}
        self._place = place
        self._host_key = host_key

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
        return {name: in_scope(value, former=self._manners.former) for name, value in names.items()}

    def extended(self, names: Mapping[str, object]) -> Renderer:
        """A renderer with additional names in scope."""
        return Renderer({**self._names, **names}, {}, self._place, self._host_key, self._manners)

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
        text, scope = self._put_right(text, at, scope)
        try:
            with budget():
                return compiled(text).render(scope)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(self._message(text, at, error.lineno, error.message or "syntax error")) from error
        except Exception as error:  # a template may raise whatever its expressions raise
            raise TemplateError(self._message(text, at, _line(error), _reason(error, scope))) from error

    def _put_right(self, text: str, at: str, scope: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Correct a template by the rules of 1.x. Returns it with its scope; warns of each correction."""
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


def expand(text: str, names: Mapping[str, object]) -> str:
    """Render a template with these names and no functions. Raises `ValueError` with the reason."""
    try:
        return Renderer(names, {}, "")(text, at="")
    except TemplateError as error:
        raise ValueError(str(error).lstrip(": ")) from error


@functools.lru_cache(maxsize=4096)
def compiled(text: str) -> jinja2.Template:
    """The compiled template. Raises `jinja2.TemplateSyntaxError`."""
    return _environment().from_string(text)


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


@functools.lru_cache(maxsize=4096)
def _named_in_template(text: str) -> tuple[str, ...]:
    try:
        tree = _environment().parse(text)
    except (jinja2.TemplateSyntaxError, *_UNREADABLE):
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
        with budget():
            compiled(text)
        unknown = _undefined(text) - {*NAMES, *names} if names is not None else set()
    except jinja2.TemplateSyntaxError as error:
        line = f"line {error.lineno} of it: " if "\n" in text.strip("\n") else ""
        return f"{line}{error.message or 'syntax error'}"
    except (jinja2.TemplateError, *_UNREADABLE):
        return ""  # the rehearsal reports it, when all its names are known
    known = {*NAMES, *(names or ()), *FUNCTIONS}
    return "; ".join(f"'{name}' is undefined{did_you_mean(name, known)}" for name in sorted(unknown))


def _undefined(text: str) -> set[str]:
    """The names that neither the template nor the environment defines, without those it tests first."""
    tree = _environment().parse(text)
    asked = (one for one in tree.find_all((syntax.Filter, syntax.Test)) if one.name in ASKING)
    nodes = (
        call.args[0]
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in PEER_FUNCTIONS and call.args
    )  # may be named without quotes
    names = (name for one in (*asked, *nodes) for name in ([one] if isinstance(one, syntax.Name) else _names(one)))
    careful = {name.name for name in names}
    return find_undeclared_variables(tree) - careful - FUNCTIONS - _environment().globals.keys()


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
    try:
        return any(name.name == "cmd" for name in _environment().parse(text).find_all(syntax.Name))
    except (jinja2.TemplateSyntaxError, *_UNREADABLE):
        return True  # an invalid template is not trusted


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

    return {"getip": getip, "getprivip": getprivip, "getipall": of_each, **_former_functions(peers)}


def _former_functions(peers: Peers) -> dict[str, Callable[..., object]]:
    """Two functions of 1.x: the id of the first instance of a node, and attributes of the instance with an id."""
    nodes: dict[str, str] = {}

    def find_node_id(node: str) -> str:
        try:
            ids = peers.node_ids(node)
        except LookupError as error:
            raise _RefusalError(str(error.args[0])) from error
        if not ids:
            raise _RefusalError(f"there is no instance of node '{node}'")
        nodes[ids[0]] = node
        return ids[0]

    def ibget(key: str, node_id: str) -> str:
        if key not in _ADDRESS_KEYS:
            raise _RefusalError(f"ibget has no '{key}'; it has: {', '.join(_ADDRESS_KEYS)}")
        if node_id not in nodes:
            raise _RefusalError("ibget takes the id that find_node_id gives")
        return _first([one[0].value for one in peers.addresses(nodes[node_id])[:1] if one], nodes[node_id])

    return {"find_node_id": find_node_id, "ibget": ibget}


def _first(addresses: Sequence[str], node: str) -> str:
    if not addresses:
        raise _RefusalError(f"no instance of node '{node}' has an address")
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
    if isinstance(error, _UndefinedNameError):
        return f"{error}{_hint(error.name, scope)}"
    known = isinstance(error, jinja2.TemplateError | _RefusalError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _path_to(wanted: object, scope: Mapping[Any, object]) -> str:
    """The template expression for a mapping, such as ``variables.database``; empty if it is not in the scope."""
    for name, value in scope.items():
        if value is wanted:
            return str(name)
        if isinstance(value, Mapping) and (found := _path_to(wanted, value)):
            return f"{name}.{found}"
    return ""


def _line(error: BaseException) -> int | None:
    """The line of the template that failed, from the traceback."""
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
