"""What is public in credentials."""

from __future__ import annotations

PUBLIC_KEYS = frozenset(
    {"type", "id", "user", "username", "email", "tenant_id", "client_id", "client_name", "subscription_id"},
)
"""Keys of `auth_data` that identify a user. All other values are secrets."""
