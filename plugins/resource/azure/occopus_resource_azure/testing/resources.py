"""Microsoft.Resources: subscriptions, resource groups, and the list of all resources, which lags."""

from __future__ import annotations

import re
from typing import ClassVar

from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.kind import paged, unsupported
from occopus_resource_azure.testing.operations import Operation, group_id
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request

GROUPS = "Microsoft.Resources/resourceGroups"
_CLAUSE = re.compile(
    r"\s*(tagname|tagvalue|resourcetype|resourcegroup|name|location)\s+eq\s+'((?:[^']|'')*)'\s*", re.IGNORECASE
)
_TOP_LEVEL = 2


class Groups:
    """Resource groups."""

    pattern: ClassVar[re.Pattern[str]] = re.compile(r"[\w().-]{1,90}(?<!\.)")

    def __init__(self, account: Account, base: str) -> None:
        self.account = account
        self.base = base

    def answer(self, request: Request) -> Answer:
        """The answer to a call to one group or to the list of them. Raises `RefusedError`."""
        name = request.target.group
        if not name:
            if request.method != "GET":
                raise unsupported(request)
            found = [self.render(each) for each in self.account.groups.values()]
            return paged(request, self.base, found, self.account.limits.page_size)
        if request.method == "PUT":
            return self._put(request, name)
        group = self.account.group(name)
        if request.method == "GET":
            return Answer(200, self.render(group))
        if request.method == "HEAD":
            return Answer(204)
        if request.method == "PATCH":
            group.body["tags"] = self.account.tags(request.body or {}) or {}
            return Answer(200, self.render(group))
        if request.method == "DELETE":
            return self._delete(request, group)
        raise unsupported(request)

    def _put(self, request: Request, name: str) -> Answer:
        body = request.body or {}
        if not self.pattern.fullmatch(name):
            raise RefusedError(400, "InvalidResourceGroup", f"The provided resource group name '{name}' is invalid.")
        given = body.get("location")
        if not given:
            raise RefusedError(400, "LocationRequired", "The location property is required for this definition.")
        region = str(given).lower().replace(" ", "")
        if region not in self.account.limits.regions:
            message = (
                f"The provided location '{given}' is not available for resource group. "
                f"List of available regions is '{','.join(self.account.limits.regions)}'."
            )
            raise RefusedError(400, "LocationNotAvailableForResourceGroup", message, cause="gateway")
        existing = self.account.groups.get(name.lower())
        if existing is not None and existing.deleting:
            message = f"The resource group '{name}' is in deprovisioning state and cannot perform this operation."
            raise RefusedError(409, "ResourceGroupBeingDeleted", message)
        if existing is not None and existing.location != region:
            message = (
                f"Invalid resource group location '{region}'. The Resource group already exists in location "
                f"'{existing.location}'."
            )
            raise RefusedError(409, "InvalidResourceGroupLocation", message)
        tags = self.account.tags(body)
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        self.keep(name, new)
        return Answer(200 if existing else 201, self.render(self.account.groups[name.lower()]))

    def keep(self, name: str, body: Json) -> Resource:
        """Create or update a group with this body."""
        existing = self.account.groups.get(name.lower())
        if existing is not None:
            existing.body = body
            return existing
        id = f"/subscriptions/{self.account.subscription}/resourceGroups/{name}"
        made = Resource(id, GROUPS, name, name, body, made=self.account.now())
        self.account.groups[name.lower()] = made
        return made

    def _delete(self, request: Request, group: Resource) -> Answer:
        if not group.deleting:
            group.state = "Deleting"
            now = self.account.now()
            due = now + self.account.times["group_delete"]
            operation = Operation("group", group.id, group.location, "DeleteResourceGroup", now, due)
            operation.id = group_id(group.name, group.location)
            operation.finish = lambda: self._gone(group)
            group.operation = self.account.operations.start(operation, request.operation_fault)
        headers = {}
        if group.operation is not None:
            headers = self.account.operations.headers(self.base, group.operation, request.version, location=True)
        return Answer(202, None, {**headers, "Retry-After": "15"})

    def _gone(self, group: Resource) -> None:
        for resource in list(self.account.resources.values()):
            if resource.group.lower() == group.name.lower():
                self.account.operations.preempt(resource.operation)
                self.account.drop(resource.id)
        del self.account.groups[group.name.lower()]

    @staticmethod
    def render(group: Resource) -> Json:
        """The group as the API returns it."""
        named = {"id": group.id, "name": group.name, "type": GROUPS}
        return {**named, **group.body, "properties": {"provisioningState": group.state}}


def all_resources(account: Account, request: Request, base: str) -> Answer:
    """The filtered list of all resources, which shows creations and deletions with a delay."""
    group = request.target.group
    if group:
        account.group(group)
    wanted = _filter(request.query.get("$filter", ""))
    found = [
        _entry(each, tags="tagname" not in wanted)
        for each in account.indexed()
        if each.type.count("/") < _TOP_LEVEL and group.lower() in ("", each.group.lower()) and _meets(each, wanted)
    ]
    size = min(int(request.query.get("$top", 1000)), account.limits.page_size)
    return paged(request, base, found, size)


def _filter(text: str) -> dict[str, str]:
    """The clauses of a filter, by name in lower case. Raises `RefusedError` for fields that cannot be filtered."""
    wanted = {}
    for clause in filter(None, re.split(r"\s+and\s+", text)):
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise RefusedError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query.")
        wanted[found[1].lower()] = found[2].replace("''", "'")
    if "tagname" in wanted and wanted.keys() - {"tagname", "tagvalue"}:
        message = f"Invalid $filter '{text}': a tag cannot be combined with other properties."
        raise RefusedError(400, "InvalidFilterInQueryString", message)
    return wanted


def _meets(resource: Resource, wanted: dict[str, str]) -> bool:
    tags = {name.lower(): value for name, value in (resource.body.get("tags") or {}).items()}
    if "tagname" in wanted:
        name = wanted["tagname"].lower()
        return name in tags and tags[name] == wanted.get("tagvalue", tags[name])
    shown = {"resourcetype": resource.type, "name": resource.name, "location": resource.location}
    shown["resourcegroup"] = resource.group
    return all(shown[name].lower() == value.lower() for name, value in wanted.items())


def _entry(resource: Resource, *, tags: bool) -> Json:
    made: Json = {"id": resource.id, "name": resource.name, "type": resource.type, "location": resource.location}
    if tags and "tags" in resource.body:
        made["tags"] = resource.body["tags"]
    made.update({part: resource.body[part] for part in ("sku", "zones", "identity") if part in resource.body})
    return made
