"""The keys of an entry for EC2 in the credentials file."""

from __future__ import annotations

from collections.abc import Mapping

from occopus_core.api import missing_keys


def auth_fault(auth: Mapping[str, str]) -> str:
    """Which key is missing; empty if none is. Without an entry, boto3 looks for credentials itself."""
    return missing_keys(auth, ("accesskey", "secretkey")) if auth else ""
