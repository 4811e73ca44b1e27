"""Reads node definitions, checks them against the schemas of their plugins, and makes `NodeDefinition` objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from occopus_core.api import scalars
from occopus_core.api.config import SectionFault
from occopus_core.api.spelling import did_you_mean
from occopus_core.descriptions.compose import refuse_compose
from occopus_core.descriptions.document import Document
from occopus_core.descriptions.loader import Source, load
from occopus_core.descriptions.model import (
    DEFAULT_HEALTH_TIMEOUT,
    HealthCheck,
    Implementation,
    NodeDefinition,
    Places,
)
from occopus_core.descriptions.problems import DescriptionError, Path, Problem, format_path, in_order, path_in
from occopus_core.descriptions.schema import (
    KINDS,
    PluginSchemas,
    check,
    former_truth,
    is_template,
    node_definitions_schema,
    validator,
)

PREFIX = "node_def:"
FREE = "x-"
"""The prefix of top-level keys that Occopus ignores: for anchors, and for other programs."""
Inspect = Callable[[str, Collection[str] | None], str]
"""Returns the mistake in a template, or an empty text. Gets the names it has beyond those of every template, or None if
only a plugin knows them."""
Examine = Callable[[Mapping[str, Any]], Iterable[SectionFault]]
"""Returns the mistakes that a configuration manager finds in a section. Raises `LookupError` for an invalid section."""
Attempt = Callable[[Implementation], Sequence[tuple[str, str]]]
"""Returns the path and the message of each value that the plugins of an implementation refuse."""
_SECTIONS = {*KINDS, "health_check"}
_NAMES: Mapping[str, Collection[str]] = {"resource": ()}
"""The names of templates beyond those of every template, in sections that get none from `mappings` and plugins."""
_DEFAULT_CHECKS = {"ping": True}
_HEALTH_KEYS = frozenset({"type", "timeout", "min_ready_seconds"})
"""The keys of `health_check` that do not name a checker."""


def load_node_definitions(
    source: Source,
    plugins: PluginSchemas,
    *,
    name: str | None = None,
    imports: bool = True,
    warn: Callable[[Problem], object] = lambda _: None,
    inspect: Inspect = lambda _text, _names: "",
    examine: Examine = lambda _section: (),
    refusals: Attempt = lambda _implementation: (),
) -> tuple[NodeDefinition, ...]:
    """Read node definitions: the file `source`, or the text `source` if `name` is given.

    Loads only the plugins that the file uses. `imports` allows the import tags. `warn` is called with each key that a
    plugin marks as deprecated; `inspect` with each template; `examine` with each `config_management` section and
    `refusals` with each implementation in which there is no other fault. Raises `DescriptionError` with every fault.
    """
    document = load(source, name=name, imports=imports)
    refuse_compose(document, "node definitions")
    _refuse_infrastructure(document)
    reader = _Reader(document, plugins)
    using = validator(node_definitions_schema(reader.schemas), templates=True)
    problems = check(document, using, reader.warnings.append) + reader.problems
    problems += reader.templates(inspect)
    problems += reader.attempted(refusals, examine, problems)
    if problems:
        raise DescriptionError(in_order(problems, document.name))
    for warning in (*reader.warnings, *reader.deprecated()):
        warn(warning)
    return tuple(
        NodeDefinition(
            key.removeprefix(PREFIX),
            tuple(
                _implementation(sections, functools.partial(_place, document, (key, number)))
                for number, sections in enumerate(implementations)
            ),
        )
        for key, implementations in document.data.items()
        if key.startswith(PREFIX)
    )


def _place(document: Document, path: Path, at: str, line: int | None = None, *, key: bool = False) -> str:
    """See `Places`; `path` is that of the implementation."""
    implementation = functools.reduce(lambda value, step: value[step], path, document.data)
    return str(document.place((*path, *path_in(implementation, at)), line, key=key))


def _refuse_infrastructure(document: Document) -> None:
    """Report the wrong kind of file as one fault: otherwise every key would be one."""
    keys = document.data.keys() if isinstance(document.data, dict) else set()
    if keys & {"infra_name", "nodes"} and not any(key.startswith(PREFIX) for key in keys):
        message = "this is an infrastructure description, for occopus-build; expected node definitions"
        raise DescriptionError([document.problem((), message)])


def _implementation(sections: Mapping[str, Any], place: Places) -> Implementation:
    return Implementation(
        resource=sections["resource"],
        contextualisation=sections.get("contextualisation"),
        config_management=sections.get("config_management"),
        health_check=_health_check(sections.get("health_check", {})),
        place=place,
    )


def _health_check(section: Mapping[str, Any]) -> HealthCheck:
    checks = {key: value for key, value in section.items() if key not in _HEALTH_KEYS}
    wanted = {key: value for key, value in {**_DEFAULT_CHECKS, **checks}.items() if value is not False}
    timeout, proof = section.get("timeout", DEFAULT_HEALTH_TIMEOUT), section.get("min_ready_seconds", 0.0)
    return HealthCheck(wanted, float(timeout), float(proof))


def _is_off(value: Any) -> bool:
    """True if a health check is switched off by `false`, or by a word of YAML 1.1 for it."""
    return value is False or (isinstance(value, str) and scalars.truth(value) is False)


_NO_TEMPLATES = (
    ("resource", "stop_seconds", "the grace cannot be a template: write a number of seconds"),
    ("config_management", "max_parallel", "the limit cannot be a template: write a number"),
    ("health_check", "timeout", "the timeout cannot be a template: write a number of seconds"),
    ("health_check", "min_ready_seconds", "the time cannot be a template: write a number of seconds"),
)
"""Keys of the core whose values are never rendered."""


class _Reader:
    """Collects the schemas of the plugins in a document, and the faults that a schema cannot express."""

    def __init__(self, document: Document, plugins: PluginSchemas) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.schemas: dict[str, dict[str, Mapping[str, Any] | None]] = {}
        self._missing: dict[tuple[str, str], str] = {}
        self._document = document
        self._plugins = plugins
        for key, definition in _mapping(document.data).items():
            if key.startswith(PREFIX) and definition is None:
                self._fault((key,), "there is no value here: expected a list")
        for path, implementation in _implementations(document.data):
            for section, kind in KINDS.items():
                self._section(path, section, kind, implementation.get(section))
            for section, key, message in _NO_TEMPLATES:
                if is_template(_mapping(implementation.get(section)).get(key)):
                    self._fault((*path, section, key), message)
            self._health(path, implementation.get("health_check"))
            self._match(path, implementation)

    def deprecated(self) -> Iterator[Problem]:
        """The used keys that a plugin's schema marks as deprecated; the schema's description advises what to do."""
        for path, implementation in _implementations(self._document.data):
            for section, kind in KINDS.items():
                used = implementation.get(section) or {}
                known = (self.schemas.get(kind, {}).get(used.get("type", "")) or {}).get("properties", {})
                for key in used:
                    if isinstance(known.get(key), Mapping) and known[key].get("deprecated"):
                        message = f"the key '{key}' is deprecated: {known[key].get('description', '')}"
                        yield self._document.problem((*path, section, key), message, key=True)

    def templates(self, inspect: Inspect) -> Iterator[Problem]:
        """The mistakes in the templates."""
        for path, implementation in _implementations(self._document.data):
            for section in _SECTIONS & implementation.keys():
                # A contextualisation may add names to its section, and a configuration manager to every section.
                known = None if "config_management" in implementation else _NAMES.get(section)
                for at, text in _templates((*path, section), implementation[section]):
                    if fault := inspect(text, known):
                        yield self._document.problem(at, fault)
                for at in _templated_keys((*path, section), implementation[section]):
                    yield self._document.problem(at, _NOT_RENDERED, key=True)

    def attempted(self, refusals: Attempt, examine: Examine, known: Sequence[Problem]) -> Iterator[Problem]:
        """The mistakes that plugins find in implementations without other faults."""
        faulty = [problem.path for problem in known]
        for path, implementation in _implementations(self._document.data):
            if any(_is_within(one, format_path(path)) or _is_within(format_path(path), one) for one in faulty):
                continue
            yield from self._examined(path, implementation.get("config_management"), examine)
            found = refusals(_implementation(implementation, functools.partial(_place, self._document, path)))
            for at, message in found:
                within = path_in(implementation, at)
                shown = message.removeprefix(f"{format_path(within)}: ")  # a problem already has its path
                yield self._document.problem((*path, *within), shown, key=True)

    def _examined(self, path: Path, section: Any, examine: Examine) -> Iterator[Problem]:
        """The mistakes that the configuration manager of a section finds."""
        if section is not None:
            at = (*path, "config_management")
            try:
                for one in examine(section):
                    yield self._document.problem_within((*at, one.key), one.message, one.line, one.column)
            except LookupError as error:
                yield self._document.problem((*at, "type"), str(error))

    def _fault(self, path: Path, message: str, *, key: bool = False) -> None:
        self.problems.append(self._document.problem(path, message, key=key))

    def _section(self, path: Path, section: str, kind: str, value: Any) -> None:
        name = value.get("type") if isinstance(value, dict) else None
        if is_template(name):
            self._fault((*path, section, "type"), "a type cannot be a template: it selects the plugin")
            self.schemas.setdefault(kind, {}).setdefault(str(name), None)
        elif isinstance(name, str):
            self._learn(kind, name, (*path, section, "type"))

    def _health(self, path: Path, value: Any) -> None:
        for name in value if isinstance(value, dict) else ():
            if name not in _HEALTH_KEYS:
                self._learn("health", name, (*path, "health_check", name), key=True, unused=_is_off(value[name]))
                self._switch_off(path, value, name)

    def _switch_off(self, path: Path, section: dict[str, Any], name: str) -> None:
        """Replace words of YAML 1.1 for `false`, which switch a check off, by `false`."""
        word = section[name]
        schema = self.schemas["health"][name] or {}
        if word is not False and _is_off(word) and schema.get("type") != "string":
            section[name] = False
            self.warnings.append(self._document.problem((*path, "health_check", name), former_truth(word)))

    def _learn(self, kind: str, name: str, path: Path, *, key: bool = False, unused: bool = False) -> None:
        """Load a plugin's schema, once; report a missing plugin at its first use."""
        known = self.schemas.setdefault(kind, {})
        if name not in known:
            known[name] = None
            try:
                known[name] = self._plugins.schema(kind, name)
            except LookupError as error:
                hint = did_you_mean(name, _HEALTH_KEYS) if kind == "health" else ""
                self._missing[kind, name] = f"unknown key '{name}'{hint}" if hint else str(error)
        if not unused and (missing := self._missing.pop((kind, name), "")):
            self._fault(path, missing, key=key)

    def _match(self, path: Path, implementation: Mapping[str, Any]) -> None:
        """Check that the resource handler can pass on the forms of context that the contextualisation makes."""
        sections = (implementation.get(section) for section in ("resource", "contextualisation"))
        resource, context = (section.get("type") if isinstance(section, dict) else None for section in sections)
        if not (self._is_known("resource", resource) and self._is_known("context", context)):
            return
        forms = sorted(form.value for form in self._plugins.undeliverable(str(resource), str(context)))
        if forms:
            message = (
                f"the resource handler '{resource}' does not pass on the {' and '.join(forms)} that '{context}' makes"
            )
            self._fault((*path, "contextualisation", "type"), message)

    def _is_known(self, kind: str, name: Any) -> bool:
        return isinstance(name, str) and self.schemas.get(kind, {}).get(name) is not None


def _is_within(path: str, outer: str) -> bool:
    """True for a path that is another one, or leads into its value."""
    return not outer or path == outer or path.startswith((f"{outer}.", f"{outer}["))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _implementations(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    for key, definition in data.items() if isinstance(data, dict) else ():
        for index, implementation in enumerate(definition if isinstance(definition, list) else ()):
            if key.startswith(PREFIX) and isinstance(implementation, dict):
                yield (key, index), implementation


_NOT_RENDERED = "a key cannot be a template: only values are rendered, and a context_template that is a text"


def _templated_keys(path: Path, value: Any) -> Iterator[Path]:
    for step, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        if isinstance(value, dict) and is_template(step):
            yield (*path, step)
        yield from _templated_keys((*path, step), item)


def _templates(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if is_template(value) or (isinstance(value, str) and "{#" in value):  # ``{#`` begins a comment
        yield path, value
    elif isinstance(value, dict | list):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _templates((*path, step), item)
