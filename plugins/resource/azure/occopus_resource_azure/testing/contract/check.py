"""Checks every exchange of a cloud against the documents during the tests of the package."""

from __future__ import annotations

import functools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from occopus_resource_azure.testing.contract.documents import Documents, Operation, recordings
from occopus_resource_azure.testing.wire import Answer, Request

_STATUS = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "status": {"enum": ["InProgress", "Pending", "Succeeded", "Failed", "Canceled"]},
        "startTime": {"type": "string"},
        "endTime": {"type": "string"},
        "properties": {"type": "object"},
        "error": {"$ref": "#/definitions/error"},
    },
    "required": ["status"],
    "additionalProperties": False,
    "definitions": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": ["string", "null"]},
                "details": {"type": ["array", "null"], "items": {"$ref": "#/definitions/error"}},
            },
            "required": ["code", "message"],
        }
    },
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"$ref": "#/definitions/error"}},
    "required": ["error"],
    "definitions": _STATUS["definitions"],
}
_POLL = re.compile(r"/(operations|DiskOperations|operationresults)/[^/]+$", re.IGNORECASE)
UNDOCUMENTED: tuple[tuple[str, str], ...] = (
    (r"/subscriptions/[^/]+", "the subscription itself: its document is not among those that are kept"),
    (r"/subscriptions/[^/]+/providers/Microsoft\.Compute/locations/[^/]+/usages", "usages of compute: likewise"),
    (r"/[^/]+/v2\.0/\.well-known/openid-configuration", "the login host: OpenID Connect Discovery 1.0"),
    (r"/[^/]+/oauth2/v2\.0/token", "the login host: RFC 6749"),
    (r"/common/discovery/instance", "the login host"),
    (r"/metadata/endpoints", "the cloud's metadata, which names its login host: in no document that is kept"),
    (
        r"/subscriptions/[^/]+/providers/Microsoft\.Compute/locations/[^/]+/publishers/.*/versions(/[^/]+)?",
        "images of the marketplace: likewise",
    ),
    (r"/console/.*", "the blob store of boot diagnostics"),
    (r"/metadata/endpoints", "where to log in: no document has it"),
    (
        r"/subscriptions/[^/]+/providers/Microsoft\.Compute/locations/[^/]+/publishers/.*",
        "images of the marketplace: their document is not among those that are kept",
    ),
)
"""Paths without a document that are accepted, each with the reason."""


class Checker:
    """Collects violations of the documents. Thread-safe."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = threading.Lock()
        self.violations: list[str] = []
        self.checked: Counter[str] = Counter()
        """The number of checked exchanges, by operation."""

    def check(self, request: Request, answer: Answer) -> list[str]:
        """The violations of an exchange, one line each; also added to `violations`."""
        with self._lock:
            found = [f"{request.method} {request.path}: {each}" for each in self._check(request, answer)]
            self.violations += [each for each in found if each not in self.violations]
            return found

    def _check(self, request: Request, answer: Answer) -> Iterator[str]:
        if _POLL.search(request.path):
            self.checked[f"{request.method} an operation's status"] += 1
            yield from self._poll(answer)
            return
        found = self._documents.operation(request.method, request.path)
        if found is None:
            if not any(re.fullmatch(pattern, request.path, re.IGNORECASE) for pattern, _ in UNDOCUMENTED):
                yield "no document has this operation"
            return
        operation, parts = found
        self.checked[f"{operation.method} {operation.path}"] += 1
        if answer.status < HTTPStatus.BAD_REQUEST:  # a refused request may be invalid
            yield from self._request(operation, parts, request)
        yield from self._answer(operation, answer)

    @staticmethod
    def _poll(answer: Answer) -> Iterator[str]:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            if not isinstance(answer.body, bytes):
                yield from _errors(Draft7Validator(_ERROR), answer.body, "answer")
        elif isinstance(answer.body, dict) and "status" in answer.body:
            yield from _errors(Draft7Validator(_STATUS), answer.body, "answer")
        elif answer.status == HTTPStatus.ACCEPTED and "Location" not in answer.headers:
            yield "answer: 202 without Location"

    def _request(self, operation: Operation, parts: dict[str, str], request: Request) -> Iterator[str]:
        known = {"$skiptoken"}
        for parameter in operation.parameters:
            place, name = parameter["in"], parameter["name"]
            if place == "query":
                known.add(name.lower())
                value = request.query.get(name.lower())
                yield from _simple(parameter, value, f"request: query {name}")
            elif place == "path":
                yield from _simple(parameter, parts[name], f"request: {name}")
            elif place == "body":
                yield from self._body(parameter, request.body)
        for name in request.query.keys() - known:
            yield f"request: the query has '{name}', which is not documented"

    def _body(self, parameter: dict[str, Any], body: Any) -> Iterator[str]:
        if body is None:
            if parameter.get("required"):
                yield "request: there is no body"
            return
        schema = parameter["schema"]
        validator = self._documents.validator(*self._place(parameter["_file"], schema), request=True)
        yield from _errors(validator, body, "request")

    def _place(self, file: str, schema: dict[str, Any]) -> tuple[str, str]:
        target, _ = self._documents.resolve(file, schema["$ref"])
        return target, schema["$ref"].partition("#")[2]

    def _answer(self, operation: Operation, answer: Answer) -> Iterator[str]:
        responses = operation.body["responses"]
        if answer.status >= HTTPStatus.BAD_REQUEST:
            if answer.body is not None and not isinstance(answer.body, bytes):
                yield from _errors(Draft7Validator(_ERROR), answer.body, "answer")
            return
        documented = responses.get(str(answer.status))
        if documented is None:
            yield f"answer: status {answer.status} is not documented, only {', '.join(responses)}"
            return
        schema = documented.get("schema")
        if schema is not None and answer.body is not None and "$ref" in schema:
            validator = self._documents.validator(*self._place(operation.document, schema), request=False)
            yield from _errors(validator, answer.body, "answer")
        elif answer.body is not None and schema is None:
            yield f"answer: a body with status {answer.status}, for which none is documented"
        leads = {"Location", "Azure-AsyncOperation"} & answer.headers.keys()
        if operation.is_long_running and answer.status == HTTPStatus.ACCEPTED and not leads:
            yield "answer: 202 leads to no operation"


def _simple(parameter: dict[str, Any], value: str | None, what: str) -> Iterator[str]:
    if value is None:
        if parameter.get("required"):
            yield f"{what} is missing"
        return
    rules = {key: parameter[key] for key in ("pattern", "minLength", "maxLength", "enum") if key in parameter}
    yield from _errors(Draft7Validator(rules), value, what)


def _errors(validator: Any, body: Any, what: str) -> Iterator[str]:
    for error in validator.iter_errors(body):
        where = "/".join(map(str, error.absolute_path))
        yield f"{what}: {where or 'the whole'}: {error.message[:300]}"


@functools.cache
def _documents(folder: Path) -> Documents:
    return Documents(folder)


def checker() -> Checker | None:
    """A new checker, or None without the documents."""
    folder = recordings()
    return Checker(_documents(folder / "openapi")) if folder is not None else None
