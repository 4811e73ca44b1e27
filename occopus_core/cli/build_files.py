"""The files that a build reads: configuration, credentials, the description, node definitions, variables."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from occopus_core.cli.output import say
from occopus_core.cli.session import both, load_files
from occopus_core.cli.variables import given_variables
from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.manager.checked_definitions import checked_definitions
from occopus_core.registry import Registry
from occopus_core.render import expander
from occopus_core.settings import Settings

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.engine.planning.design import Definitions


@dataclass(frozen=True, slots=True)
class BuildFiles:
    """The content of the files."""

    settings: Settings
    credentials: Credentials
    infrastructure: Infrastructure
    definitions: Mapping[str, NodeDefinition] = field(default_factory=dict)
    """By name: those of `--nodes`."""
    variables: Collection[str] = ()
    """The names of the variables of the command line."""
    declared: Collection[str] = ()
    """The names of the variables that the description itself has."""
    expanded: Collection[str] = ()
    """The templates of the description that are already rendered."""

    @property
    def used(self) -> Mapping[str, NodeDefinition]:
        """By name: those definitions of `--nodes` that the description uses."""
        types = {node.type for node in self.infrastructure.nodes}
        return {name: definition for name, definition in self.definitions.items() if name in types}

    def say_unused(self, stored: Definitions) -> None:
        """Print a notice for each variable of the command line that has no effect. Raises `StoreError`."""
        if not self.variables:
            return
        from occopus_core.engine.planning.design import Overlay  # noqa: PLC0415  # only where it is needed
        from occopus_core.manager.unused_variables import unused_variables  # noqa: PLC0415

        types = {node.type for node in self.infrastructure.nodes}
        known = Overlay(self.definitions, stored).definitions(types)
        if known.keys() != types:  # an incomplete set of definitions cannot be built, and the missing ones may use them
            return
        self._say_overridden()
        infrastructure, definitions = self.infrastructure, known.values()
        for name in unused_variables(self.variables, self.declared, infrastructure, self.expanded, definitions):
            say(f"notice: the variable '{name}' is not used by any template of the description or its node definitions")

    def _say_overridden(self) -> None:
        """Print a notice for each variable of the command line that variables of nodes override."""
        for name in self.variables:
            value = self.infrastructure.variables[name]
            nodes = [f"'{node.name}'" for node in self.infrastructure.nodes if node.variables[name] != value]
            if nodes:
                say(f"notice: the variable '{name}' has other values in these nodes, which win: {', '.join(nodes)}")


def read_files(options: argparse.Namespace) -> BuildFiles:
    """Read all files. Raises `DescriptionError` with the errors of all."""
    reading = _Reading(options)
    (settings, credentials), (definitions, infrastructure) = both(
        reading.files, lambda: both(reading.definitions, reading.infrastructure)
    )
    own = {definition.name: definition for definition in definitions}
    return BuildFiles(settings, credentials, infrastructure, own, reading.variables, reading.declared, reading.expanded)


class _Reading:
    """Reads the files. Definitions are checked with the settings and credentials if these can be read."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._former = False
        self._credentials = Credentials()
        self.variables: Collection[str] = ()
        self.declared: set[str] = set()
        self.expanded: list[str] = []

    def files(self) -> tuple[Settings, Credentials]:
        settings, self._credentials = load_files(self._options)
        self._former = settings.former
        return settings, self._credentials

    def definitions(self) -> tuple[NodeDefinition, ...]:
        file = self._options.nodes
        if file is None:
            return ()
        return checked_definitions(file, Registry(), self._credentials, _warn, former=self._former)

    def infrastructure(self) -> Infrastructure:
        variables = given_variables(self._options)
        self.variables = list(variables)
        expand = expander()

        def render(text: str, names: Mapping[str, object]) -> str:
            self.expanded.append(text)
            return expand(text, names)

        return load_infrastructure(
            self._options.infra_def,
            warn=_warn,
            render=render,
            judge_outputs=output_faults,
            variables=variables,
            declared=self.declared.update,
        )


def _warn(problem: object) -> None:
    say(f"warning: {problem}")
