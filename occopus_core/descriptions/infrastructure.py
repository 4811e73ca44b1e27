"""Reads an infrastructure description, checks it, and makes an `Infrastructure`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jsonschema.protocols import Validator

from occopus_core.api.spelling import did_you_mean
from occopus_core.api.written import WrittenMap
from occopus_core.descriptions.compose import refuse_compose
from occopus_core.descriptions.document import Document
from occopus_core.descriptions.graph import CycleError, Graph
from occopus_core.descriptions.loader import Source, load
from occopus_core.descriptions.messages import shortened
from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    Infrastructure,
    NodeDescription,
    OutputTemplate,
    Scaling,
)
from occopus_core.descriptions.node_definitions import FREE, PREFIX
from occopus_core.descriptions.problems import DescriptionError, Path, PlacedMessage, Problem, in_order
from occopus_core.descriptions.schema import check, core_schema, is_template, validator
from occopus_core.descriptions.times import end_of, refuse_too_late

Render = Callable[[str, Mapping[str, object]], str]
"""Renders a template with these names. Raises `ValueError` with the reason."""

JudgeOutputs = Callable[[Infrastructure], Iterable[PlacedMessage]]
"""Finds the outputs that cannot be rendered. Raises nothing."""

MAX_HINTS = 20
"""How many faults get a close name as a hint: finding one compares all names."""


def load_infrastructure(
    source: Source,
    *,
    name: str | None = None,
    imports: bool = True,
    warn: Callable[[Problem], object] = lambda _: None,
    render: Render | None = None,
    judge_outputs: JudgeOutputs = lambda _: (),
    variables: Mapping[str, Any] | None = None,
    declared: Callable[[Iterable[str]], object] = lambda _: None,
) -> Infrastructure:
    """Read an infrastructure description: the file `source`, or the text `source` if `name` is given.

    `imports` allows the import tags. `warn` is called with each warning. With `render`, the limits of `scaling` may be
    templates. `variables` replace those of the infrastructure with the same names; variables of nodes still win.
    `declared` is called with the names of the variables that the infrastructure itself has. Raises `DescriptionError`
    with every fault, including those that `judge_outputs` then finds.
    """
    document = load(source, name=name, imports=imports)
    refuse_compose(document, "an infrastructure description")
    _refuse_definitions(document)
    if variables and isinstance(document.data, dict):
        own = _mapping(document.data.get("variables"))
        declared(own)
        document.data["variables"] = merged(own, variables)
    warnings: list[Problem] = []
    problems = list(_expand_scaling(document, render)) if render else []
    problems += check(document, _validator(), warnings.append)
    reader = _Reader(document)
    problems += reader.problems
    infrastructure = None if problems else reader.infrastructure()
    if infrastructure is not None:
        problems += _cycles(infrastructure, document)
    if problems or infrastructure is None:
        problems += reader.output_faults(judge_outputs)
        raise DescriptionError(in_order(problems, document.name))
    for warning in (*warnings, *reader.warnings):
        warn(warning)
    return infrastructure


@functools.cache
def _validator() -> Validator:
    return validator(core_schema("infrastructure"))


def _refuse_definitions(document: Document) -> None:
    """Report the wrong kind of file as one fault: otherwise every key would be one."""
    keys = [key for key in _mapping(document.data) if not key.startswith(FREE)]
    if keys and all(key.startswith(PREFIX) for key in keys):
        message = "these are node definitions, for occopus-import; expected an infrastructure description"
        raise DescriptionError([document.problem((), message)])


def _expand_scaling(document: Document, render: Render) -> Iterator[Problem]:
    """Replace templates in `scaling` by their results; they can use the variables of the node."""
    data = _mapping(document.data)
    for index, node in _items(data.get("nodes")):
        variables = merged(_mapping(data.get("variables")), _mapping(_mapping(node).get("variables")))
        names = {**variables, "variables": variables}
        scaling = _mapping(node.get("scaling"))
        for key in [key for key, value in scaling.items() if is_template(value)]:
            try:
                scaling[key] = render(scaling[key], names)
            except ValueError as error:
                yield document.problem(("nodes", index, "scaling", key), str(error))
                del scaling[key]


def _cycles(infrastructure: Infrastructure, document: Document) -> Iterator[Problem]:
    try:
        Graph.of(infrastructure)
    except CycleError as error:
        closing = error.closed_by.dependent, error.closed_by.dependee
        pairs = [(one.dependent, one.dependee) for one in infrastructure.dependencies]
        yield document.problem(("dependencies", pairs.index(closing)), f"the nodes wait for each other: {error}")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping `base` overridden by `over` key by key, at every depth. Shares unchanged parts."""
    result = WrittenMap()
    result.lay_over(base)
    result.lay_over(over)
    for key in base.keys() & over.keys():
        if isinstance(base[key], dict) and isinstance(over[key], dict):
            result[key] = merged(base[key], over[key])
    return result


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> Iterator[tuple[int, Any]]:
    return enumerate(value if isinstance(value, list) else [])


class _Reader:
    """Checks rules that a schema cannot express, on a possibly malformed document, so that all faults are found."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._document = document
        self._data = _mapping(document.data)
        self._nodes = [(index, _mapping(node)) for index, node in _items(self._data.get("nodes"))]
        self._names: dict[str, int] = {}
        self._by_identity: dict[int, str] = {}
        if "user_id" not in self._data:
            self.warnings.append(document.problem((), "the key 'user_id' is missing: this infrastructure has no owner"))
        for index, node in self._nodes:
            self._check_name(index, node)
            self._check_scaling(index, node)
        found = (self._dependency(index, edge) for index, edge in _items(self._data.get("dependencies")))
        self._dependencies = tuple(dependency for dependency in found if dependency)
        self._check_life_time()

    def infrastructure(self) -> Infrastructure:
        """The model of a valid document."""
        variables = self._data.get("variables", {})
        return Infrastructure(
            name=self._data["infra_name"],
            nodes=tuple(self._node(index, node, variables) for index, node in self._nodes),
            dependencies=self._dependencies,
            user_id=self._data.get("user_id", ""),
            variables=variables,
            expires=self._data.get("expires", ""),
            outputs=tuple(self._output(*item) for item in self._data.get("outputs", {}).items()),
            expires_where=str(self._document.locate(("expires",))) if "expires" in self._data else "",
        )

    def output_faults(self, judge: JudgeOutputs) -> Iterator[Problem]:
        """The faults in outputs of a document with other faults; none if a node has no valid name."""
        named = [node.get("name") for _, node in self._nodes]
        names = [name for name in named if isinstance(name, str)]
        if len(names) < len(named):
            return
        outputs = _mapping(self._data.get("outputs")).items()
        outline = Infrastructure(
            name=str(self._data.get("infra_name", "")),
            nodes=tuple(NodeDescription(name, type="") for name in names),
            user_id=str(self._data.get("user_id", "")),
            variables=_mapping(self._data.get("variables")),
            outputs=tuple(
                self._output(name, text) for name, text in outputs if isinstance(name, str) and isinstance(text, str)
            ),
        )
        for fault in judge(outline):
            yield self._document.problem(("outputs", fault.path.removeprefix("outputs.")), fault.message)

    def _output(self, name: str, template: str) -> OutputTemplate:
        return OutputTemplate(name, template, str(self._document.locate(("outputs", name))))

    def _node(self, index: int, node: Mapping[str, Any], variables: Mapping[str, Any]) -> NodeDescription:
        scaling = node.get("scaling", {})
        least = max(int(scaling.get("min", 1)), 1)
        return NodeDescription(
            name=node["name"],
            type=node["type"],
            filter=node.get("filter", {}),
            scaling=Scaling(least, max(int(scaling.get("max", least)), least)),
            variables=merged(variables, node["variables"]) if node.get("variables") else variables,
            discovers=node.get("discovers", False),
            when_outdated=node.get("when_outdated", "keep"),
            where=str(self._document.locate(("nodes", index, "type"))),
        )

    def _fault(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))

    def _check_life_time(self) -> None:
        expires = self._data.get("expires")
        if isinstance(expires, str):
            try:
                end_of(expires, 0.0)
                refuse_too_late(expires)
            except ValueError as error:
                self._fault(("expires",), str(error))

    # Nodes

    def _check_name(self, index: int, node: dict[str, Any]) -> None:
        name = node.get("name")
        if not isinstance(name, str):
            return
        first = self._names.setdefault(name, index)
        if first != index:
            place = self._document.locate(("nodes", first, "name"))
            path: Path = ("nodes", index) if node is self._nodes[first][1] else ("nodes", index, "name")
            self._fault(path, f"the node '{name}' is there twice: first at {place}")
        self._by_identity[id(node)] = name

    def _check_scaling(self, index: int, node: Mapping[str, Any]) -> None:
        """Raise limits that are too small."""
        scaling = _mapping(node.get("scaling"))
        least, most = scaling.get("min", 1), scaling.get("max", 1)
        if not (isinstance(least, int | float) and isinstance(most, int | float)):
            return
        path: Path = ("nodes", index, "scaling")
        if least < 1:
            self._warn((*path, "min"), f"'min' is {least} and is raised to 1")
        if most < max(least, 1) and "max" in scaling:
            self._warn((*path, "max"), f"'max' is {most} and is raised to 'min', which is {max(least, 1)}")

    def _warn(self, path: Path, message: str) -> None:
        self.warnings.append(self._document.problem(path, message))

    # Dependencies

    def _dependency(self, index: int, edge: Any) -> Dependency | None:
        path: Path = ("dependencies", index)
        pair, at, mappings = edge, path, []
        if isinstance(edge, dict):
            pair, at = edge.get("connection"), (*path, "connection")
            self._pass_over(path, edge, ("connection", "mappings"))
            mappings = [self._attribute(path, *item) for item in _items(edge.get("mappings"))]
        if not isinstance(pair, list) or len(pair) != len(("dependent", "dependee")):
            return None
        dependent, dependee = (self._end((*at, number), end) for number, end in enumerate(pair))
        if dependent is None or dependee is None:
            return None
        where = str(self._document.locate(path))
        return Dependency(dependent, dependee, tuple(found for found in mappings if found), where)

    def _end(self, path: Path, end: Any) -> str | None:
        """The name of the node at one end of an edge, given as its name, its alias, or a copy of it."""
        if isinstance(end, dict):
            if id(end) in self._by_identity:
                return self._by_identity[id(end)]
            name = end.get("name")
            if isinstance(name, str) and name in self._names and self._nodes[self._names[name]][1] == end:
                return name
            self._fault(path, "there is no such node: write the alias of a node (*NAME) or its name")
        elif isinstance(end, str):
            if end in self._names:
                return end
            hint = ""
            if len(self.problems) < MAX_HINTS:
                hint = did_you_mean(end, self._names) or f"; the nodes are: {shortened([*self._names])}"
            self._fault(path, f"there is no node '{end}'{hint}")
        return None

    def _attribute(self, edge: Path, index: int, entry: Any) -> AttributeMapping | None:
        pair, synch = entry, False
        if isinstance(entry, dict):
            pair, synch = entry.get("attributes"), bool(entry.get("synch"))
            self._pass_over((*edge, "mappings", index), entry, ("attributes", "synch"))
        if isinstance(pair, list) and len(pair) == len(("source", "target")):
            return AttributeMapping(str(pair[0]), str(pair[1]), synch)
        return None

    def _pass_over(self, path: Path, mapping: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in mapping:
            if key not in known:
                message = f"the key '{key}' means nothing here and is ignored{did_you_mean(key, known)}"
                self.warnings.append(self._document.problem((*path, key), message, key=True))
