"""Makes clients of the SDK from a connection of the core: credentials, login host and endpoint."""

from __future__ import annotations

import functools
import importlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
from azure.core.credentials import TokenCredential
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import ContentDecodePolicy, RequestIdPolicy, SansIOHTTPPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from occopus_core.api import AuthError, Connection, PermanentError
from occopus_resource_azure.errors import RefusedError, StrangerError

_CLOUDS: Mapping[str, str] = {
    "https://management.azure.com": "https://login.microsoftonline.com",
    "https://management.usgovcloudapi.net": "https://login.microsoftonline.us",
    "https://management.chinacloudapi.cn": "https://login.chinacloudapi.cn",
}
"""Login hosts of the public and the sovereign clouds, by endpoint. Other endpoints are asked for theirs."""
_METADATA = "/metadata/endpoints?api-version=2015-01-01"
_PARTS = ("tenant_id", "client_id", "client_secret")
_REFUSED = 400
_BODILESS = (202, 204)


@dataclass(frozen=True, slots=True)
class Login:
    """Login host and scope of tokens."""

    authority: str
    scope: str


class Clients:
    """The SDK's clients for one subscription, with shared connections. Each is made at its first use."""

    def __init__(self, whose: TokenCredential, id: str, session: requests.Session, common: Mapping[str, Any]) -> None:
        self._whose, self._id, self._common = whose, id, common
        self.session = session

    @functools.cached_property
    def compute(self) -> Any:
        """Virtual machines, their images and disks."""
        return self._made("compute")

    @functools.cached_property
    def network(self) -> Any:
        """Networks, interfaces, addresses and security groups."""
        return self._made("network")

    @functools.cached_property
    def containers(self) -> Any:
        """Container groups."""
        return self._made("containers")

    @functools.cached_property
    def resources(self) -> Any:
        """Resource groups."""
        return self._made("resources")

    def _made(self, service: str) -> Any:
        return load(service)(self._whose, self._id, **self._common)


_CLASSES: Mapping[str, tuple[str, str]] = {
    "compute": ("azure.mgmt.compute", "ComputeManagementClient"),
    "network": ("azure.mgmt.network", "NetworkManagementClient"),
    "containers": ("azure.mgmt.containerinstance", "ContainerInstanceManagementClient"),
    "resources": ("azure.mgmt.resource.resources", "ResourceManagementClient"),
}


def load(service: str) -> Any:
    """The class of one of the SDK's clients. The first import of its module takes a second or more."""
    module, name = _CLASSES[service]
    return getattr(importlib.import_module(module), name)


def endpoint(connection: Connection) -> str:
    """The URL of Azure Resource Manager without a trailing slash. Raises `PermanentError`."""
    value = str(connection.settings.get("endpoint", "")).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.netloc:
        raise PermanentError(
            f"resource.endpoint must be the https URL of Azure Resource Manager, not {value!r}", unreached=True
        )
    return value


_PART = re.compile(r"(?!.*\.\Z)[\w().-]+")
"""A valid id of a subscription or name of a group within a URL: ``..`` is none."""


def subscription(connection: Connection) -> str:
    """The subscription, from the description, the credentials or the environment.

    Raises `AuthError` without one, and `PermanentError` if it or the name of the group cannot be a part of a URL.
    """
    found = (
        connection.settings.get("subscription_id")
        or connection.auth.get("subscription_id")
        or os.environ.get("AZURE_SUBSCRIPTION_ID")
    )
    if not found:
        raise AuthError(
            "no subscription: give subscription_id in auth_data.yaml, in resource.subscription_id, or as "
            "AZURE_SUBSCRIPTION_ID"
        )
    for key, value in (("subscription_id", found), ("resource_group", connection.settings.get("resource_group"))):
        if value and not _PART.fullmatch(str(value)):
            raise PermanentError(f"resource.{key} cannot be {str(value)!r}", unreached=True)
    return str(found)


def login(connection: Connection, session: requests.Session) -> Login:
    """The login host. An endpoint other than a public cloud's has to name it.

    Raises `StrangerError` and the errors of requests.
    """
    base = endpoint(connection)
    if base in _CLOUDS:
        return Login(_CLOUDS[base], f"{base}/.default")
    answer = session.get(f"{base}{_METADATA}", timeout=connection.call_timeout)
    try:
        found = answer.json()["authentication"]
        authority, audience = str(found["loginEndpoint"]), str(found["audiences"][0])
    except (ValueError, LookupError, TypeError):
        raise StrangerError(answer.status_code) from None
    return Login(authority.rstrip("/"), f"{audience.rstrip('/')}/.default")


def credential(connection: Connection, authority: str) -> TokenCredential:
    """The service principal in `auth_data`, if any, else `DefaultAzureCredential`. Raises `AuthError`."""
    limits: dict[str, Any] = {
        "authority": authority,
        "disable_instance_discovery": True,  # the authority is known, or the endpoint itself has named it
        "connection_timeout": connection.call_timeout,
        "read_timeout": connection.call_timeout,
        "retry_total": 0,
    }
    auth = connection.auth
    given = [part for part in _PARTS if auth.get(part)]
    if not given:
        return DefaultAzureCredential(exclude_interactive_browser_credential=True, **limits)
    missing = [part for part in _PARTS if not auth.get(part)]
    if missing:
        raise AuthError(f"auth_data has no {' and no '.join(missing)}")
    try:
        return ClientSecretCredential(auth["tenant_id"], auth["client_id"], auth["client_secret"], **limits)
    except ValueError:
        raise AuthError("auth_data: tenant_id is not the id of a tenant") from None


def clients(connection: Connection, found: Login, session: requests.Session) -> Clients:
    """The SDK's clients, without retries. Raises `AuthError`."""
    for name in ("azure", "msal"):  # what they log is raised too, and contains ids
        logging.getLogger(name).setLevel(logging.CRITICAL)
    whose = credential(connection, found.authority)
    common: dict[str, Any] = {
        "base_url": endpoint(connection),
        "credential_scopes": [found.scope],
        "transport": RequestsTransport(
            session=session,
            session_owner=False,
            connection_timeout=connection.call_timeout,
            read_timeout=connection.call_timeout,
        ),
        # Without the SDK's default policies, which retry, register providers, and wait for both.
        "policies": [
            RequestIdPolicy(),
            UserAgentPolicy("occopus"),
            ContentDecodePolicy(),
            ARMChallengeAuthenticationPolicy(whose, found.scope),
            Answers(),
        ],
    }
    return Clients(whose, subscription(connection), session, common)


def session(connections: int) -> requests.Session:
    """A session that keeps HTTP connections and does not retry."""
    made = requests.Session()
    made.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=connections, max_retries=0))
    return made


class Answers(SansIOHTTPPolicy[Any, Any]):
    """Accepts only answers of Azure Resource Manager; its refusals become `RefusedError`."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Raises `RefusedError` and `StrangerError`."""
        answer = response.http_response
        body = _body(answer)
        if answer.status_code >= _REFUSED:
            raise _refused(answer, body)
        if body is None and request.http_request.method in ("GET", "PUT") and answer.status_code not in _BODILESS:
            raise StrangerError(answer.status_code)


def _body(answer: Any) -> Any:
    """The JSON of an answer, None if it is empty. Raises `StrangerError` if it is not JSON."""
    # Clients of the older generation have responses of another class.
    content: bytes = answer.read() if hasattr(answer, "read") else answer.body()
    if not content.strip():
        return None
    try:
        return json.loads(content.decode("utf-8-sig"))
    except ValueError:
        raise StrangerError(answer.status_code) from None


def _refused(answer: Any, body: Any) -> Exception:
    error = body.get("error", body) if isinstance(body, dict) else None
    if body is None:
        error = {}
    elif not isinstance(error, dict) or not isinstance(error.get("code", ""), str):
        return StrangerError(answer.status_code)
    return RefusedError(answer.status_code, error or {}, answer.headers)
