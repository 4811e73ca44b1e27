"""Finds parts of instances by token or by owner, with as few requests as the filters of each service allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from occopus_core.api import Instance, InstanceId, Owner, ProviderError, last_lines
from occopus_resource_nova import marks
from occopus_resource_nova.cloud import Cloud, Thing
from occopus_resource_nova.view import Parts, instance

NAMED_AT_MOST = 50
"""The most tokens in one URL; for more, all servers of Occopus are requested and filtered here."""

_PAGE = 1000
_NO_CONSOLE = (404, 409, 501)
"""Refusals for a server that is deleted, has not started, or whose hypervisor keeps no output."""


class Inventory:
    """The parts of instances in the account."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """The instances with these ids; those without a server are searched for among volumes and floating IPs."""
        parts = self.servers(ids)
        missing = [id for id in ids if not parts[id].servers]
        if missing:
            parts |= self.helpers(missing)
        return {id: instance(id, parts[id]) for id in ids}

    def consoles(self, ids: Sequence[InstanceId], lines: int) -> dict[InstanceId, str | None]:
        """The last lines of console output of the servers with these ids; None if there is none."""
        servers = self.servers(ids)
        return {id: self._console(servers[id].server, lines) for id in ids}

    def _console(self, server: Thing | None, lines: int) -> str | None:
        if server is None:
            return None
        wanted = {"os-getConsoleOutput": {"length": max(lines, 1)}}
        try:
            answer = self._cloud.send("compute", "POST", f"/servers/{server['id']}/action", wanted)
        except ProviderError as error:
            if getattr(error.__cause__, "http_status", None) in _NO_CONSOLE:
                return None
            raise
        text = answer.get("output") if isinstance(answer, dict) else None
        return last_lines(text, lines) if isinstance(text, str) else None

    def listed(self, owner: Owner) -> Iterator[Instance]:
        """Every instance of this owner. Raises `ProviderError`."""
        return (instance(token, parts) for token, parts in self._owned(owner).items())

    def servers(self, tokens: Sequence[str]) -> dict[str, Parts]:
        """The servers with these tokens: one request for each page. Raises `ProviderError`."""
        wanted = ",".join(map(marks.token_tag, tokens)) if len(tokens) <= NAMED_AT_MOST else marks.OURS
        return self._chosen(tokens, servers=self._servers({"tags-any": wanted}))

    def helpers(self, tokens: Sequence[str]) -> dict[str, Parts]:
        """The volumes and floating IPs with these tokens: two requests, and one for each more page."""
        volumes = self._volumes(marks.token_query(list(tokens)))
        return self._chosen(tokens, volumes=volumes, floating_ips=self.floating_ips())

    def volumes(self, token: str) -> list[Thing]:
        """The volumes with this token. Raises `ProviderError`."""
        return list(self._volumes(marks.token_query([token])))

    def _owned(self, owner: Owner) -> dict[str, Parts]:
        """All parts of this owner's instances, by token. Raises `ProviderError`."""
        servers = self._servers({"tags": ",".join(marks.owner_tags(owner))})
        found = _by_token(servers, self._volumes(marks.owner_query(owner)), self.floating_ips())
        return {token: parts for token, parts in found.items() if _is_owned(parts, owner)}

    def floating_ips(self) -> Iterable[Thing]:
        """The floating IPs of the project. Raises `ProviderError`."""
        return self._cloud.pages("network", "/floatingips", "floatingips", {"project_id": self._cloud.project()})

    def _servers(self, query: Mapping[str, Any]) -> Iterable[Thing]:
        return self._cloud.pages("compute", "/servers/detail", "servers", {**query, "limit": _PAGE})

    def _volumes(self, metadata: Mapping[str, str]) -> Iterable[Thing]:
        if not self._cloud.has("block-storage"):
            return ()
        query = {"metadata": json.dumps(metadata), "limit": _PAGE}
        return self._cloud.pages("block-storage", "/volumes/detail", "volumes", query)

    def _chosen(
        self,
        tokens: Sequence[str],
        servers: Iterable[Thing] = (),
        volumes: Iterable[Thing] = (),
        floating_ips: Iterable[Thing] = (),
    ) -> dict[str, Parts]:
        found = _by_token(servers, volumes, floating_ips)
        return {token: found.get(token, Parts()) for token in tokens}


def _by_token(servers: Iterable[Thing], volumes: Iterable[Thing], floating_ips: Iterable[Thing]) -> dict[str, Parts]:
    found: dict[str, Parts] = {}
    for server in servers:
        found.setdefault(marks.written(server["metadata"])[1], Parts()).servers.append(server)
    for volume in volumes:
        found.setdefault(marks.written(volume["metadata"])[1], Parts()).volumes.append(volume)
    for floating_ip in floating_ips:
        found.setdefault(marks.described(floating_ip["description"])[1], Parts()).floating_ips.append(floating_ip)
    found.pop("", None)
    return found


def _is_owned(parts: Parts, owner: Owner) -> bool:
    whose = [marks.written(thing["metadata"])[0] for thing in (*parts.servers, *parts.volumes)]
    whose += [marks.described(thing["description"])[0] for thing in parts.floating_ips]
    return any(one is not None and owner.matches(one) for one in whose)
