"""SSH logins to the instances of an infrastructure, from their descriptions and credentials."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.errors import PermanentError
from occopus_core.api.resource import InstanceId
from occopus_core.api.ssh import SshTarget, target
from occopus_core.credentials import AuthData, Credentials
from occopus_core.descriptions.model import Implementation
from occopus_core.registry import PluginError, Registry
from occopus_core.store.records import SHORTEST_BEGINNING, InstanceRecord
from occopus_core.store.repository import Store

_KEYS = ("user", "port", "jump", "connect_timeout")


class NoSuchInstanceError(LookupError):
    """The name matches no instance, or several; the message lists them."""


class UndescribedLoginError(Exception):
    """The node definition of an instance describes no SSH login, and no key was given; the message says what to do."""

    def __init__(self, record: InstanceRecord, way_in: str = "") -> None:
        """`way_in` is a command for users to enter it, if there is one."""
        known = f", which knows it as '{record.instance_id}'" if record.instance_id else ""
        enter = f"`{way_in}`" if way_in else f"the tools of its provider{known}"
        super().__init__(
            f"{_name(record)}: its node definition describes no SSH login: enter it with {enter}"
            f", or read its output: occopus-logs -i {record.infra_id} {record.node_id}; for SSH, add "
            "`config_management` of a type that logs in, or `ssh` in `health_check`, or give --identity and --user"
        )


@dataclass(frozen=True, slots=True)
class Login:
    """The data for a login to one instance."""

    record: InstanceRecord
    target: SshTarget = field(repr=False)

    @property
    def name(self) -> str:
        """The instance's name in messages: the node, with the beginning of its id."""
        return _name(self.record)


def _name(record: InstanceRecord) -> str:
    return f"{record.node_name}/{record.node_id[:8]}"


def logins(
    store: Store,
    registry: Registry,
    credentials: Credentials,
    infra_id: str,
    wanted: str,
    given: Mapping[str, Any],
    auth: Mapping[str, str],
    *,
    several: bool,
) -> tuple[Sequence[Login], Sequence[UndescribedLoginError]]:
    """The logins of instances with an address: those that `wanted` names (a node, an instance, an address), or all.

    The login is that of the instance's configuration manager, else that of its health check `ssh`. `given` and
    `auth` take precedence. With `several`, the second result has the instances without either, where `auth` is empty.
    Raises `NoSuchInfrastructureError`, `NoSuchInstanceError`, `StoreError`, `DescriptionError`,
    `UndescribedLoginError` for a single one without a login, and `PermanentError` without credentials.
    """
    store.infrastructure(infra_id)
    records = [record for record in store.instances(infra_id) if record.address]
    chosen = [record for record in records if not wanted or is_meant(record, wanted)]
    if not chosen:
        raise NoSuchInstanceError(_refusal(wanted, records))
    if len(chosen) > 1 and not several:
        what = f"'{wanted}' has" if wanted else "there are"
        raise NoSuchInstanceError(f"{what} {len(chosen)} instances: name one of {_names(chosen)}")
    sections = {one.node_id: one.section for one in store.configurations.of(infra_id) if one.forget_since is None}
    ways = store.implementations_of(chosen)
    found, undescribed = [], []
    for record in chosen:
        check = ways[record.implementation].health_check.checks.get("ssh")
        managed = sections.get(record.node_id)
        if managed is None and check in (None, False) and not auth:
            undescribed.append(UndescribedLoginError(record, _way_in(registry, ways[record.implementation], record)))
            continue
        section, known = _login(credentials, managed, check)
        values = {**{key: section[key] for key in _KEYS if key in section}, **given}
        try:
            way = target(values, {**known, **auth}, record.node_id, record.address)
        except PermanentError as error:
            raise PermanentError(f"{_name(record)}: {error}") from error
        found.append(Login(record, way))
    if undescribed and not several:
        raise undescribed[0]
    return found, undescribed


def _way_in(registry: Registry, implementation: Implementation, record: InstanceRecord) -> str:
    """The handler's command for users to enter the instance; empty if it has none, or cannot be queried."""
    if not record.instance_id:
        return ""
    with contextlib.suppress(PluginError):
        settings = json.loads(record.connection or "{}")
        return registry.way_in(implementation.resource["type"], settings, InstanceId(record.instance_id))
    return ""


def _login(
    credentials: Credentials, managed: Mapping[str, Any] | None, check: object
) -> tuple[Mapping[str, Any], AuthData]:
    """The section with the login, and its credentials."""
    candidates: list[tuple[Mapping[str, Any], AuthData]] = []
    if managed is not None:
        candidates.append((managed, credentials.find("config_management", managed)))
    if isinstance(check, Mapping):
        plain = {key: value for key, value in check.items() if "{{" not in str(value)}
        candidates.append((plain, credentials.find("health_check", {**plain, "type": "ssh"})))
    fitting = [each for each in candidates if each[1].keys() & {"private_key", "password"}]
    return next(iter([*fitting, *candidates]), ({}, AuthData()))


def is_meant(record: InstanceRecord, wanted: str) -> bool:
    """True if the user's name is that of its node, its id, the beginning of that, or an address."""
    begins = len(wanted) >= SHORTEST_BEGINNING and record.node_id.startswith(wanted)
    return begins or wanted in (record.node_name, record.node_id, *(each.value for each in record.addresses))


def _refusal(wanted: str, records: Sequence[InstanceRecord]) -> str:
    if not records:
        return "no instance of the infrastructure has an address"
    return f"no node and no instance with an address is called '{wanted}'; there are: {_names(records)}"


def _names(records: Iterable[InstanceRecord]) -> str:
    return ", ".join(f"{record.node_name} {record.node_id} ({record.address})" for record in records)
