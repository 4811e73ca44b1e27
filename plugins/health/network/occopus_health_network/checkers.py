"""The three implementations of `HealthChecker`. Their libraries are imported by the first check."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from occopus_core.api.errors import PermanentError
from occopus_core.api.health import HealthChecker, Probe, Verdict

_SECRET_PARTS = re.compile(r"(?<=//)[^/@]*(?=@)|(?<=\?).+", re.DOTALL)
"""User and password, query and fragment of a URL."""
_OWN_URL = re.compile(r"https?://\{\{ *ip *\}\}(:[0-9]+)?([/?#]|$)")


class Ping(HealthChecker):
    """Healthy if the node answers a ping. All nodes share one socket for each address family."""

    contract_version: ClassVar[int] = 1

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """A boolean."""
        return {
            "description": "Whether the node must answer pings at its first address. "
            "Set it to false where the provider or a firewall drops ICMP.",
            "type": "boolean",
            "default": True,
            "examples": [False],
        }

    def check_host(self, value: Any) -> None:
        """Raises `PermanentError` if this process cannot send pings at all."""
        if value:
            from occopus_health_network import icmp  # noqa: PLC0415

            icmp.refuse_if_not_allowed()

    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """Pings every probe whose value is true; the others are healthy."""
        from occopus_health_network import icmp  # noqa: PLC0415

        return icmp.check(probes)


class Ports(HealthChecker):
    """Healthy if every TCP port in the list accepts a connection. Sends nothing."""

    contract_version: ClassVar[int] = 1

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """A list of port numbers."""
        return {
            "description": "TCP ports that must accept a connection at the node's first address.",
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
            "default": [],
            "examples": [[22], [80, 443]],
        }

    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """Connects to every port of every probe concurrently."""
        from occopus_health_network import tcp  # noqa: PLC0415

        return tcp.check(probes)


class Urls(HealthChecker):
    """Healthy if a GET of every URL in the list ends, after redirects, with a status below 400."""

    contract_version: ClassVar[int] = 1

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """A list of URLs; before rendering they may be any text."""
        return {
            "description": "http and https URLs that must answer with a status below 400. Redirects are followed and "
            "certificates verified. Each is a template, in which {{ip}} is the node's first address.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": [],
            "examples": [["http://{{ip}}:8080/health"]],
        }

    @classmethod
    def powers(cls, value: Any) -> Sequence[str]:
        """URLs of another machine than the node, or that may become so."""
        urls = value if isinstance(value, list | tuple) else [value]
        return [
            f"urls: '{url}' is or may be of another machine than the node: begin it with http://{{{{ip}}}}"
            for url in map(str, urls)
            if not _OWN_URL.match(url)
        ]

    def check_host(self, value: Any) -> None:
        """Raises `PermanentError` for a rendered value that is no http or https URL."""
        for url in value:
            fault = _url_fault(url)
            if fault:
                raise PermanentError(f"urls: '{_SECRET_PARTS.sub('***', url)}' is not an http or https URL: {fault}")

    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """Requests every URL of every probe concurrently. Only headers are read."""
        from occopus_health_network import http  # noqa: PLC0415

        return http.check(probes)


def _url_fault(text: str) -> str:
    """Why a text is no valid URL; empty if it is one."""
    try:
        url = urlsplit(text)
        _ = url.port  # raises for an invalid port
    except ValueError as error:
        return str(error)
    if url.scheme not in ("http", "https"):
        return f"it begins with '{url.scheme}:'" if url.scheme else "it does not begin with http:// or https://"
    if not url.hostname:
        return "it has no host"
    return "its host has a blank" if re.search(r"\s", url.netloc) else ""
