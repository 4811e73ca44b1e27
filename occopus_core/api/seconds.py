"""Bounds of the numbers of seconds in descriptions and in options; `descriptions.times` has those of life times."""

from __future__ import annotations

MOST_SECONDS = 315_360_000
"""The largest number of seconds: ten years of 365 days. The `maximum` of every such key in a schema."""

MOST_LOGIN_SECONDS = 86_400
"""The longest time for a login or a command over SSH: a day. Sockets cannot wait for as long as `MOST_SECONDS`."""
