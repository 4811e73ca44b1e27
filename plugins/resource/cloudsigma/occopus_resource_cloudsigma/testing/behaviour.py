"""Settings of the simulated CloudSigma."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Behaviour:
    """The behaviour of the account; tests may change it at any time. Times are in seconds."""

    clone_seconds: float = 0.0
    resize_seconds: float = 0.0
    start_lag: float = 0.0
    """How long a server is still ``stopped`` after its start was accepted."""
    start_seconds: float = 0.0
    address_lag: float = 0.0
    """How long a running server has no address."""
    stop_seconds: float = 0.0
    shutdown_seconds: float = 5.0
    """How long an ACPI shutdown takes if the guest obeys."""
    heeds_shutdown: bool = True
    """False: a server runs again after a minute of ACPI shutdown."""
    give_up_seconds: float = 60.0
    stops_while_stopping: bool = False
    """Whether a server that is being shut down can be stopped."""
    clone_takes_meta: bool = True
    """Whether a clone gets the `meta` of the call; otherwise it has those of the source."""
    clone_takes_size: bool = True
    page_size: int | None = None
    """The most entries of one answer; None if ``limit=0`` returns all."""
    shares_drives: bool = False
    """Whether a drive can be attached to a second server."""
    credit: bool = True
    """False: a start is refused with 402."""
    capacity: int | None = None
    """The most servers that can run; further starts are refused with 503."""
    subscribed: float = 0.0
    """The share of the usage that a subscription covers."""
    running: str = "running"
    """The state of a running server: ``started`` in older installations."""
