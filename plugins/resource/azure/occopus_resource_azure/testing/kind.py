"""The behaviour that all resource types share: put, get, list, patch and delete."""

from __future__ import annotations

import copy
import re
from typing import Any, ClassVar

from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.operations import Operation, Style
from occopus_resource_azure.testing.wire import Answer, Json, Path, RefusedError, Request


class Kind:
    """One resource type."""

    type: ClassVar[str]
    """In Azure's spelling."""
    style: ClassVar[Style]
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?")
    """The pattern of valid names."""

    def __init__(self, account: Account, base: str) -> None:
        self.account = account
        self.base = base

    # The server calls these methods, one for each kind of call.

    def get(self, request: Request) -> Answer:
        """GET of one resource. Raises `RefusedError`."""
        resource = self.existing(request)
        return self.shown(request, resource)

    def listed(self, request: Request) -> Answer:
        """GET of a list, of a group or of the subscription, in pages. Raises `RefusedError`."""
        group = request.target.group
        if group:
            self.account.group(group)
        found = [self.render(each, self.listed_expand(request)) for each in self.account.of_type(self.type, group)]
        return paged(request, self.base, found, self.account.limits.page_size)

    def put(self, request: Request) -> Answer:
        """PUT of one resource. Raises `RefusedError`."""
        raise NotImplementedError

    def delete(self, request: Request) -> Answer:
        """DELETE of one resource. Raises `RefusedError`."""
        raise NotImplementedError

    def patch(self, request: Request) -> Answer:
        """PATCH of the tags, which are replaced completely. Raises `RefusedError`."""
        resource = self.existing(request)
        tags = self.account.tags(request.body or {})
        if tags is not None:
            resource.body["tags"] = tags
        return self.shown(request, resource)

    def act(self, request: Request, action: str) -> Answer:
        """POST of an action, or GET of a child. Raises `RefusedError`."""
        raise unsupported(request, action)

    # Building blocks of the above.

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The resource as the API returns it."""
        raise NotImplementedError

    def listed_expand(self, request: Request) -> str:
        """The fields that a list expands."""
        del request
        return ""

    def shown(self, request: Request, resource: Resource) -> Answer:
        """The answer with one resource."""
        return Answer(200, self.render(resource, request.query.get("$expand", "")))

    def existing(self, request: Request) -> Resource:
        """The resource of a call. Raises `RefusedError`."""
        target = request.target
        self.account.group(target.group)
        found = self.account.find(target.id)
        if found is None:
            raise self.missing(target)
        return found

    def missing(self, target: Path) -> RefusedError:
        """The answer to a GET of a resource that does not exist."""
        return self.account.absent(target)

    def began(self, request: Request) -> tuple[Json, Resource | None]:
        """The body of a PUT, and the existing resource. Raises `RefusedError` for bodies invalid for every type."""
        target = request.target
        group = self.account.group(target.group)
        if group.deleting:
            message = f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation."
            raise RefusedError(409, "ResourceGroupBeingDeleted", message)
        if not isinstance(request.body, dict):
            raise RefusedError(400, "InvalidRequestContent", "The request content was invalid and could not be read.")
        name = target.names[-1]
        if not self.pattern.fullmatch(name):
            raise RefusedError(400, "InvalidResourceName", f"Resource name {name} is invalid.")
        return copy.deepcopy(request.body), self.account.find(target.id)

    def region(self, body: Json, existing: Resource | None, name: str) -> str:
        """The region of a PUT; it cannot change. Raises `RefusedError`."""
        region = self.account.location(body, self.type)
        if existing is not None and existing.location != region:
            message = (
                f"The resource '{name}' already exists in location '{existing.location}' in resource group "
                f"'{existing.group}'. A resource with the same name cannot be created in location '{region}'. "
                "Please select a new resource name."
            )
            raise RefusedError(409, "InvalidResourceLocation", message)
        return region

    def kept(self, request: Request, existing: Resource | None, body: Json) -> Resource:
        """Store the body of a PUT in a new or existing resource."""
        if existing is not None:
            existing.body = body
            return existing
        target = request.target
        return self.account.add(Resource(target.id, self.type, target.names[-1], target.group, body))

    def start(
        self, resource: Resource, verb: str, seconds: float, fault: Fault | None = None, **more: Any
    ) -> Operation:
        """Begin an operation on a resource, with the fault of its request."""
        now = self.account.now()
        operation = Operation(self.style, resource.id, self.place(resource), verb, now, now + seconds, **more)
        resource.operation = self.account.operations.start(operation, fault)
        return operation

    def place(self, resource: Resource) -> str:
        """The region in the operation URLs of a resource."""
        return resource.location

    def follow(self, request: Request, operation: Operation, *, location: bool = False) -> dict[str, str]:
        """The headers with the address of an operation."""
        return self.account.operations.headers(self.base, operation, request.version, location=location)

    def absent_for_delete(self, request: Request) -> Answer:
        """204 if there is no such resource. Raises `RefusedError` if there is no such group."""
        self.account.group(request.target.group)
        return Answer(204)


def paged(request: Request, base: str, found: list[Json], size: int) -> Answer:
    """One page of a list, with the address of the next one."""
    start = int(request.query.get("$skiptoken", "0") or 0)
    page: Json = {"value": found[start : start + size]}
    if start + size < len(found):
        query = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "$skiptoken")
        page["nextLink"] = f"{base}{request.path}?{query}&$skiptoken={start + size}"
    return Answer(200, page)


def unsupported(request: Request, what: str = "") -> RefusedError:
    """The answer to calls that the stand-in does not support."""
    message = f"The stand-in has no {request.method} for '{request.path}' {what}".strip()
    return RefusedError(501, "NotInTheStandIn", message)
