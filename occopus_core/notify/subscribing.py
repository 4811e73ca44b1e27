"""Subscriptions of REST clients to the events of one infrastructure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from occopus_core.credentials import Credentials
from occopus_core.notify.delivery import made_notifier
from occopus_core.registry import Registry
from occopus_core.settings import NotifierSettings


class SubscriptionError(ValueError):
    """The properties of a subscription contain no valid address."""


class UnconfiguredError(Exception):
    """The installation has no notifier for subscribers of this type."""


def address_of(
    notifiers: Sequence[NotifierSettings],
    registry: Registry,
    credentials: Credentials,
    type: str,
    properties: Mapping[str, Any],
) -> str:
    """The address in these properties, for a notifier of the installation that has credentials.

    Raises `PluginError` for a type that is not installed, `SubscriptionError`, `UnconfiguredError`, `DescriptionError`.
    """
    try:
        address = registry.notify(type).address(properties)
    except ValueError as error:
        raise SubscriptionError(f"{type}: {error}") from error
    made = [made_notifier(one, registry, credentials) for one in notifiers if one.type == type]
    if not any(one.tells_subscribers and one.connection.auth for one in made):
        raise UnconfiguredError(
            f"this service has no notifier of the type '{type}' for subscribers with credentials: "
            "its operator can add one, see docs/notifications.md"
        )
    return address
