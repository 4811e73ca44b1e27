"""Renders every template once before anything is built, to find mistakes and dependencies."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.errors import PermanentError
from occopus_core.api.resource import Address, AddressKind, CreateRequest
from occopus_core.descriptions.model import Implementation
from occopus_core.descriptions.problems import PlacedMessage
from occopus_core.engine.kernel.stand_in import cannot_be_made
from occopus_core.engine.planning import mappings
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.exclusive import Claims, Taken, unshared_by_all
from occopus_core.engine.planning.fingerprints import PLACEHOLDER_HOST_KEY, PLACEHOLDER_NODE_ID, fingerprint
from occopus_core.engine.planning.preparation import Prepared, Scope, Subject
from occopus_core.engine.planning.rehearsal_faults import Faults, type_paths
from occopus_core.engine.planning.scaling import targets_of
from occopus_core.render import MOST_FAULTS, Allowance, CutOffError
from occopus_core.sandbox import BUDGET
from occopus_core.template_functions import rehearsal_functions
from occopus_core.template_inspection import named_peers

REHEARSAL_UNITS = 10 * BUDGET
"""The budget of all plain templates of one infrastructure when each is rendered once."""

REHEARSAL_SECONDS = 10.0
"""The limit on the processor time, in seconds, of all its other templates."""

_TOKEN = f"occopus-{PLACEHOLDER_NODE_ID}"
# Addresses reserved for documentation (RFC 5737).
_PLACEHOLDERS = ((Address("192.0.2.1"), Address("198.51.100.1", AddressKind.PRIVATE)), (Address("192.0.2.2"),))


def rehearsal_allowance() -> Allowance:
    """A fresh limit on the cost of rendering every template of one infrastructure once."""
    return Allowance(REHEARSAL_UNITS, REHEARSAL_SECONDS)


@dataclass(frozen=True, slots=True)
class Reference:
    """A template of the dependent refers to the dependee."""

    dependent: str
    dependee: str
    where: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The result of a rehearsal. If `problems` (messages for the user) is not empty, nothing may be built."""

    references: tuple[Reference, ...]
    problems: tuple[str, ...]
    fingerprints: Mapping[str, Mapping[str, str]]
    """By node name and digest of the implementation: see `Blueprint.fingerprints`."""
    faulty: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By node name: its part of `problems`. The other nodes were found to be valid."""


class PlaceholderPeers:
    """The nodes of an infrastructure that is not built, with made-up addresses. Records which of them are asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self.asked: set[str] = set()

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """See `occopus_core.template_functions.Peers`."""
        if node_name not in self._names:
            raise LookupError(f"there is no node '{node_name}'; the nodes are: {', '.join(sorted(self._names))}")
        self.asked.add(node_name)
        return _PLACEHOLDERS

    def node_ids(self, node_name: str) -> Sequence[str]:
        """See `occopus_core.template_functions.Peers`."""
        return [PLACEHOLDER_NODE_ID for _ in self.addresses(node_name)]


def rehearse(
    scope: Scope, blueprints: Mapping[str, Blueprint], *, set_up: bool = True, most: float = MOST_FAULTS
) -> Rehearsed:
    """Render and check every implementation of every node without creating, changing or running anything.

    Where rendering is cut off, that is the only problem, and `scope.allowance` knows of it. After `most` problems no
    more are looked for. Without `set_up`, handlers and health checkers that cannot be made are no problem.
    """
    full = scope.allowance
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    references: list[Reference] = []
    problems: list[str] = []
    faulty: dict[str, list[str]] = {}
    fingerprints: dict[str, dict[str, str]] = {name: {} for name in blueprints}
    paths = type_paths(scope.infrastructure)
    names = frozenset({*blueprints, *paths})
    for blueprint in blueprints.values():
        for implementation in blueprint.implementations:
            peers = PlaceholderPeers(names)
            found = Faults(blueprint.node, implementation, paths.get(blueprint.node.name, ""))
            try:
                fingerprint = _rehearse(scope, blueprint, implementation, peers, found, set_up=set_up)
            except CutOffError as error:
                full.cut_off = str(error)
                return Rehearsed((), (found.message(error),), fingerprints)
            problems += found.messages
            if len(problems) >= most:
                return Rehearsed((), (*problems[:MOST_FAULTS], f"only the first {MOST_FAULTS} are shown"), fingerprints)
            if found.messages:
                faulty.setdefault(blueprint.node.name, []).extend(found.messages)
            else:
                fingerprints[blueprint.node.name][implementation.digest] = fingerprint
            where = f"a template of the node definition '{blueprint.node.type}'"
            references.extend(Reference(blueprint.node.name, name, where) for name in sorted(peers.asked))
    return Rehearsed(tuple(references), tuple(dict.fromkeys(problems)), fingerprints, faulty)


def references_of(scope: Scope, blueprints: Mapping[str, Blueprint]) -> Iterator[Reference]:
    """The references in templates that can be rendered. Does not call `check` of plugins; raises nothing."""
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    names = frozenset(blueprints)
    for blueprint in blueprints.values():
        for implementation in blueprint.implementations:
            peers = PlaceholderPeers(names)
            handed = mappings.rehearsed(scope.infrastructure.dependencies_of.get(blueprint.node.name, ()))
            subject = _subject(blueprint, implementation, peers, handed)
            # A definition that cannot be rendered any more still has to be deleted.
            with contextlib.suppress(Exception):
                scope.prepare(subject).health_values(implementation, _PLACEHOLDERS[0][0].value)
            with contextlib.suppress(Exception):
                peers.asked.update(named_nodes(implementation))
            where = f"a template of the node definition '{blueprint.node.type}'"
            for name in sorted(peers.asked & blueprints.keys()):
                yield Reference(blueprint.node.name, name, where)


def requests_of(scope: Scope, blueprints: Mapping[str, Blueprint]) -> Iterator[tuple[str, str, CreateRequest]]:
    """For each request that can be rendered: node, digest of the implementation, request. Raises nothing."""
    for blueprint in blueprints.values():
        for implementation in blueprint.implementations:
            handed = mappings.rehearsed(scope.infrastructure.dependencies_of.get(blueprint.node.name, ()))
            subject = _subject(blueprint, implementation, PlaceholderPeers(blueprints), handed)
            with contextlib.suppress(Exception):  # a rehearsal reports it
                yield blueprint.node.name, implementation.digest, scope.prepare(subject).request


def clashes(scope: Scope, blueprints: Mapping[str, Blueprint]) -> Iterator[str]:
    """A message for each node of a description of which the provider would not make as many instances as are wanted.

    An instance would need what another one has, of the same node or another one. Raises nothing.
    """
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    places = {name: _place(blueprint) for name, blueprint in blueprints.items()}
    taken, paths = Taken(places), type_paths(scope.infrastructure)
    for name, count in targets_of(scope.infrastructure, {}).items():
        ways = list(_ways(scope, blueprints, name)) if name in blueprints else []
        reasons = (taken.take(name, ways) for _ in range(min(count, 2)))
        why = next(filter(None, reasons), "")
        if why:
            yield PlacedMessage.of(blueprints[name].node.where, paths[name], f"node '{name}': {why}")


def _place(blueprint: Blueprint) -> str:
    """The place of the node's definition if a build has brought it, else of its type in the description."""
    found = (one.place("resource", key=True) for one in blueprint.implementations if one.place is not None)
    return next(found, blueprint.node.where)


def _ways(scope: Scope, blueprints: Mapping[str, Blueprint], name: str) -> Iterator[Claims]:
    """By implementation: what every instance of the node needs and only one instance can have."""
    handed = mappings.rehearsed(scope.infrastructure.dependencies_of.get(name, ()))
    for implementation in blueprints[name].implementations:
        subject = _subject(blueprints[name], implementation, PlaceholderPeers(blueprints), handed)
        claims: Claims = frozenset()
        with contextlib.suppress(Exception):  # the rehearsal reports it
            claims = unshared_by_all(scope, subject)
        yield claims


def named_nodes(implementation: Implementation) -> Iterable[str]:
    """The nodes that templates name as literals, including in branches that are not rendered."""
    sections = [implementation.resource, implementation.contextualisation, implementation.config_management]
    return named_peers([*sections, implementation.health_check.checks])


def _rehearse(
    scope: Scope,
    blueprint: Blueprint,
    implementation: Implementation,
    peers: PlaceholderPeers,
    found: Faults,
    *,
    set_up: bool,
) -> str:
    """Render and check one implementation. What is wrong goes to `found`. Returns the fingerprint, if nothing is.

    Raises `CutOffError`.
    """
    handed = mappings.rehearsed(scope.infrastructure.dependencies_of.get(blueprint.node.name, ()))
    subject = _subject(blueprint, implementation, peers, handed)
    rendered = _rendered(dataclasses.replace(scope, faults=[]), subject, found)
    for name in named_nodes(implementation):
        try:
            peers.addresses(name)
        except LookupError as error:
            if not any(str(error.args[0]) in message for message in found.messages):
                found.add(PermanentError(str(error.args[0])))
    if rendered is None or found.messages:
        return ""
    prepared, probes = rendered
    for key, value in probes.items():
        with found.collecting(f"health_check.{key}"):
            checker = scope.connections.checker(key)
            scope.connections.check_auth(key, value)
            if set_up or not cannot_be_made(checker):
                checker.check_host(value)
    with found.collecting("resource"):
        settings = scope.settings(subject)
        if set_up:
            scope.connections.check_resource_auth(implementation, settings)
        link = scope.connections.resource(implementation, settings)
        if set_up or not cannot_be_made(link.plugin):
            link.plugin.check(prepared.request)
    if prepared.configuration is not None:
        node, link_of_manager = prepared.configuration.node, prepared.configuration.link
        with found.collecting("config_management"):
            link_of_manager.call("check", lambda manager, nodes: manager.check(*nodes), [node])
    return "" if found.messages else fingerprint(scope.installation, prepared.request)


def _rendered(scope: Scope, subject: Subject, found: Faults) -> tuple[Prepared, Mapping[str, Any]] | None:
    """The request, and the value for each health checker; None if a template or a section is wrong.

    All faults of templates go to `found`. Faults that only follow from a text that could not be rendered are left out.
    """
    templates = scope.faults
    assert templates is not None
    address = _PLACEHOLDERS[0][0].value
    prepared, probes = None, None
    try:
        prepared = scope.prepare(subject)
        probes = prepared.health_values(subject.implementation, address)
    except CutOffError:
        raise
    except Exception:
        if not templates:
            with found.collecting():
                raise
    if prepared is None and templates:
        with contextlib.suppress(Exception):
            scope.health_values(subject, address)
    for fault in templates:
        found.add(fault)
    return (prepared, probes) if prepared is not None and probes is not None and not templates else None


def _subject(
    blueprint: Blueprint, implementation: Implementation, peers: PlaceholderPeers, handed: Mapping[str, Any]
) -> Subject:
    functions = rehearsal_functions(peers)
    node_id, host_key = PLACEHOLDER_NODE_ID, PLACEHOLDER_HOST_KEY
    return Subject(blueprint.node, node_id, _TOKEN, implementation, functions, handed, lambda: host_key)
