"""A page for each plugin, generated from its schema and class attributes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from published import ROOT, published

from occopus_core.installed import InstalledPlugin, details, installed_plugins, needs
from occopus_core.registry import WORDS, PluginState

_TITLES = {
    "resource": "Resource handlers",
    "config": "Configuration managers",
    "health": "Health checkers",
    "context": "Contextualisers",
    "notify": "Notifiers",
}
_CORE = "occopus_core"


def navigation() -> Iterator[tuple[str, Iterator[dict[str, str]]]]:
    """The pages of each kind with their titles: generated ones first, then the packages' own pages."""
    readmes = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("plugins/*/*/README.md"))]
    for kind, title in [*_TITLES.items(), ("page", "Pages")]:
        generated, written = f"reference/plugins/{kind}-", f"plugins/{kind}/"
        made = {
            path.removeprefix(generated).removesuffix(".md"): path for path in pages() if path.startswith(generated)
        }
        packages = {f"The package {path.split('/')[2]}": path for path in readmes if path.startswith(written)}
        yield title, ({name: path} for name, path in {**made, **packages}.items())


@cache
def pages() -> dict[str, str]:
    """The Markdown of each page, by its path in the site. Raises `ValueError` if a plugin cannot be used."""
    folders = {(kind, name): one.folder for one in published(ROOT) for kind in one.types for name in one.types[kind]}
    return {
        f"reference/plugins/{one.kind}-{one.type}.md": _page(one, folders.get((one.kind, one.type)))
        for one in installed_plugins()
        if (one.kind, one.type) in folders or (one.plugin is not None and one.plugin.__module__.startswith(_CORE))
    }


def _page(one: InstalledPlugin, folder: str | None) -> str:
    if one.state is not PluginState.USABLE:
        raise ValueError(f"{one.kind}/{one.type}: {one.reason}")
    about = details(one)
    where = f"[{folder}](../../{folder}/README.md)" if folder else "the core"
    facts = {
        "In": f"{where}, distribution `{one.distribution}`",
        "Requires": ", ".join(f"`{need.requirement}`" for need in needs(one.distribution)) if folder else "",
        "Forms of context": ", ".join(f"`{form}`" for form in about.forms),
        "Features": ", ".join(f"`{feature}`" for feature in about.features),
        "Connection keys": ", ".join(f"`{key}`" for key in about.connection_keys),
    }
    parts = [
        f"# {one.type} ({WORDS[one.kind]})\n",
        f"{_text(one.schema.get('description') or inspect.getdoc(one.plugin) or '')}\n",
    ]
    parts += [*(f"- {name}: {text}" for name, text in facts.items() if text), ""]
    keys = list(_keys(one.schema))
    if keys:
        parts += ["## Keys\n", "| key | type | |", "|---|---|---|", *keys, ""]
    powers = [*about.powers, *(f"`{key.name}`: {power}" for key in about.keys for power in key.powers)]
    if powers:
        parts += ["## What needs trust\n", "Definitions that come through the REST service are refused these:\n"]
        parts += [f"- {_text(power)}" for power in powers]
    return "\n".join(parts) + "\n"


def _keys(schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """A line of the table for each key; keys of sections and of lists of sections are indented below."""
    required = schema.get("required", ())
    for name, piece in schema.get("properties", {}).items():
        if not isinstance(piece, Mapping):
            continue
        key = f"{above}{name}"
        yield f"| `{key}` | {_type(piece)} | {_about(piece, required=name in required)} |"
        yield from _keys(piece, f"{key}.")
        items = piece.get("items", {})
        for form in [items, *items.get("anyOf", ())]:
            yield from _keys(form, f"{key}[].")


def _type(piece: Mapping[str, Any]) -> str:
    if "enum" in piece:
        return " or ".join(f"`{_value(value)}`" for value in piece["enum"])
    declared = piece.get("type", "")
    return declared if isinstance(declared, str) else " or ".join(declared)


def _about(piece: Mapping[str, Any], *, required: bool) -> str:
    parts = ["**Required.**"] if required else []
    parts += ["**Deprecated.**"] if piece.get("deprecated") else []
    parts.append(_text(piece.get("description", "")))
    if "default" in piece:
        parts.append(f"Default: `{_value(piece['default'])}`.")
    if piece.get("examples"):
        parts.append(f"Example: `{_value(piece['examples'][0])}`.")
    return " ".join(part for part in parts if part)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value)
    return " ".join(text.split()).replace("|", r"\|").replace("`", "'")


def _text(text: str) -> str:
    return escape(" ".join(str(text).split()), quote=False).replace("|", r"\|").replace("[", r"\[")
