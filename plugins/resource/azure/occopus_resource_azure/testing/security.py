"""Microsoft.Network: network security groups and their rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from occopus_resource_azure.testing.account import Resource
from occopus_resource_azure.testing.network import NetworkKind
from occopus_resource_azure.testing.operations import Operation
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request

_ROUTE = 65000
_PRIORITIES = range(100, 4097)
_ALL_VMS = "traffic from all VMs"
_DEFAULT_RULES: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("AllowVnetInBound", "Inbound", "Allow", "VirtualNetwork", "VirtualNetwork", f"inbound {_ALL_VMS} in VNET"),
    ("AllowAzureLoadBalancerInBound", "Inbound", "Allow", "AzureLoadBalancer", "*", "inbound traffic from balancers"),
    ("DenyAllInBound", "Inbound", "Deny", "*", "*", "all inbound traffic"),
    ("AllowVnetOutBound", "Outbound", "Allow", "VirtualNetwork", "VirtualNetwork", f"outbound {_ALL_VMS} to VNET"),
    ("AllowInternetOutBound", "Outbound", "Allow", "*", "Internet", f"outbound {_ALL_VMS} to Internet"),
    ("DenyAllOutBound", "Outbound", "Deny", "*", "*", "all outbound traffic"),
)
_RANGES = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")


class SecurityGroups(NetworkKind):
    """Microsoft.Network/networkSecurityGroups."""

    type: ClassVar[str] = "Microsoft.Network/networkSecurityGroups"
    noun: ClassVar[str] = "NetworkSecurityGroup"
    delete_retry: ClassVar[str] = "1"

    def put(self, request: Request) -> Answer:
        """PUT: replaces the rules with those of the body."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = body.get("properties") or {}
        rules = given.get("securityRules") or []
        _check_rules(rules)
        tags = self.account.tags(body)
        old = {"resourceGuid": existing.properties["resourceGuid"]} if existing else {}
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        new["properties"] = {**given, **old, "securityRules": rules}
        before = self.look(existing)
        return self.begun(request, self.kept(request, existing, new), before)

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The group with its own and the default rules."""
        made = super().render(resource, expand)
        rules = made["properties"]["securityRules"]
        made["properties"]["securityRules"] = [self.rule(resource, each) for each in rules]
        made["properties"]["defaultSecurityRules"] = list(self._defaults(resource))
        return made

    def rule(self, resource: Resource, given: Json, part: str = "securityRules") -> Json:
        """One rule as the API returns it."""
        properties = {
            "provisioningState": given.get("state", resource.state),
            **{name: [] for name in _RANGES},
            **given["properties"],
        }
        return {
            "name": given["name"],
            "id": f"{resource.id}/{part}/{given['name']}",
            "etag": resource.hidden["etag"],
            "type": f"{self.type}/{part}",
            "properties": properties,
        }

    def _defaults(self, resource: Resource) -> Iterator[Json]:
        for number, (name, direction, access, source, destination, what) in enumerate(_DEFAULT_RULES):
            properties: Json = {
                "description": f"{access} {what}",
                "protocol": "*",
                "sourcePortRange": "*",
                "destinationPortRange": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "access": access,
                "priority": 65500 if access == "Deny" else _ROUTE + number % 3,
                "direction": direction,
            }
            yield self.rule(resource, {"name": name, "properties": properties}, "defaultSecurityRules")

    def live(self, resource: Resource) -> Json:
        """The NICs and subnets that use it."""
        made: Json = {}
        for part, type in (("networkInterfaces", "networkInterfaces"), ("subnets", "virtualNetworks/subnets")):
            using = [{"id": each.id} for each in self._using(resource, f"Microsoft.Network/{type}")]
            if using:
                made[part] = using
        return made

    def _using(self, resource: Resource, type: str) -> list[Resource]:
        def named(each: Resource) -> Any:
            return (each.properties.get("networkSecurityGroup") or {}).get("id", "").lower()

        return [each for each in self.account.of_type(type) if named(each) == resource.key]

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` while NICs use the group."""
        using = [
            *self._using(resource, "Microsoft.Network/networkInterfaces"),
            *self._using(resource, "Microsoft.Network/virtualNetworks/subnets"),
        ]
        if using:
            names = ", ".join(each.id for each in using)
            message = (
                f"Network security group {resource.id} cannot be deleted because it is in use by the following "
                f"resources: {names}. In order to delete the Network security group, remove the association with the "
                "resource(s). To learn how to do this, see aka.ms/deletensg."
            )
            raise RefusedError(400, "InUseNetworkSecurityGroupCannotBeDeleted", message, details=[])


def _check_rules(rules: list[Json]) -> None:
    """Raises `RefusedError` for incomplete rules, or rules with the same priority and direction."""
    seen: set[tuple[str, int]] = set()
    for rule in rules:
        properties = rule.get("properties") or {}
        for name in ("protocol", "access", "priority", "direction"):
            if name not in properties:
                message = f"Security rule must specify {name}. Rule {rule.get('name')}."
                raise RefusedError(400, "SecurityRuleInvalid", message, details=[])
        priority = properties["priority"]
        if priority not in _PRIORITIES:
            message = f"Security rule {rule.get('name')} has invalid Priority. It should be between 100 and 4096."
            raise RefusedError(400, "SecurityRuleInvalidPriority", message, details=[])
        if (properties["direction"].lower(), priority) in seen:
            message = f"Security rule {rule.get('name')} conflicts with one of the same Priority and Direction."
            raise RefusedError(400, "SecurityRuleConflict", message, details=[])
        seen.add((properties["direction"].lower(), priority))


class SecurityRules(NetworkKind):
    """Microsoft.Network/networkSecurityGroups/securityRules: the rules of a group, one by one."""

    type: ClassVar[str] = "Microsoft.Network/networkSecurityGroups/securityRules"
    noun: ClassVar[str] = "SecurityRule"
    pattern: ClassVar[re.Pattern[str]] = SecurityGroups.pattern

    def put(self, request: Request) -> Answer:
        """PUT of one rule, which is stored in its group."""
        self.account.group(request.target.group)
        group, rule = self._found(request)
        name = request.target.names[-1]
        given = (request.body or {}).get("properties") or {}
        new = {"name": name, "properties": {key: given[key] for key in given if key != "provisioningState"}}
        others = [each for each in group.properties["securityRules"] if each is not rule]
        _check_rules([*others, new])
        new["state"] = "Updating"
        group.properties["securityRules"] = [*others, new]
        self.touch(group)
        operation = self._start(request, group, f"Put{self.noun}Operation", lambda: self._rest(group, new))
        headers = {**self.follow(request, operation), "Retry-After": self.put_retry}
        return Answer(200 if rule else 201, SecurityGroups(self.account, self.base).rule(group, new), headers)

    def _start(self, request: Request, group: Resource, verb: str, finish: Callable[[], None]) -> Operation:
        return self.start(group, verb, self.account.times["network"], request.operation_fault, finish=finish)

    def _rest(self, group: Resource, rule: Json) -> None:
        rule["state"] = "Succeeded"
        self.touch(group)

    def _found(self, request: Request) -> tuple[Resource, Json | None]:
        parent = request.target.parent
        group = self.account.find(parent.id)
        if group is None:
            raise self.account.absent(parent)
        name = request.target.names[-1].lower()
        rules = [each for each in group.properties["securityRules"] if each["name"].lower() == name]
        return group, rules[0] if rules else None

    def get(self, request: Request) -> Answer:
        """GET of one rule."""
        self.account.group(request.target.group)
        group, rule = self._found(request)
        if rule is None:
            message = f"Resource {request.target.id} not found."
            raise RefusedError(404, "NotFound", message, details=[])
        shown = SecurityGroups(self.account, self.base).rule(group, rule)
        return Answer(200, shown, {"ETag": shown["etag"]})

    def delete(self, request: Request) -> Answer:
        """DELETE of one rule."""
        self.account.group(request.target.group)
        group, rule = self._found(request)
        if rule is None:
            return Answer(204)
        group.properties["securityRules"].remove(rule)
        operation = self._start(request, group, f"Delete{self.noun}Operation", lambda: self.touch(group))
        headers = {**self.follow(request, operation, location=True), "Retry-After": self.delete_retry}
        return Answer(202, None, headers)
