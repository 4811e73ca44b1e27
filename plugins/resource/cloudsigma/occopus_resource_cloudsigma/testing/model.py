"""The drives and servers of one account in the simulated CloudSigma; changes take time."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from occopus_resource_cloudsigma.testing.behaviour import Behaviour
from occopus_resource_cloudsigma.testing.billing import billed, measured

Thing = dict[str, Any]

LIBRARY_DRIVE = "6fe24a6b-b5c5-40ba-8860-771044d2500d"
"""The only drive of the library."""

_OWNER = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23"
_GRAIN = 16384
"""Bytes: sizes of drives are rounded up to a multiple of it."""
_LONGEST_KEY = 32
_REQUIRED = ("name", "cpu", "mem", "vnc_password")
_READ_ONLY = ("uuid", "status", "owner", "runtime", "resource_uri", "jobs", "mounted_on", "permissions")
_NOT_RUNNING = ("stopped", "starting", "stopping", "unavailable")
_INNER = {"running": "started", "unavailable": "unavailable"}
"""Names of statuses in error messages."""


class RefusedError(Exception):
    """A refusal with CloudSigma's status and message."""

    def __init__(self, status: int, kind: str, message: str, point: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.errors = [{"error_type": kind, "error_message": message, "error_point": point}]


@dataclass
class Change:
    """A pending change of a resource, and its time."""

    due: float
    take: Callable[[], None]
    thing: Thing


@dataclass
class Model:
    """Drives, servers and the library of one account. Not thread-safe."""

    clock: Callable[[], float]
    behaviour: Behaviour = field(default_factory=Behaviour)
    seed: int = 7

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.drives: dict[str, Thing] = {}
        self.servers: dict[str, Thing] = {}
        self.library: dict[str, Thing] = {}
        self.started = 0
        self.usage: list[Thing] = []
        self.ledger: list[Thing] = []
        self._starting: set[str] = set()
        self.shut_down: set[str] = set()
        """The ids of servers that have shut down by themselves."""
        self._changes: list[Change] = []
        drive = self.new_drive("Debian 12", 10 * 2**30, identity=LIBRARY_DRIVE)
        self.library[LIBRARY_DRIVE] = {**self.drives.pop(LIBRARY_DRIVE), "owner": None, "meta": {"os": "linux"}}
        assert drive["uuid"] in self.library

    # Time

    def let_time_pass(self) -> None:
        """Apply all changes that are due, in order."""
        while due := [change for change in self._changes if change.due <= self.clock()]:
            first = min(due, key=lambda change: change.due)
            self._changes.remove(first)
            first.take()

    def _after(self, seconds: float, thing: Thing, take: Callable[[], None]) -> None:
        if seconds <= 0:
            take()
        else:
            self._changes.append(Change(self.clock() + seconds, take, thing))

    def _forget_changes(self, thing: Thing) -> None:
        self._changes = [change for change in self._changes if change.thing is not thing]

    def _becomes(self, thing: Thing, status: str, seconds: float, then: Callable[[], None] | None = None) -> None:
        def take() -> None:
            thing["status"] = status
            if then is not None:
                then()

        self._after(seconds, thing, take)

    # Billing

    def poll(self, time: datetime) -> None:
        """Measure all usage and bill the account for it; CloudSigma does so every five minutes."""
        samples = measured(time, self.servers.values(), self.drives.values())
        self.usage += samples
        for entry in billed(time, samples, self.behaviour.subscribed):
            self.ledger.insert(0, {**entry, "id": str(len(self.ledger))})

    # Drives

    def new_drive(self, name: str, size: int, *, identity: str = "", **fields: Any) -> Thing:
        """Add an idle drive."""
        identity = identity or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        storage = fields.get("storage_type") or "dssd"
        drive = {
            **{key: [] for key in ("affinities", "grantees", "jobs", "licenses", "mounted_on", "permissions")},
            **{key: [] for key in ("snapshots", "tags")},
            "allow_multimount": False,
            "media": "disk",
            "meta": {},
            "owner": reference("user", _OWNER),
            **{key: value for key, value in fields.items() if key not in _READ_ONLY},
            "name": name,
            "resource_uri": f"/api/2.0/drives/{identity}/",
            "runtime": {"is_snapshotable": True, "snapshots_allocated_size": 0, "storage_type": storage},
            "size": -(-size // _GRAIN) * _GRAIN,
            "status": "unmounted",
            "storage_type": storage,
            "uuid": identity,
        }
        self.drives[identity] = drive
        return drive

    def create_drive(self, given: Thing) -> Thing:
        """A new, empty drive."""
        for key in ("name", "size", "media"):
            if key not in given:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", "This field is required", key)
        fields = {key: value for key, value in given.items() if key not in ("name", "size")}
        drive = self.new_drive(given["name"], given["size"], **fields)
        drive["status"] = "creating"
        self._becomes(drive, "unmounted", self.behaviour.clone_seconds)
        return drive

    def clone_drive(self, source: Thing, given: Thing) -> Thing:
        """Clone a drive, which takes time."""
        check_meta(given.get("meta", {}))
        behaviour = self.behaviour
        size = given["size"] if behaviour.clone_takes_size and "size" in given else source["size"]
        if size < source["size"]:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", "Cannot clone to a smaller drive", "size")
        fields = {key: given.get(key) or source[key] for key in ("media", "storage_type", "affinities", "tags")}
        taken = given.get("meta") if behaviour.clone_takes_meta else None
        name = given.get("name") or source["name"]
        drive = self.new_drive(name, size, meta=dict(source["meta"] if taken is None else taken), **fields)
        job = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        drive |= {"status": "cloning_dst", "jobs": [reference("jobs", job)]}
        self._becomes(drive, "unmounted", behaviour.clone_seconds)
        return drive

    def resize_drive(self, drive: Thing, given: Thing) -> Thing:
        """Make a drive larger; the answer still has its old size."""
        if drive["status"] != "unmounted":
            raise state_error("resize", "drive", drive["status"], "unmounted")
        if given["size"] < drive["size"]:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", "Drives cannot shrink", "size")
        drive["status"] = "resizing"
        size = -(-given["size"] // _GRAIN) * _GRAIN

        def grow() -> None:
            drive["size"] = size

        self._becomes(drive, "unmounted", self.behaviour.resize_seconds, grow)
        return {**drive, "status": "resizing"}

    def edit(self, thing: Thing, given: Thing) -> Thing:
        """Replace the definition; for a running server only `name`, `meta` and `tags` change."""
        check_meta(given.get("meta", {}))
        if thing["status"] in ("unmounted", "stopped"):
            thing |= {key: value for key, value in given.items() if key not in (*_READ_ONLY, "nics", "drives")}
        else:
            thing |= {key: given[key] for key in ("name", "meta", "tags") if key in given}
        thing["tags"] = [reference("tags", _identity(tag)) for tag in thing["tags"]]
        return thing

    def delete_drive(self, drive: Thing) -> None:
        """Delete an unused drive."""
        if drive["mounted_on"]:
            raise RefusedError(HTTPStatus.FORBIDDEN, "permission", "Cannot delete a drive that is mounted")
        if drive["status"] not in ("unmounted", "unavailable"):
            raise state_error("delete", "drive", drive["status"], "unmounted")
        del self.drives[drive["uuid"]]

    # Servers

    def create_server(self, given: Thing) -> Thing:
        """Make a server, which is stopped."""
        for key in _REQUIRED:
            if key not in given:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", "This field is required", key)
        check_meta(given.get("meta", {}))
        attached = [self._attachable(each) for each in given.get("drives", ())]
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        server = {
            "context": True,
            "cpu_model": None,
            "cpu_type": "amd",
            **dict.fromkeys(("cpus_instead_of_cores", "enable_numa", "hv_relaxed", "hv_tsc"), False),
            "hypervisor": "kvm",
            "meta": {},
            "requirements": [],
            "smp": 1,
            "grantees": [],
            **{key: value for key, value in given.items() if key not in _READ_ONLY},
            "drives": [self._attachment(each, drive) for each, drive in attached],
            "jobs": [],
            "nics": [self._interface(nic) for nic in given.get("nics", ())],
            "owner": reference("user", _OWNER),
            "permissions": [],
            "pubkeys": [reference("pubkeys", _identity(key)) for key in given.get("pubkeys", ())],
            "resource_uri": f"/api/2.0/servers/{identity}/",
            "runtime": None,
            "status": "stopped",
            "tags": [reference("tags", _identity(tag)) for tag in given.get("tags", ())],
            "uuid": identity,
        }
        self.servers[identity] = server
        for _, drive in attached:
            drive["mounted_on"].append(reference("servers", identity))
        return server

    def _attachable(self, each: Thing) -> tuple[Thing, Thing]:
        identity = _identity(each["drive"])
        drive = self.drives.get(identity)
        if drive is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "notexist", f"Drive {identity} does not exist", "drives")
        in_use = drive["mounted_on"] and not (drive["allow_multimount"] or self.behaviour.shares_drives)
        if in_use or drive["status"] not in ("unmounted", "mounted"):
            raise RefusedError(HTTPStatus.FORBIDDEN, "permission", f"Drive {identity} cannot be mounted", "drives")
        return each, drive

    @staticmethod
    def _attachment(each: Thing, drive: Thing) -> Thing:
        return {
            "boot_order": each.get("boot_order"),
            "dev_channel": each["dev_channel"],
            "device": each["device"],
            "drive": reference("drives", drive["uuid"]),
            "runtime": None,
        }

    def _interface(self, nic: Thing) -> Thing:
        conf = nic.get("ip_v4_conf")
        if conf and conf.get("conf") == "dhcp" and conf.get("ip"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", "An IP is for static configuration only", "nics")
        mac = ":".join(f"{self._random.getrandbits(8):02x}" for _ in range(5))
        return {
            "boot_order": nic.get("boot_order"),
            **({"firewall_policy": nic["firewall_policy"]} if "firewall_policy" in nic else {}),
            "ip_v4_conf": {"ip": None, **conf} if conf else None,
            "ip_v6_conf": nic.get("ip_v6_conf"),
            "mac": f"22:{mac}",
            "model": nic.get("model", "virtio"),
            "runtime": None,
            "vlan": nic.get("vlan"),
        }

    def start(self, server: Thing) -> None:
        """Start a stopped server. Raises `RefusedError` without credit or capacity."""
        behaviour = self.behaviour
        if server["status"] != "stopped" or server["uuid"] in self._starting:
            raise state_error("start", "guest", server["status"], "stopped")
        if not behaviour.credit:
            message = "Starting the guest needs burst credit for 5 days, and the account has less"
            raise RefusedError(HTTPStatus.PAYMENT_REQUIRED, "billing", message)
        running = sum(1 for one in self.servers.values() if one["status"] != "stopped")
        if behaviour.capacity is not None and running >= behaviour.capacity:
            message = "We currently cannot provide enough resources to start the guest"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "backend", message)
        self.started += 1
        self._starting.add(server["uuid"])
        self._becomes(server, "starting", behaviour.start_lag)
        lag = behaviour.start_lag + behaviour.start_seconds
        self._becomes(server, behaviour.running, lag, lambda: self._runs(server))

    def _runs(self, server: Thing) -> None:
        self._starting.discard(server["uuid"])
        if self.servers.get(server["uuid"]) is not server:
            return
        server["runtime"] = {"active_since": "2015-03-19T13:52:51+00:00", "nics": []}
        for each in server["drives"]:
            self.drives[each["drive"]["uuid"]]["status"] = "mounted"
        self._after(self.behaviour.address_lag, server, lambda: self._give_addresses(server))

    def _give_addresses(self, server: Thing) -> None:
        if server["runtime"] is None:
            return
        for nic in server["nics"]:
            conf = nic["ip_v4_conf"] or {}
            if conf.get("conf") == "dhcp":
                # Loopback addresses answer pings.
                address = f"127.{self._random.randint(64, 254)}.{self._random.randint(0, 254)}.{self.started % 254 + 1}"
            elif conf.get("conf") == "static":
                address = _identity(conf["ip"])
            else:
                continue
            traffic = dict.fromkeys(("bytes_recv", "bytes_sent", "packets_recv", "packets_sent"), 0)
            found = {"interface_type": "public", "io": traffic, "ip_v4": reference("ips", address), "ip_v6": None}
            nic["runtime"] = found
            server["runtime"]["nics"].append({**found, "mac": nic["mac"]})

    def stop(self, server: Thing) -> None:
        """Cut the power."""
        if not (self.behaviour.stops_while_stopping and server["status"] == "stopping"):
            self._refuse_unless_running("stop", server)
        self._forget_changes(server)
        server["status"] = "stopping"
        self._becomes(server, "stopped", self.behaviour.stop_seconds, lambda: self._rests(server))

    def shutdown(self, server: Thing) -> None:
        """Send ACPI signals for a minute; a guest that ignores them keeps running."""
        self._refuse_unless_running("shutdown", server)
        self._forget_changes(server)
        server["status"] = "stopping"

        def heed() -> None:
            self.shut_down.add(server["uuid"])
            self._rests(server)

        if self.behaviour.heeds_shutdown:
            self._becomes(server, "stopped", self.behaviour.shutdown_seconds, heed)
        else:
            self._becomes(server, self.behaviour.running, self.behaviour.give_up_seconds)

    def _refuse_unless_running(self, action: str, server: Thing) -> None:
        if server["status"] in _NOT_RUNNING:
            raise state_error(action, "guest", server["status"], "['started', 'running_legacy']")

    def _rests(self, server: Thing) -> None:
        server["runtime"] = None
        for nic in server["nics"]:
            nic["runtime"] = None
        for each in server["drives"]:
            if each["drive"]["uuid"] in self.drives:
                self.drives[each["drive"]["uuid"]]["status"] = "unmounted"

    def delete_server(self, server: Thing, recurse: str) -> None:
        """Delete a stopped server, with its drives on request."""
        if server["status"] != "stopped":
            raise state_error("delete", "guest", server["status"], "stopped")
        del self.servers[server["uuid"]]
        for each in server["drives"]:
            drive = self.drives.get(each["drive"]["uuid"])
            if drive is None:
                continue
            drive["mounted_on"] = [one for one in drive["mounted_on"] if one["uuid"] != server["uuid"]]
            wanted = {"all_drives": ("disk", "cdrom"), "disks": ("disk",), "cdroms": ("cdrom",)}.get(recurse, ())
            if drive["media"] in wanted and not drive["mounted_on"]:
                del self.drives[drive["uuid"]]


def reference(kind: str, identity: str) -> Thing:
    """The reference to a resource in another one."""
    return {"resource_uri": f"/api/2.0/{kind}/{identity}/", "uuid": identity}


def state_error(action: str, thing: str, status: str, wanted: str) -> RefusedError:
    """The refusal of an action in a wrong status."""
    inner = _INNER.get(status, status)
    message = f'Cannot {action} {thing} in state "{inner}". {thing.capitalize()} should be in state "{wanted}"'
    return RefusedError(HTTPStatus.FORBIDDEN, "permission", message)


def check_meta(given: Thing) -> None:
    """Raises `RefusedError` for a key that is too long and for a value that is not a text."""
    for key, value in given.items():
        if len(key) > _LONGEST_KEY or not isinstance(value, str):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", f"Invalid meta {key}: {value!r}", "meta")


def _identity(value: Any) -> str:
    return str(value["uuid"] if isinstance(value, dict) else value)


def walk(things: dict[str, Thing]) -> Iterator[Thing]:
    """The entries of a list in order of their ids, as CloudSigma returns them."""
    return (things[identity] for identity in sorted(things))
