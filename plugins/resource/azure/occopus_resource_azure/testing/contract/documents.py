"""Microsoft's OpenAPI documents (Swagger 2.0): operations by path, and schemas as JSON Schema (draft-07)."""

from __future__ import annotations

import functools
import json
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

Json = dict[str, Any]

_KEPT = ("pattern", "minLength", "maxLength", "minimum", "maximum", "enum", "minItems", "maxItems", "type")
_METHODS = ("get", "put", "post", "patch", "delete", "head")

EXTRAS: dict[str, tuple[str, ...]] = {
    "ContainerGroup.properties": (
        "isCreatedFromStandbyPool",
        "provisioningTimeoutInSeconds",
        "isCustomProvisioningTimeout",
    ),
    "ContainerProperties": ("configMap",),
    "VirtualNetworkPropertiesFormat": ("privateEndpointVNetPolicies",),
    "VirtualMachineProperties": ("timeCreated",),
}
"""Properties in recorded answers that the older documents lack."""


def recordings() -> Path | None:
    """The folder with ``azure/openapi`` and ``azure/exchanges``: $OCCOPUS_RECORDINGS, if set."""
    named = os.environ.get("OCCOPUS_RECORDINGS")
    folder = Path(named, "azure") if named else None
    return folder if folder and (folder / "openapi").is_dir() else None


@dataclass(frozen=True)
class Operation:
    """One method of one path in a document."""

    method: str
    path: str
    document: str
    body: Json = field(repr=False)
    parameters: tuple[Json, ...] = field(repr=False)

    @property
    def is_long_running(self) -> bool:
        """Whether it may answer before it has finished."""
        return bool(self.body.get("x-ms-long-running-operation"))


class Documents:
    """All documents below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Json] = {}
        self._operations: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        for file in sorted(folder.rglob("*.json")):
            name = file.relative_to(folder).as_posix()
            if "/examples/" in name:
                continue
            for path, methods in self._file(name).get("paths", {}).items():
                if "{scope}" in path or "{resourceId}" in path or "{parentResourcePath}" in path:
                    continue
                self._operations.append((_pattern(path), dict(self._of(name, path, methods))))

    def _file(self, name: str) -> Json:
        if name not in self._files:
            self._files[name] = json.loads((self._folder / name).read_text("utf-8"))
        return self._files[name]

    def _of(self, name: str, path: str, methods: Json) -> Iterator[tuple[str, Operation]]:
        shared = methods.get("parameters", [])
        for method in _METHODS:
            if method in methods:
                given = [*shared, *methods[method].get("parameters", [])]
                parameters = tuple(self._parameter(name, each) for each in given)
                yield method, Operation(method.upper(), path, name, methods[method], parameters)

    def _parameter(self, name: str, given: Json) -> Json:
        if "$ref" not in given:
            return {**given, "_file": name}
        file, found = self.resolve(name, given["$ref"])
        return self._parameter(file, found)

    def resolve(self, name: str, reference: str) -> tuple[str, Json]:
        """The file and the node of a reference in a file."""
        file, _, pointer = reference.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
        node: Any = self._file(target)
        for word in pointer.strip("/").split("/"):
            node = node[word.replace("~1", "/").replace("~0", "~")]
        return target, node

    def operation(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a call, and the values of its path's parameters."""
        for pattern, methods in self._operations:
            found = pattern.fullmatch(path)
            if found and method.lower() in methods:
                operation = methods[method.lower()]
                names = re.findall(r"\{(\w+)\}", operation.path)
                return operation, dict(zip(names, found.groups(), strict=True))
        return None

    @functools.cache  # noqa: B019 - there is one object for the whole run
    def validator(self, file: str, pointer: str, *, request: bool) -> Draft7Validator:
        """The validator of a body for the schema at a place of a file, as a request or as an answer."""
        converter = _Converter(self, request=request)
        schema = converter.convert(file, {"$ref": f"#{pointer}"})
        return Draft7Validator({**schema, "definitions": converter.definitions})


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", path)
    return re.compile("([^/]+)".join(map(re.escape, parts)), re.IGNORECASE)


class _Converter:
    """Converts Swagger schemas to draft-07, closed: properties that a document does not name are errors."""

    def __init__(self, documents: Documents, *, request: bool) -> None:
        self._documents = documents
        self._request = request
        self._names: dict[str, str] = {}
        self.definitions: dict[str, Json] = {}

    def convert(self, file: str, node: Json, name: str = "") -> Json:
        """Convert one node, in any file."""
        if "$ref" in node:
            return self._referred(file, node)
        if "allOf" in node or "properties" in node:
            return self._object(file, node, name)
        made: Json = {key: node[key] for key in _KEPT if key in node}
        if made.get("type") == "file":
            return {}
        if "items" in node:
            made["items"] = self.convert(file, node["items"])
        more = node.get("additionalProperties")
        if isinstance(more, dict):
            made["additionalProperties"] = self.convert(file, more)
        return self._nullable(node, made)

    def _nullable(self, node: Json, made: Json) -> Json:
        return {"anyOf": [{"type": "null"}, made]} if node.get("x-nullable") else made

    def _referred(self, file: str, node: Json) -> Json:
        target, found = self._documents.resolve(file, node["$ref"])
        key = f"{target}#{node['$ref'].partition('#')[2]}"
        if key not in self._names:
            self._names[key] = f"d{len(self._names)}"
            name = node["$ref"].rpartition("/")[2]
            self.definitions[self._names[key]] = self.convert(target, found, name)
        return {"$ref": f"#/definitions/{self._names[key]}"}

    def _object(self, file: str, node: Json, name: str) -> Json:
        properties: Json = {}
        required: set[str] = set()
        is_open = self._gather(file, node, properties, required)
        closed: Json = {"type": "object", "properties": {}}
        for key, (where, each) in properties.items():
            if self._request and each.get("readOnly"):
                continue
            closed["properties"][key] = self.convert(where, each, f"{name}.{key}")
        closed["properties"].update({} if self._request else dict.fromkeys(EXTRAS.get(name, ()), True))
        if required & closed["properties"].keys():
            closed["required"] = sorted(required & closed["properties"].keys())
        more = node.get("additionalProperties")
        if isinstance(more, dict):
            closed["additionalProperties"] = self.convert(file, more)
        elif not is_open:
            closed["additionalProperties"] = False
        return self._nullable(node, closed)

    def _gather(self, file: str, node: Json, properties: Json, required: set[str]) -> bool:
        """Collect the properties of an object and of those that it is composed of; return whether it may have more."""
        is_open = bool(node.get("discriminator") or node.get("additionalProperties"))
        for part in node.get("allOf", []):
            target, found = self._documents.resolve(file, part["$ref"]) if "$ref" in part else (file, part)
            is_open |= self._gather(target, found, properties, required)
        properties.update({key: (file, each) for key, each in node.get("properties", {}).items()})
        required.update(node.get("required", []))
        return is_open
