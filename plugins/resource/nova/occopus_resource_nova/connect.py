"""Makes a keystoneauth session from a connection of the core: identity and endpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import keystoneauth1.session
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin

from occopus_core.api import AuthError, Connection, PermanentError

DEFAULT_DOMAIN = "Default"
APPLICATION_CREDENTIAL = ("application_credential", "v3applicationcredential")
"""The types of `auth_data` for an application credential: that of Occopus, and that of clouds.yaml."""
_OLDER_KEYS = {"id": "application_credential_id", "secret": "application_credential_secret"}
"""Alternative names for the parts of an application credential."""
_FOREIGN = {
    "voms": "OpenStack no longer supports VOMS proxies; use an application_credential",
    **dict.fromkeys(
        ("openid", "oidc", "v3oidcpassword", "v3oidcaccesstoken"),
        "OpenID providers are not supported; use an application_credential",
    ),
}
"""Types of `auth_data` that are not supported, and why."""
_VERSIONS = ("v3", "v2.0")


def identity_url(endpoint: str) -> str:
    """The URL of the Identity API v3, from one with or without a version. Raises `PermanentError`."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise PermanentError(f"resource.endpoint must be the URL of the Identity API, not {endpoint!r}")
    base = endpoint.rstrip("/")
    for version in _VERSIONS:
        base = base.removesuffix(f"/{version}")
    return f"{base}/v3"


@dataclass(frozen=True)
class Account:
    """The identity of the caller, and the interface of the services' endpoints. Does no I/O."""

    session: keystoneauth1.session.Session
    region: str | None = None
    interface: str = "public"


def account(connection: Connection) -> Account:
    """The account of a connection. Raises `AuthError` and `PermanentError`."""
    url = identity_url(str(connection.settings.get("endpoint", "")))
    if not connection.auth:
        return _from_clouds_yaml(connection, url)
    plugin = _plugin(connection.settings, connection.auth, url)
    return Account(_session(plugin, connection), _region(connection.settings))


def _region(settings: Mapping[str, Any]) -> str | None:
    return str(settings.get("region_name") or "") or None


def _session(plugin: BaseAuthPlugin, connection: Connection, **tls: Any) -> keystoneauth1.session.Session:
    return keystoneauth1.session.Session(auth=plugin, timeout=connection.call_timeout, **tls)


def _plugin(settings: Mapping[str, Any], auth: Mapping[str, str], url: str) -> BaseAuthPlugin:
    fault = auth_fault(auth)
    if fault:
        raise AuthError(fault)
    kind = _kind(auth)
    if kind in APPLICATION_CREDENTIAL:
        return v3.ApplicationCredential(
            url,
            application_credential_id=_required(auth, "id"),
            application_credential_secret=_required(auth, "secret"),
        )
    if kind == "password":
        return _password(settings, auth, url)
    raise AuthError(f"auth_data of type {kind!r}: a nova resource takes 'application_credential', or none of them")


def _kind(auth: Mapping[str, str]) -> str:
    """The type of the credentials; without one, derived from their keys."""
    older = any(name in auth for name in _OLDER_KEYS.values())
    return auth.get("type", APPLICATION_CREDENTIAL[0] if older else "password")


def auth_fault(auth: Mapping[str, str]) -> str:
    """Why credentials of this kind cannot work; empty if they may."""
    kind = _kind(auth)
    if "proxy" in auth and kind != "voms" and "password" not in auth:
        kind = "voms"
    return f"auth_data of type {kind}: {_FOREIGN[kind]}" if kind in _FOREIGN else ""


def _password(settings: Mapping[str, Any], auth: Mapping[str, str], url: str) -> BaseAuthPlugin:
    project, tenant = settings.get("project_id"), settings.get("tenant_name")
    names = ("user_domain_name", "domain_name")
    domain = next((found[key] for found in (settings, auth) for key in names if found.get(key)), None)
    if not (project or tenant):
        raise PermanentError("resource.project_id is needed with a username and a password")
    return v3.Password(
        url,
        username=_required(auth, "username"),
        password=_required(auth, "password"),
        user_domain_name=str(domain or DEFAULT_DOMAIN),
        project_id=str(project) if project else None,
        project_name=None if project else str(tenant),
        project_domain_name=None if project else str(domain or DEFAULT_DOMAIN),
    )


def _required(auth: Mapping[str, str], key: str) -> str:
    found = auth.get(key) or auth.get(_OLDER_KEYS.get(key, key))
    if not found:
        raise AuthError(f"the auth_data of a nova resource have no '{key}'")
    return found


def _from_clouds_yaml(connection: Connection, url: str) -> Account:
    """The only cloud in clouds.yaml with this URL; `$OS_CLOUD` decides between several."""
    # Imported late: it takes longer to import than everything else.
    from openstack.config import OpenStackConfig  # noqa: PLC0415
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    try:
        config: Any = OpenStackConfig()
        wanted = os.environ.get("OS_CLOUD")
        found = [name for name in _clouds_at(config, url) if wanted in (None, "", name)]
        if len(found) != 1:
            raise AuthError(_unclear(url, wanted, found))
        cloud: Any = config.get_one(cloud=found[0], **_overrides(config, found[0], connection.settings))
        verify, certificate = cloud.get_requests_verify_args()
        session = _session(cloud.get_auth(), connection, verify=verify, cert=certificate)
    except (ConfigException, exceptions.ClientException) as error:
        raise AuthError(f"clouds.yaml: {str(error).splitlines()[0]}") from None
    region = _region(connection.settings) or cloud.region_name or None
    return Account(session, region, cloud.get_interface() or Account.interface)


def _clouds_at(config: Any, url: str) -> Iterator[str]:
    for name, cloud in (config.cloud_config.get("clouds") or {}).items():
        at = (cloud.get("auth") or {}).get("auth_url")
        if at and identity_url(str(at)) == url:
            yield name


def _unclear(url: str, wanted: str | None, found: list[str]) -> str:
    if found:
        return (
            f"no auth_data, and several clouds of clouds.yaml are at {url}: set OS_CLOUD to one of {', '.join(found)}"
        )
    named = f"the cloud '{wanted}' of clouds.yaml (OS_CLOUD) is not" if wanted else "no cloud of clouds.yaml is"
    return f"there are no auth_data for {url}, and {named} at this URL"


def _overrides(config: Any, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The project in the description takes precedence; an application credential has a fixed project."""
    kind = config.cloud_config["clouds"][name].get("auth_type", "")
    if "applicationcredential" in kind or not settings.get("project_id"):
        return {}
    return {"auth": {"project_id": str(settings["project_id"])}}
