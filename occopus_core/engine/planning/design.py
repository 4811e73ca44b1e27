"""Validates a description completely before anything is built, and derives its design."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from occopus_core.descriptions.graph import CycleError, Edge, Graph
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.problems import PlacedMessage
from occopus_core.descriptions.times import end_of
from occopus_core.engine.planning.blueprint import NOT_GIVEN, NOT_STORED, Blueprint, UnbuildableError
from occopus_core.engine.planning.cycles import cycle_message
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.engine.planning.mappings import faults
from occopus_core.engine.planning.plan import Plan
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import Rehearsed, clashes, rehearse
from occopus_core.engine.planning.rehearsal_faults import type_paths
from occopus_core.engine.planning.scaling import targets_of


class Definitions(Protocol):
    """Source of node definitions. Its methods raise `StoreError`."""

    def definitions(self, names: Collection[str]) -> Mapping[str, NodeDefinition]:
        """The named definitions, as far as they exist."""
        ...

    def definition_names(self) -> Sequence[str]:
        """The names of all node definitions."""
        ...


@dataclass(frozen=True, slots=True)
class Overlay:
    """Node definitions that are not stored, in the place of stored ones of the same names."""

    own: Mapping[str, NodeDefinition]
    stored: Definitions

    def definitions(self, names: Collection[str]) -> Mapping[str, NodeDefinition]:
        """See `Definitions`."""
        found = self.stored.definitions([name for name in names if name not in self.own])
        return {**found, **{name: self.own[name] for name in names if name in self.own}}

    def definition_names(self) -> Sequence[str]:
        """See `Definitions`."""
        return sorted({*self.own, *self.stored.definition_names()})


class InvalidDesignError(Exception):
    """The description cannot be built. `problems` has one message for each mistake. Nothing was changed.

    A message whose place in the description is known is a `PlacedMessage`.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Design:
    """The valid form of a description: how each node can be made, and its dependencies, templates included."""

    scope: Scope
    blueprints: Mapping[str, Blueprint]
    graph: Graph
    faulty: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By node name: why the node cannot be made. It has no blueprint. Empty for a build."""


def first_plan(scope: Scope, definitions: Definitions) -> Plan:
    """The plan of the first build of an infrastructure. Raises `InvalidDesignError`, `StoreError`."""
    make_design(scope, definitions, with_outputs=True)
    return decide(Situation(targets_of(scope.infrastructure, {}), [], ordered=True))


def make_design(scope: Scope, definitions: Definitions, *, with_outputs: bool = False) -> Design:
    """Find the definitions, rehearse the templates, order the nodes. Raises `InvalidDesignError`, `StoreError`.

    With `with_outputs`, faults in outputs count, too, plugins that cannot be set up, and instances of which each needs
    what only one can have. Maintenance goes on whatever is wrong with them: only the nodes that need them fail.
    """
    blueprints, missing = _blueprints(scope, definitions)
    rehearsed = rehearse(scope, blueprints, set_up=with_outputs)
    unmapped = [message for _, message in faults(scope.infrastructure.dependencies, blueprints)]
    problems = [*missing.values(), *unmapped, *rehearsed.problems]
    if with_outputs:
        problems += [*output_faults(scope.infrastructure, scope.infra_id), *clashes(scope, blueprints)]
    if problems:
        raise InvalidDesignError(problems)
    return _design(scope, blueprints, rehearsed, {})


def make_partial_design(scope: Scope, definitions: Definitions) -> Design:
    """The same for maintenance: a mistake concerns only its node, which `Design.faulty` names.

    Raises `StoreError`, and `InvalidDesignError` where nodes wait for each other or rendering is cut off.
    """
    blueprints, missing = _blueprints(scope, definitions)
    rehearsed = rehearse(scope, blueprints, set_up=False, most=math.inf)
    if scope.allowance.cut_off:
        raise InvalidDesignError(rehearsed.problems)
    faulty = {name: [message] for name, message in missing.items()}
    unmapped = faults(scope.infrastructure.dependencies, blueprints)
    mistakes = ((name, message) for name, messages in rehearsed.faulty.items() for message in messages)
    for name, message in (*unmapped, *mistakes):
        faulty.setdefault(name, []).append(message)
    return _design(scope, blueprints, rehearsed, faulty)


def _design(
    scope: Scope, blueprints: Mapping[str, Blueprint], rehearsed: Rehearsed, faulty: Mapping[str, Sequence[str]]
) -> Design:
    """The design with the blueprints of all nodes that are not faulty. Raises `InvalidDesignError` for a cycle."""
    edges = [Edge(found.dependent, found.dependee, found.where) for found in rehearsed.references]
    try:
        graph = Graph.of(scope.infrastructure, edges)
    except CycleError as error:
        raise InvalidDesignError([cycle_message(error, blueprints, scope.infrastructure)]) from error
    known = {
        name: dataclasses.replace(blueprint, fingerprints=rehearsed.fingerprints[name])
        for name, blueprint in blueprints.items()
        if name not in faulty
    }
    return Design(scope, known, graph, faulty)


def refuse_undefined(infrastructure: Infrastructure, types: Collection[str]) -> None:
    """Raises `InvalidDesignError` if nodes have a type that is not among those with a definition."""
    problems: list[str] = []
    paths = type_paths(infrastructure)
    for node in infrastructure.nodes:
        if node.type not in types:
            try:
                Blueprint.of(node, None)
            except UnbuildableError as error:
                problems.append(PlacedMessage.of(node.where, paths[node.name], str(error)))
    if problems:
        raise InvalidDesignError(problems)


def refuse_over(infrastructure: Infrastructure, now: float) -> None:
    """Raises `InvalidDesignError` if the life time of the description would be over at once."""
    if infrastructure.expires and end_of(infrastructure.expires, now) <= now:
        message = f"the life time '{infrastructure.expires}' is over already"
        raise InvalidDesignError([PlacedMessage.of(infrastructure.expires_where, "expires", message, with_path=True)])


def _blueprints(scope: Scope, definitions: Definitions) -> tuple[dict[str, Blueprint], dict[str, str]]:
    """The blueprints by node name, and a message for each node that cannot be made, by its name."""
    nodes = scope.infrastructure.nodes
    known = definitions.definitions({node.type for node in nodes})
    blueprints: dict[str, Blueprint] = {}
    problems: dict[str, str] = {}
    paths = type_paths(scope.infrastructure)
    missing = NOT_GIVEN if isinstance(definitions, Overlay) and definitions.own else NOT_STORED
    for node in nodes:
        try:
            blueprints[node.name] = Blueprint.of(node, known.get(node.type), missing)
        except UnbuildableError as error:
            close = difflib.get_close_matches(node.type, [] if node.type in known else definitions.definition_names())
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            problems[node.name] = PlacedMessage.of(node.where, paths[node.name], f"{error}{hint}")
    return blueprints, problems
