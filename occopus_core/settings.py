"""The configuration of one installation: `occopus_config.yaml`, with a default for every setting.

YAML and JSON Schema are imported only if there is a file to read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from occopus_core.locations import FOLDER, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from occopus_core.descriptions.document import Document
    from occopus_core.descriptions.problems import Path, Problem
    from occopus_core.descriptions.schema import PluginSchemas

DEFAULT_STORE = f"sqlite:///{FOLDER}/occopus.db"
CONFIG_VARIABLE = "OCCOPUS_CONFIG_PATH"
STORE_VARIABLE = "OCCOPUS_STORE"
COMPATIBILITY_VARIABLE = "OCCOPUS_COMPATIBILITY"
INSECURE_VARIABLE = "OCCOPUS_REST_INSECURE"
FORMER = "1.x"
"""The value of `compatibility` that restores the behaviour of 1.x."""
_STDERR = "ext://sys.stderr"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class NotifierSettings:
    """One entry of `notify`: a receiver, and the events it receives."""

    name: str
    """Identifies the receiver: its cursor in the log is stored under this name."""
    type: str
    settings: Mapping[str, Any] = field(repr=False)
    """The keys of the plugin. Hidden in `repr`: an address alone may give access."""
    events: frozenset[str] = frozenset()
    """The kinds of events; empty for all."""
    infrastructures: frozenset[str] = frozenset()
    """The ids of infrastructures; empty for all."""
    is_named: bool = True
    """False if `name` was made up, for an entry without one."""

    @property
    def label(self) -> str:
        """The receiver in messages: as the file has it."""
        return self.name if self.is_named else self.type


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an installation. The URL of the store may contain a password and is hidden in `repr`."""

    store: str = field(repr=False)
    """URL of the database."""
    rest_host: str = "127.0.0.1"
    rest_port: int = 5000
    rest_insecure: bool = False
    """True if the REST service requires no token, whatever its address."""
    dry_run: bool = False
    """True if commands only show their plans."""
    logging: Mapping[str, Any] | None = None
    """A mapping for `logging.config.dictConfig`, restricted to logging; None without configuration."""
    notify: tuple[NotifierSettings, ...] = ()
    former: bool = False
    """True if `compatibility` is 1.x: see docs/from-1.x.md."""
    file: str | None = None
    """The file that was read; None without a file."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user, one line each."""

    @classmethod
    def load(
        cls,
        path: str | None = None,
        environ: Mapping[str, str] = os.environ,
        plugins: PluginSchemas | None = None,
        *,
        notifies: bool = True,
    ) -> Settings:
        """Read `path`, else the file in `$OCCOPUS_CONFIG_PATH`, else the first one found; see `locations.find`.

        The variables `$OCCOPUS_STORE`, `$OCCOPUS_COMPATIBILITY` and `$OCCOPUS_REST_INSECURE` take precedence over the
        file. `plugins` are the installed ones by default. Where the caller never `notifies`, no notifier is loaded, and
        their own keys are not checked. Raises `DescriptionError`.
        """
        file = path or environ.get(CONFIG_VARIABLE) or find("occopus_config.yaml", "--cfg")
        found = _read(file, plugins, notifies=notifies) if file else {}
        store = environ.get(STORE_VARIABLE) or found.pop("store", DEFAULT_STORE)
        former = environ.get(COMPATIBILITY_VARIABLE) or found.pop("compatibility", "")
        if former not in {"", FORMER}:
            raise _refused(COMPATIBILITY_VARIABLE, f"'{former}' is not possible: only {FORMER} is")
        if environ.get(INSECURE_VARIABLE):
            found["rest_insecure"] = _truth(INSECURE_VARIABLE, environ[INSECURE_VARIABLE])
        return cls(**{**found, "store": _expanded(store)}, file=file, former=bool(former))

    def apply_logging(self) -> None:
        """Configure Python's logging from the file, if it has a section for it. Raises `DescriptionError`."""
        if self.logging is None:
            return
        import logging.config  # noqa: PLC0415 - only a run that logs pays for it

        try:
            logging.config.dictConfig(dict(self.logging))
        except (ValueError, OSError) as error:
            raise _refused(str(self.file), f"logging cannot be set up: {error.__cause__ or error}", "logging") from None


def _refused(where: str, message: str, path: str = "") -> Exception:
    from occopus_core.descriptions.problems import DescriptionError, Position, Problem  # noqa: PLC0415

    return DescriptionError([Problem(Position(where), path, message)])


def _truth(where: str, word: str) -> bool:
    """The boolean value of an environment variable. Raises `DescriptionError`."""
    if word.lower() not in {*_YES, *_NO}:
        raise _refused(where, f"'{word}' is not possible: write 1 or 0")
    return word.lower() in _YES


def _expanded(store: str) -> str:
    scheme, separator, path = store.partition(":///")
    return f"{scheme}{separator}{os.path.expanduser(path)}" if path.startswith("~") else store  # noqa: PTH111


# Reading a file


def _read(file: str, plugins: PluginSchemas | None, *, notifies: bool) -> dict[str, Any]:
    """The fields of `Settings` from a file."""
    from occopus_core.descriptions.loader import load  # noqa: PLC0415
    from occopus_core.descriptions.problems import DescriptionError, in_order  # noqa: PLC0415
    from occopus_core.descriptions.schema import check, config_schema, validator  # noqa: PLC0415

    document = load(file, tolerant=True)
    problems = [*_logging_faults(document)]
    schemas = _notifier_schemas(document, plugins, notifies=notifies)
    problems += check(document, validator(config_schema(schemas))) or _repeated_notifiers(document)
    if problems:
        raise DescriptionError(in_order(problems, document.name))
    data = document.data
    components = data.get("components", {})
    rest = components.get("rest", {})
    fields = {"rest_host": rest.get("host"), "rest_port": rest.get("port"), "rest_insecure": rest.get("insecure")}
    fields["dry_run"] = data.get("dry_run", components.get("dry_run"))
    fields |= {key: data.get(key) for key in ("store", "compatibility")}
    found: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
    warnings: list[str] = []
    if "logging" in data:
        found["logging"] = _safe_logging(data["logging"], warnings)
    if "notify" in data:
        found["notify"] = tuple(map(_notifier, data["notify"]))
    ignored = list(_ignored(data))
    if ignored:
        warnings.append(f"{file}: these settings are not used and were ignored: {', '.join(ignored)}")
    if warnings:
        found["warnings"] = tuple(warnings)
    return found


def _ignored(data: Mapping[str, Any]) -> Iterator[str]:
    """The keys that have no effect, most of them from Occopus 1.x."""
    components = data.get("components", {})
    for prefix, section, known in (
        ("", data, ("store", "components", "logging", "notify", "compatibility", "dry_run")),
        ("components.", components, ("rest", "dry_run")),
        ("components.rest.", components.get("rest", {}), ("host", "port", "insecure")),
    ):
        yield from (f"{prefix}{key}" for key in section if key not in known)


# Notifiers


def _notifier_schemas(
    document: Document, plugins: PluginSchemas | None, *, notifies: bool
) -> Mapping[str, Mapping[str, Any] | None]:
    """The schemas of the notifiers in use, by type; None for one that is not loaded, or cannot be.

    The delivery warns of one that cannot be loaded.
    """
    schemas: dict[str, Mapping[str, Any] | None] = {}
    for entry in _list(_mapping(document.data).get("notify")):
        name = _mapping(entry).get("type")
        if not isinstance(name, str) or name in schemas:
            continue
        schemas[name] = None
        if not notifies:
            continue
        if plugins is None:
            from occopus_core.registry import Registry  # noqa: PLC0415 - only who notifies pays for it

            plugins = Registry()
        with contextlib.suppress(LookupError):
            schemas[name] = plugins.schema("notify", name)
    return schemas


def _repeated_notifiers(document: Document) -> list[Problem]:
    """A problem for each repeated notifier: their cursors in the log would be the same."""
    problems, known = [], set()
    for index, entry in enumerate(_mapping(document.data).get("notify", ())):
        name = _notifier(entry).name
        if name in known:
            message = "this notifier is there already: put their events together, or give each a 'name' of its own"
            problems.append(document.problem(("notify", index), message))
        known.add(name)
    return problems


def _notifier(entry: Mapping[str, Any]) -> NotifierSettings:
    import hashlib  # noqa: PLC0415 - only who notifies pays for it
    import json  # noqa: PLC0415

    from occopus_core.events import FORMER_NAMES  # noqa: PLC0415

    kinds = {former: kind.value for kind, former in FORMER_NAMES.items()}
    settings = {key: value for key, value in entry.items() if key not in ("type", "name", "events", "infrastructures")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return NotifierSettings(
        name=entry.get("name", f"{entry['type']}-{digest[:12]}"),
        is_named="name" in entry,
        type=entry["type"],
        settings=settings,
        events=frozenset(kinds.get(event, event) for event in entry.get("events", ())),
        infrastructures=frozenset(entry.get("infrastructures", ())),
    )


# Logging


def _safe_logging(section: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """The section for dictConfig. Standard output is for results, so handlers for it write to stderr.

    A handler for a file in a missing folder writes to stderr, too: a line is added to `warnings`.
    """
    handlers = {}
    for name, handler in section.get("handlers", {}).items():
        handlers[name] = dict(handler)
        if "stream" in handler:
            handlers[name]["stream"] = _STDERR
        if "filename" in handler:
            file = handlers[name]["filename"] = os.path.expanduser(handler["filename"])  # noqa: PTH111
            folder = os.path.dirname(file)  # noqa: PTH120
            if folder and not os.path.isdir(folder):  # noqa: PTH112
                warnings.append(f"logging.handlers.{name}: there is no folder {folder}: it logs to standard error")
                kept = {key: handler[key] for key in ("level", "formatter") if key in handler}
                handlers[name] = {"class": "logging.StreamHandler", "stream": _STDERR, **kept}
    return {"disable_existing_loggers": False, **section, "handlers": handlers}


def _logging_faults(document: Document) -> Iterator[Problem]:
    """Mistakes that the schema cannot find: undefined names, and texts that dictConfig would turn into objects."""
    section = document.data.get("logging") if isinstance(document.data, dict) else None
    if not isinstance(section, dict):
        return
    for path, value in _texts(section, ("logging",)):
        if value.startswith(("ext://", "cfg://")) and path[-1] != "stream":
            yield document.problem(path, f"'{value[:6]}' is allowed for the stream of a handler only")
    for name, handler in _mapping(section.get("handlers")).items():
        wanted = _mapping(handler).get("formatter")
        if isinstance(wanted, str) and wanted not in _mapping(section.get("formatters")):
            yield document.problem(("logging", "handlers", name, "formatter"), f"there is no formatter '{wanted}'")
    loggers: dict[Path, Any] = {("loggers", name): logger for name, logger in _mapping(section.get("loggers")).items()}
    loggers[("root",)] = section.get("root")
    for at, logger in loggers.items():
        handlers = _mapping(logger).get("handlers")
        for index, wanted in enumerate(handlers if isinstance(handlers, list) else ()):
            if isinstance(wanted, str) and wanted not in _mapping(section.get("handlers")):
                yield document.problem(("logging", *at, "handlers", index), f"there is no handler '{wanted}'")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from _texts(child, (*path, step))
