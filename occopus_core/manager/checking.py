"""Finds differences from Occopus 1.x in a folder of its files, for `occopus-import --check-1x`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from occopus_core.api.resource import CreateRequest
from occopus_core.api.scalars import canonical
from occopus_core.api.written import items_of, texts_of
from occopus_core.credentials import Credentials
from occopus_core.descriptions import problems as faults
from occopus_core.descriptions.document import Document
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.loader import load
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.node_definitions import PREFIX, load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.planning.blueprint import Blueprint, UnbuildableError
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.engine.planning.design import InvalidDesignError, make_design
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import requests_of
from occopus_core.manager.auth import auth_faults
from occopus_core.registry import PluginError, Registry
from occopus_core.render import expander
from occopus_core.settings import Settings
from occopus_core.store.definitions import StoredDefinitions

SETTING = "compatibility: 1.x"
_BACK = f"'{SETTING}' brings it back"
_OWN = re.compile(r"^\s*['\"]?(node_def:|infra_name|plugins:|components:|pre_authentication)", re.MULTILINE)
_LEADING_ZEROS = re.compile(r"[-+]?0[0-9]+")
_OPEN_HOSTS = {"127.0.0.1", "localhost", "::1"}


@dataclass
class Differences:
    """The result of checking a folder."""

    lines: list[str] = field(default_factory=list)
    """One line for each difference, with file, line and column if known."""
    files: int = 0
    """The number of Occopus files read."""
    refused: int = 0
    """The number of differences that prevent the use of a file."""

    def add(self, lines: Iterable[object]) -> None:
        """Add differences."""
        self.lines += map(str, lines)

    def refuse(self, lines: Iterable[object]) -> None:
        """Add errors."""
        found = [f"{line} (refused)" for line in lines]
        self.refused += len(found)
        self.lines += found


def check_folder(folder: str, registry: Registry | None = None) -> Differences:
    """Read all files of Occopus below a folder, or one file, without changing or calling anything.

    Raises `DescriptionError` if the folder does not exist.
    """
    return _Check(registry or Registry()).folder(Path(folder))


class _Check:
    """One run of the check."""

    def __init__(self, registry: Registry) -> None:
        self._found = Differences()
        self._registry = registry
        self._definitions: dict[str, NodeDefinition] = {}
        self._credentials = Credentials()
        self._infrastructures: list[tuple[str, Infrastructure]] = []

    def folder(self, folder: Path) -> Differences:
        paths = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"}) or [folder]
        for path in paths:
            self._file(str(path))
        faulty = auth_faults(self._definitions.values(), self._credentials, self._registry)
        self._found.refuse(dict.fromkeys(faulty))
        for name, infrastructure in self._infrastructures:
            self._templates(name, infrastructure)
        return self._found

    def _file(self, path: str) -> None:
        try:
            document = load(path, tolerant=True)
        except DescriptionError as error:
            if not Path(path).is_file() or _OWN.search(Path(path).read_text(errors="replace")):
                self._found.files += Path(path).is_file()
                self._found.refuse(error.problems)
            return
        kind = _kind_of(document.data)
        if kind is None:
            return
        self._found.files += 1
        try:
            {
                "config": self._config,
                "credentials": self._auth_data,
                "definitions": self._nodes,
                "infrastructure": self._infrastructure,
            }[kind](path, document)
        except DescriptionError as error:
            self._found.refuse(error.problems)

    def _config(self, path: str, _document: Document) -> None:
        settings = Settings.load(path, {})
        self._found.add(settings.warnings)
        for notifier in settings.notify:
            try:
                self._registry.schema("notify", notifier.type)
            except PluginError as error:
                self._found.add([f"{path}: notify: {error}"])
        if settings.rest_host not in _OPEN_HOSTS and not settings.rest_insecure:
            self._found.add([f"{path}: components.rest.host: the service asks for a token at {settings.rest_host}"])
        if settings.dry_run:
            self._found.add([f"{path}: dry_run: commands show plans and change nothing"])

    def _auth_data(self, path: str, _document: Document) -> None:
        self._credentials = Credentials.load(path, {})
        self._found.add(self._credentials.warnings)

    def _nodes(self, path: str, document: Document) -> None:
        made = load_node_definitions(path, self._registry, warn=lambda problem: self._found.add([problem]))
        self._definitions |= {definition.name: definition for definition in made}
        self._found.add(_written(document, (), document.data))

    def _infrastructure(self, path: str, document: Document) -> None:
        made = load_infrastructure(
            path,
            warn=lambda problem: self._found.add([problem]),
            render=expander(),
            judge_outputs=output_faults,
        )
        self._infrastructures.append((path, made))
        self._found.add(_written(document, (), document.data))
        places: list[tuple[faults.Path, Any]] = [(("variables",), document.data.get("variables"))]
        places += [
            (("nodes", at, "variables"), node.get("variables")) for at, node in enumerate(document.data["nodes"])
        ]
        for place, variables in places:
            self._found.add(_printed(document, place, variables))

    # Templates

    def _templates(self, path: str, infrastructure: Infrastructure) -> None:
        known = StoredDefinitions("check", self._definitions)
        missing = sorted({node.type for node in infrastructure.nodes} - self._definitions.keys())
        if missing:
            self._found.add([f"{path}: not compared: there is no file with the node definitions {', '.join(missing)}"])
            return
        with ThreadPoolExecutor(1) as executor:
            connections = Connections(self._registry, self._credentials, Loop(SystemClock(), executor), 1)
            warnings: list[str] = []
            now = Scope("check", "check", infrastructure, self._registry, connections)
            former = Scope("check", "check", infrastructure, self._registry, connections, True, warnings.append)
            self._designs(path, known, now, former, warnings)
            self._requests(path, now, former)

    def _designs(self, path: str, known: StoredDefinitions, now: Scope, former: Scope, warnings: list[str]) -> None:
        lasting = set(_refused(former, known))
        self._found.add(f"{path}: {line}; {_BACK}" for line in dict.fromkeys(warnings))
        for problem in _refused(now, known):
            if problem in lasting:
                self._found.refuse([f"{path}: {problem}"])

    def _requests(self, path: str, now: Scope, former: Scope) -> None:
        blueprints: dict[str, Blueprint] = {}
        for node in now.infrastructure.nodes:
            try:
                blueprints[node.name] = Blueprint.of(node, self._definitions[node.type])
            except UnbuildableError:
                return  # the design has reported it
        before = {(name, digest): request for name, digest, request in requests_of(former, blueprints)}
        for name, digest, request in requests_of(now, blueprints):
            if (name, digest) in before:
                places = dict.fromkeys(_different(request, before[name, digest]))
                self._found.add(f"{path}: node '{name}': {place} renders to another text; {_BACK}" for place in places)


def _kind_of(data: Any) -> str | None:
    """The kind of Occopus file; None for any other file."""
    if not isinstance(data, Mapping):
        return None
    if any(key.startswith(PREFIX) for key in data):
        return "definitions"
    if "infra_name" in data or ("nodes" in data and "dependencies" in data):
        return "infrastructure"
    entries = [entry for value in data.values() if isinstance(value, list) for entry in value]
    if any(isinstance(entry, Mapping) and "auth_data" in entry for entry in entries):
        return "credentials"
    return "config" if data.keys() & {"components", "plugins", "logging"} else None


def _refused(scope: Scope, known: StoredDefinitions) -> tuple[str, ...]:
    try:
        make_design(scope, known)
    except InvalidDesignError as error:
        return error.problems
    return ()


def _written(document: Document, path: faults.Path, value: Any) -> Iterator[faults.Problem]:
    """Numbers that keep their written text, but were changed by 1.x."""
    for step, item in items_of(value):
        text = texts_of(value).get(step, "")
        number = isinstance(item, int | float) and not isinstance(item, bool)
        if number and (_LEADING_ZEROS.fullmatch(text) or (isinstance(item, float) and text != canonical(item))):
            message = f"'{text}' stays as it is written; in 1.x it was {canonical(item)}: write the intended text"
            yield document.problem((*path, step), message)
        yield from _written(document, (*path, step), item)


def _printed(document: Document, path: faults.Path, value: Any) -> Iterator[faults.Problem]:
    """Booleans and null, which templates of 1.x printed in Python's form."""
    for step, item in items_of(value):
        if item is None or isinstance(item, bool):
            now = f"'{texts_of(value).get(step, canonical(item))}'" if item is not None else "nothing"
            message = f"templates print {now}; in 1.x they printed '{item}'; {_BACK}"
            yield document.problem((*path, step), message)
        yield from _printed(document, (*path, step), item)


def _different(now: CreateRequest, before: CreateRequest) -> Iterator[str]:
    """The places at which two requests differ as data, without their values, which may be secret."""
    yield from _places("resource", now.resource, before.resource)
    yield from _places("contextualisation.env", now.context.env, before.context.env)
    yield from _places("contextualisation.command", now.context.command, before.context.command)
    at = "contextualisation.context_template"
    yield from _places(at, _read(now.context.user_data), _read(before.context.user_data))


def _read(user_data: str | None) -> Any:
    """The data that a node reads from its user data."""
    if user_data is None or not user_data.startswith("#cloud-config"):
        return user_data
    try:
        return load(user_data, name="user data", imports=False, tolerant=True).data
    except DescriptionError:
        return user_data


def _places(at: str, now: Any, before: Any) -> Iterator[str]:
    if isinstance(now, Mapping) and isinstance(before, Mapping) and now.keys() == before.keys():
        for key in now:
            yield from _places(f"{at}.{key}", now[key], before[key])
    elif isinstance(now, list | tuple) and isinstance(before, list | tuple) and len(now) == len(before):
        for index, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from _places(f"{at}[{index}]", one, other)
    elif now != before:
        yield at
