"""What is public in credentials, and what they lack."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from occopus_core.api.spelling import did_you_mean

PUBLIC_KEYS = frozenset(
    {"type", "id", "user", "username", "email", "tenant_id", "client_id", "client_name", "subscription_id"},
)
"""Keys of `auth_data` that identify a user. All other values are secrets."""


def missing_keys(auth: Mapping[str, str], needed: Collection[str]) -> str:
    """Says which of the needed keys credentials lack, and which of theirs is probably misspelt; empty if none is."""
    missing = [key for key in needed if not auth.get(key)]
    if not missing:
        return ""
    hints = (did_you_mean(key, missing) for key in auth if key not in needed)
    return f"auth_data has no {' and no '.join(missing)}{next(filter(None, hints), '')}"
