"""A commented pair of files for a type of resource: a node definition, made from its schema, and a description."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.context import ContextForm
from occopus_core.api.written import as_yaml
from occopus_core.descriptions.schema import is_template, validator
from occopus_core.registry import WORDS, PluginError, Registry

_WIDTH = 100
_CONTEXTS = ("docker", "cloudinit")
_VARIABLE = re.compile(r"\bvariables\.(\w+)")
_ROUNDS = 10
"""The number of times that keys required by other keys are added."""

_NODES = """\
# A node definition: how a node is made on '{type}'.
{about}#
# All infrastructures of a store share its node definitions: names such as SHOP_db keep those of projects apart.
# Every text may be a template, such as "{{{{ variables.greeting }}}}" or "{{{{ getip('NODE') }}}}".
# Credentials, if this type needs any, do not belong here: write them into an entry with `type: {type}` of the
# credentials file, ~/.occopus/auth_data.yaml. Lines without a # are needed; the values are examples.
'node_def:{name}':
  - resource:
      type: {type}
{required}{optional}{context}\
    # What must hold for a node to be ready, beside what its provider says. `ping: true` pings its address;
    # `ports: [8080]` waits for a port.
    health_check:
      ping: false
      # Seconds that each step may take, and that a node may be unhealthy before it is replaced.
      timeout: 600
"""
_INFRASTRUCTURE = """\
# An infrastructure: its nodes, and what they need of each other.
user_id: me
infra_name: {title}
nodes:
  - name: node
    # The node definition in {nodes_file}.
    type: {name}
    # The first build makes `min` instances; occopus-scale changes their number within the limits.
    scaling: {{min: 1, max: 3}}
    # For templates of this node alone; they win over those of the infrastructure.
    # variables: {{greeting: good morning}}
# Which node needs which: [web, database] builds the database first.
# dependencies:
#   - [web, database]
# For the templates of every node.
variables:
  greeting: hello
{used}# Printed at the end of a build, and in every report.
outputs:
  address: "{{{{ getip('node') }}}}"
# When maintenance destroys it by itself.
# expires: 8h
"""
_CONTEXT = {
    "cloudinit": """\
    # What a node gets when it starts; here user data for cloud-init.
    contextualisation:
      type: cloudinit
      context_template:
        runcmd:
          - echo "{{ variables.greeting }} from {{ name }} of {{ infra_name }}"
""",
    "docker": """\
    # What a node gets when it starts: environment variables, and a command{instead}.
    contextualisation:
      type: docker
      env: ["GREETING={{ variables.greeting }}"]
      # command: sh -c 'echo "$GREETING"; exec sleep 3600'
""",
}


@dataclass(frozen=True, slots=True)
class ExampleFiles:
    """The names and the texts of the two files."""

    nodes_file: str
    nodes: str
    infrastructure_file: str
    infrastructure: str


def example_files(registry: Registry, resource_type: str) -> ExampleFiles:
    """The pair for an installed type of resource. Raises `PluginError` where it is not installed."""
    _refuse_other_kinds(registry, resource_type)
    schema = registry.schema("resource", resource_type)
    section = _section(schema, resource_type)
    properties: Mapping[str, Any] = schema.get("properties", {})
    optional = [
        key
        for key, piece in properties.items()
        if key not in section and isinstance(piece, Mapping) and not piece.get("deprecated")
    ]
    name = f"{resource_type}_node"
    nodes_file = f"{resource_type}.nodes.yaml"
    nodes = _NODES.format(
        type=resource_type,
        name=name,
        about=_comment(str(schema.get("description", "")), ""),
        required="".join(_key(key, value, properties.get(key), "      ") for key, value in section.items()),
        optional="".join(_optional(optional, properties)),
        context=_context(registry, resource_type, properties),
    )
    title = f"{resource_type}-example".replace("_", "-")
    used = "".join(f"  {key}: <{key}>\n" for key in dict.fromkeys(_VARIABLE.findall(as_yaml(section))))
    infrastructure = _INFRASTRUCTURE.format(title=title, name=name, nodes_file=nodes_file, used=used)
    return ExampleFiles(nodes_file, nodes, f"{resource_type}.infra.yaml", infrastructure)


def _refuse_other_kinds(registry: Registry, type: str) -> None:
    """Raises `PluginError` for a type that is installed only for plugins of other kinds."""
    kinds = [kind for kind in WORDS if type in registry.installed(kind)]
    if kinds and "resource" not in kinds:
        raise PluginError(
            f"'{type}' is a {WORDS[kinds[0]]}, and examples are made for resource handlers: "
            f"occopus-plugins show {kinds[0]}/{type} prints its keys"
        )


def _context(registry: Registry, resource_type: str, properties: Mapping[str, Any]) -> str:
    instead = " that replaces the command of the image" if "image" in properties else ""
    return _CONTEXT.get(_context_type(registry, resource_type), "").replace("{instead}", instead)


def _context_type(registry: Registry, resource_type: str) -> str:
    """A contextualisation that the handler supports; empty for none. Processes are preferred, being simplest."""
    forms = registry.resource(resource_type).context_forms
    wanted = {"docker": ContextForm.PROCESS, "cloudinit": ContextForm.USER_DATA}
    return next((name for name in _CONTEXTS if wanted[name] in forms), "")


# The section


def _section(schema: Mapping[str, Any], resource_type: str) -> dict[str, Any]:
    """The keys of the first example of the whole section and the required ones, in the schema's order."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    whole: Mapping[str, Any] = next((one for one in schema.get("examples", ()) if isinstance(one, Mapping)), {})
    wanted = dict.fromkeys((*schema.get("required", ()), *whole))
    using = validator({**schema, "properties": {**properties, "type": {}}})
    for _ in range(_ROUNDS):
        ordered = [*(key for key in properties if key in wanted), *(key for key in wanted if key not in properties)]
        section = {key: whole[key] if key in whole else _value(key, properties.get(key)) for key in ordered}
        more = [
            key
            for error in using.iter_errors({"type": resource_type, **section})
            for key in _missing(error, properties)
        ]
        if not set(more) - wanted.keys():
            break
        wanted |= dict.fromkeys(more)
    return section


def _missing(error: Any, properties: Mapping[str, Any]) -> Iterator[str]:
    """The keys that would fix an error: of several alternatives the first one that has examples."""
    if error.path:
        return
    if error.validator == "required":
        yield from (key for key in error.validator_value if key not in error.instance)
    elif error.validator in ("dependencies", "dependentRequired"):
        yield from (
            key
            for cause, keys in error.validator_value.items()
            if cause in error.instance and isinstance(keys, list)
            for key in keys
        )
    elif error.validator in ("anyOf", "oneOf"):
        branches = [branch["required"] for branch in error.validator_value if branch.get("required")]
        known = [keys for keys in branches if all(_has_example(properties.get(key)) for key in keys)]
        yield from next(iter(known or branches), [])


def _has_example(piece: Any) -> bool:
    return isinstance(piece, Mapping) and any(key in piece for key in ("examples", "default", "enum", "const"))


def _value(key: str, piece: Any) -> Any:
    """An example of a value: from the schema, or a placeholder that says what to write."""
    if not isinstance(piece, Mapping):
        return f"<{key}>"
    stated = [
        *_plain_first(piece.get("examples", [])),
        *(piece[word] for word in ("default", "const") if word in piece),
        *piece.get("enum", []),
    ]
    return stated[0] if stated else _made_up(key, piece)


def _made_up(key: str, piece: Mapping[str, Any]) -> Any:
    """A value of one of the types that the schema allows."""
    kind = piece.get("type")
    kinds = {kind} if isinstance(kind, str) else set(kind or ())
    if "object" in kinds:
        return _mapping(piece)
    if "array" in kinds:
        items = piece.get("items")
        return [_value(key, items)] if piece.get("minItems") and isinstance(items, Mapping) else []
    if kinds == {"boolean"}:
        return False
    return piece.get("minimum", 1) if kinds and kinds <= {"integer", "number"} else f"<{key}>"


def _plain_first(examples: Sequence[Any]) -> list[Any]:
    """Examples without templates first: those may use variables that are not defined."""
    return sorted(examples, key=is_template)


def _mapping(piece: Mapping[str, Any]) -> dict[str, Any]:
    """The required keys of a mapping; without required keys, those of its scalars that have an example."""
    properties: Mapping[str, Any] = piece.get("properties", {})
    required = piece.get("required") or [
        key
        for key, one in properties.items()
        if isinstance(one, Mapping)
        and not one.get("deprecated")
        and any(not is_template(each) and not isinstance(each, dict | list) for each in one.get("examples", ()))
    ]
    return {key: _value(key, properties.get(key)) for key in required}


# Text


def _optional(keys: Sequence[str], properties: Mapping[str, Any]) -> Iterator[str]:
    if keys:
        yield "      # Optional:\n"
    for key in keys:
        yield _key(key, _value(key, properties[key]), properties[key], "      ", commented=True)


def _key(key: str, value: Any, piece: Any, indent: str, *, commented: bool = False) -> str:
    """A key with its description as a comment before it."""
    described = str(piece.get("description", "")) if isinstance(piece, Mapping) else ""
    mark = "# " if commented else ""
    lines = as_yaml({key: value}).splitlines()
    return _comment(described, indent) + "".join(f"{indent}{mark}{line}\n" for line in lines)


def _comment(text: str, indent: str) -> str:
    prefix = f"{indent}# "
    wrapped = textwrap.wrap(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in wrapped)
