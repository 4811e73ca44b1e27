"""``python -m occopus_resource_cloudsigma.testing.recordings FOLDER``: compare the stand-in with recorded exchanges.

The folder has ``docs_exchanges.jsonl``, an exchange with the real service on each line: `method`, `path`, `request`,
`status` and `response`. Each one about drives, servers, the library and their cost is repeated on a new stand-in, whose
account first gets the resources of the exchange. The status must be the same, and so must the shape of the answer:
every field has a type that a recorded answer has for it, and no field is missing that all recordings of its kind have.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from occopus_resource_cloudsigma.testing.model import LIBRARY_DRIVE, Thing, reference
from occopus_resource_cloudsigma.testing.server import EMAIL, PASSWORD, CloudSigma

_SPOKEN = re.compile(r"/api/2\.0/(?:(?:servers|drives|libdrives|ledger)/(?!schema/)|usage\?)")
_UNSPOKEN = ("clone", "open_vnc", "close_vnc", "open_console", "close_console")
"""Actions on servers that Occopus does not use."""
_THING = re.compile(r"/(servers|drives|libdrives)/([0-9a-f-]{36})/")
_CUT = "<cut:"
_NOTHING = {"NoneType"}
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the real service's answer."""

    name: str
    method: str
    path: str
    request: Any
    status: int
    response: Any

    @property
    def kind(self) -> str:
        """The kind of its answer: entries of a collection, in short or in detail, or the result of an action."""
        parts = urlsplit(self.path)
        collection = parts.path.split("/")[3]
        if "/action/" in self.path and "objects" not in (self.response or {}):
            return "action"
        listed = self.method == "GET" and parts.path.count("/") == _DEPTH_OF_A_LIST
        return f"{collection} {parts.query if 'fields' in parts.query else 'short' if listed else 'detail'}"


_DEPTH_OF_A_LIST = 4


def exchanges(folder: Path) -> list[Exchange]:
    """The recorded exchanges that the stand-in supports."""
    found = []
    for line in (folder / "docs_exchanges.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        path = record["path"] or ""
        action = path.partition("?do=")[2]
        ours = _SPOKEN.match(path) and not ("/servers/" in path and action in _UNSPOKEN)
        if ours and isinstance(record["request"], dict | list | None) and not isinstance(record["response"], str):
            status = int(record["status"].split()[1])
            fields = (record["name"], record["method"], path, record["request"])
            found.append(Exchange(*fields, status, record["response"]))
    return found


def shapes(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of an answer with its type; the keys of `meta` are the user's."""
    yield path, type(value).__name__
    if isinstance(value, dict) and not path.endswith("objects[].meta") and path != "meta":
        for key, inner in value.items():
            yield from shapes(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            if not (isinstance(inner, str) and inner.startswith(_CUT)):
                yield from shapes(inner, f"{path}[]")


def things(answer: Any) -> list[Thing]:
    """The entries of an answer with a list, or its only entry."""
    found = answer.get("objects", [answer]) if isinstance(answer, dict) else []
    return [thing for thing in found if isinstance(thing, dict)]


class Shapes:
    """The common fields of the recorded answers of each kind."""

    def __init__(self, recorded: Iterable[Exchange]) -> None:
        self._types: dict[tuple[str, str], set[str]] = {}
        self._always: dict[str, set[str]] = {}
        for exchange in recorded:
            for thing in things(exchange.response):
                for field, type_name in shapes(thing):
                    self._types.setdefault((exchange.kind, field), set()).add(type_name)
                keys = self._always.setdefault(exchange.kind, set(thing))
                keys &= set(thing)

    def faults(self, kind: str, answer: Any) -> Iterator[str]:
        """The differences between an answer and all recorded ones."""
        for thing in things(answer):
            for key in sorted(self._always.get(kind, set()) - set(thing)):
                yield f"{key} is missing"
            for field, type_name in shapes(thing):
                recorded = self._types.get((kind, field))
                if recorded is None and not field.startswith("meta"):
                    yield f"{field} is in no recorded answer"
                elif recorded is not None and recorded != _NOTHING and type_name not in recorded | _NOTHING:
                    yield f"{field} is {type_name}, recorded is {' or '.join(sorted(recorded))}"


def prepare(cloud: CloudSigma, exchange: Exchange) -> None:
    """Add the resources of the exchange to the account, in the state that the recorded answer shows."""
    if exchange.kind.startswith(("usage", "ledger")):
        cloud.model.new_drive("x", 1)
        cloud.model.poll(datetime.now(UTC))
    spoken = _THING.search(exchange.path)
    for attached in _attached(exchange.request):
        _put_drive(cloud, attached, {"media": "disk"})
    if spoken is None:
        return
    collection, identity = spoken.groups()
    answers = things(exchange.response)
    recorded = answers[0] if answers else {}
    if collection != "servers":
        size = 1 if "do=clone" in exchange.path else recorded.get("size", 1)  # a clone may be larger
        _put_drive(cloud, identity, {**recorded, "size": size})
        if recorded.get("owner", "") is None:
            cloud.model.library[identity] = {**cloud.model.library[LIBRARY_DRIVE], **cloud.model.drives.pop(identity)}
            cloud.model.library[identity] |= {"owner": None}
        return
    _put_server(cloud, identity, exchange, recorded)


def _put_server(cloud: CloudSigma, identity: str, exchange: Exchange, recorded: Thing) -> None:
    """Add a server, running if the exchange stops it or shows its running time."""
    for drive in _attached(recorded):
        _put_drive(cloud, drive, {})
    given: Thing = {"name": "x", "cpu": 1, "mem": 1, "vnc_password": "x"}
    known: Thing = {key: recorded[key] for key in ("nics", "drives", "name") if key in recorded}
    server = cloud.model.create_server({**given, **known})
    del cloud.model.servers[server["uuid"]]
    server |= {"uuid": identity, "resource_uri": reference("servers", identity)["resource_uri"]}
    cloud.model.servers[identity] = server
    if recorded.get("runtime") or re.search(r"do=(stop|shutdown)$", exchange.path):
        cloud.model.start(server)


def _put_drive(cloud: CloudSigma, identity: str, fields: Mapping[str, Any]) -> None:
    kept = {key: value for key, value in fields.items() if key in ("media", "meta", "storage_type", "tags")}
    cloud.model.new_drive(str(fields.get("name", "x")), int(fields.get("size", 1)), identity=identity, **kept)


def _attached(body: Any) -> Iterator[str]:
    for thing in things(body):
        for each in thing.get("drives") or ():
            drive = each["drive"]
            yield drive["uuid"] if isinstance(drive, dict) else drive


def compare(exchange: Exchange, known: Shapes) -> list[str]:
    """Send the recorded request to the stand-in; return the differences of the answer."""
    with CloudSigma() as cloud:
        prepare(cloud, exchange)
        answer = requests.request(
            exchange.method,
            f"{cloud.url}{exchange.path}",
            json=exchange.request,
            auth=(EMAIL, PASSWORD),
            timeout=_SECONDS,
        )
    if answer.status_code != exchange.status:
        return [f"HTTP {answer.status_code}, recorded is {exchange.status}: {answer.text}"]
    content: Any = answer.json() if answer.content else None
    if (content is None) != (exchange.response is None):
        return ["a body in one of the answers only"]
    faults = [] if content is None else list(dict.fromkeys(known.faults(exchange.kind, content)))
    if exchange.kind == "action":
        same = all(content[key] == exchange.response[key] for key in ("action", "result"))
        faults += [] if same else [f"{content}, recorded is {exchange.response}"]
    return faults


def main() -> int:
    """Print the differing exchanges; exit code 1 if there are any."""
    parser = argparse.ArgumentParser(description="Compare the CloudSigma of the tests with recorded exchanges.")
    parser.add_argument("folder", type=Path, help="where docs_exchanges.jsonl is")
    found = exchanges(parser.parse_args().folder)
    known, different = Shapes(found), 0
    for exchange in found:
        faults = compare(exchange, known)
        different += bool(faults)
        for fault in faults:
            print(f"{exchange.name}: {exchange.method} {exchange.path}: {fault}")  # noqa: T201
    print(f"{len(found)} recorded exchanges, {len(found) - different} answered in the same way")  # noqa: T201
    return 1 if different or not found else 0


if __name__ == "__main__":
    sys.exit(main())
