"""Translates instances from the terms of the platform to those of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState
from occopus_resource_cloudbroker import label

STATES: Mapping[str, InstanceState] = {
    "starting": InstanceState.PENDING,
    "initializing": InstanceState.PENDING,
    "preparing": InstanceState.PENDING,
    "running": InstanceState.READY,
    "stopping": InstanceState.DELETING,
    "halted": InstanceState.ABSENT,
}
"""States by status. The record of a stopped instance stays with the status ``halted``: its machine is deleted."""

_ADDRESSES = (
    ("external-ip-address", AddressKind.PUBLIC),
    ("external-hostname", AddressKind.PUBLIC),
    ("internal-ip-address", AddressKind.PRIVATE),
    ("internal-hostname", AddressKind.PRIVATE),
)
_GONE = "CloudBroker has stopped it"
_NO_ADDRESS = "it runs, and CloudBroker does not know its address yet"


def instance(fields: Mapping[str, str]) -> Instance:
    """Translate one ``instance`` element. Raises `LookupError` if it has no id yet."""
    id, status = fields["id"], fields.get("status", "").lower()
    if not id:
        raise LookupError("id")
    state, reason = STATES.get(status, InstanceState.UNKNOWN), ""
    addresses = _addresses(fields)
    if state is InstanceState.ABSENT:
        reason = _GONE
    elif state is InstanceState.READY and not addresses:
        state, reason = InstanceState.PENDING, _NO_ADDRESS
    owner, token = label.read(fields.get("name", ""))
    return Instance(InstanceId(id), state, addresses, token, owner, status, reason)


def _addresses(fields: Mapping[str, str]) -> tuple[Address, ...]:
    return tuple(Address(fields[key], kind) for key, kind in _ADDRESSES if fields.get(key))
