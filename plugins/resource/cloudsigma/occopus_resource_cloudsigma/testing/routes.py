"""Dispatches requests to the account's drives and servers, and formats answers like CloudSigma."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from occopus_resource_cloudsigma.testing.model import Model, RefusedError, Thing, reference, walk

_API = "/api/2.0"
_DEFAULT_LIMIT = 20
_SHORT = ("name", "owner", "resource_uri", "runtime", "status", "uuid")
_SHORT_DRIVE = ("owner", "resource_uri", "status", "uuid")
_LIBRARY_FIELDS = {
    "arch": "64",
    "category": ["general"],
    "description": "Debian with cloud-init",
    "distribution": "Debian",
    "favourite": False,
    "image_type": "preinst",
    "install_notes": "",
    "os": "linux",
    "paid": False,
    "url": "",
    "version": "12",
}

Query = Mapping[str, str]
Answer = tuple[int, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed request."""

    method: str
    path: str
    query: Query
    body: Any


class Routes:
    """The supported calls."""

    def __init__(self, model: Model) -> None:
        self._model = model
        thing = r"([^/]+)/"
        self._routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("GET", "/servers/", lambda call: self._list(call, model.servers, _SHORT)),
            ("GET", "/servers/detail/", lambda call: self._list(call, model.servers)),
            ("POST", "/servers/", lambda call: self._create(call, model.create_server)),
            ("GET", f"/servers/{thing}", lambda _, id: (200, self._server(id))),
            ("PUT", f"/servers/{thing}", lambda call, id: (200, model.edit(self._server(id), call.body))),
            ("DELETE", f"/servers/{thing}", self._delete_server),
            ("POST", f"/servers/{thing}action/", self._act),
            ("GET", "/drives/", lambda call: self._list(call, model.drives, _SHORT_DRIVE)),
            ("GET", "/drives/detail/", lambda call: self._list(call, model.drives)),
            ("POST", "/drives/", lambda call: self._create(call, model.create_drive)),
            ("GET", f"/drives/{thing}", lambda _, id: (200, self._drive(id))),
            ("PUT", f"/drives/{thing}", lambda call, id: (200, self._edit_drive(call, id))),
            ("DELETE", f"/drives/{thing}", self._delete_drive),
            ("POST", f"/(?:drives|libdrives)/{thing}action/", self._change_drive),
            ("GET", "/usage", lambda call: self._entries(call, model.usage)),
            ("GET", "/ledger/", lambda call: self._entries(call, model.ledger)),
            ("GET", "/libdrives/", lambda call: self._list(call, self._library())),
            ("GET", f"/libdrives/{thing}", lambda _, id: (200, found(self._library(), id, "Drive"))),
        )

    def answer(self, call: Call) -> Answer:
        """Status and content of the answer. Raises `RefusedError`."""
        self._model.let_time_pass()
        path = call.path.removeprefix(_API)
        matching = [(method, match, route) for method, form, route in self._routes if (match := _match(form, path))]
        for method, match, route in matching:
            if method == call.method:
                return route(call, *match.groups())
        if matching:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "system", "Method not allowed")
        raise RefusedError(HTTPStatus.NOT_FOUND, "notexist", "Not found")

    def _list(self, call: Call, things: Mapping[str, Thing], fields: tuple[str, ...] = ()) -> Answer:
        """A page; without ``limit`` it has 20 entries, with ``limit=0`` all."""
        entries = [thing for thing in walk(dict(things)) if _passes(thing, call.query)]
        limit, offset = int(call.query.get("limit", _DEFAULT_LIMIT)), int(call.query.get("offset", 0))
        most = min(limit or len(entries), self._model.behaviour.page_size or len(entries))
        wanted = tuple(call.query["fields"].split(",")) if "fields" in call.query else fields
        page = [_only(thing, wanted) for thing in entries[offset : offset + most]]
        about = {"limit": limit, "offset": offset, "total_count": len(entries)}
        return HTTPStatus.OK, {"meta": about, "objects": page}

    @staticmethod
    def _entries(call: Call, entries: list[Thing]) -> Answer:
        """A page of usage or of the ledger."""
        limit, offset = int(call.query.get("limit", _DEFAULT_LIMIT)), int(call.query.get("offset", 0))
        passing = [one for one in entries if call.query.get("poll_time_gt", "") <= one["poll_time"]]
        about = {"limit": limit, "offset": offset, "total_count": len(passing)}
        return HTTPStatus.OK, {"meta": about, "objects": passing[offset : offset + limit]}

    @staticmethod
    def _create(call: Call, create: Callable[[Thing], Thing]) -> Answer:
        given = call.body.get("objects", [call.body]) if isinstance(call.body, dict) else call.body
        return HTTPStatus.CREATED, {"objects": [create(one) for one in given]}

    def _server(self, id: str) -> Thing:
        return found(self._model.servers, id, "Server")

    def _drive(self, id: str) -> Thing:
        """A drive; those of the library can be read too."""
        return found({**self._model.library, **self._model.drives}, id, "Drive")

    def _edit_drive(self, call: Call, id: str) -> Thing:
        return self._model.edit(found(self._model.drives, id, "Drive"), call.body)

    def _library(self) -> dict[str, Thing]:
        unlisted = ("grantees", "permissions", "runtime", "snapshots")
        return {
            id: {**{key: value for key, value in drive.items() if key not in unlisted}, **_LIBRARY_FIELDS}
            for id, drive in self._model.library.items()
        }

    def _delete_server(self, call: Call, id: str) -> Answer:
        self._model.delete_server(self._server(id), call.query.get("recurse", ""))
        return HTTPStatus.NO_CONTENT, None

    def _delete_drive(self, _call: Call, id: str) -> Answer:
        self._model.delete_drive(found(self._model.drives, id, "Drive"))
        return HTTPStatus.NO_CONTENT, None

    def _act(self, call: Call, id: str) -> Answer:
        model, action = self._model, call.query.get("do", "")
        actions = {"start": model.start, "stop": model.stop, "shutdown": model.shutdown}
        if action not in actions:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", f"Invalid action {action}", "do")
        actions[action](self._server(id))
        # The real service returns an id here that is not the server's.
        return HTTPStatus.ACCEPTED, {"action": action, "result": "success", "uuid": reference("", id[::-1])["uuid"]}

    def _change_drive(self, call: Call, id: str) -> Answer:
        action = call.query.get("do")
        if action == "clone":
            return HTTPStatus.ACCEPTED, {"objects": [self._model.clone_drive(self._drive(id), call.body or {})]}
        if action == "resize":
            drive = found(self._model.drives, id, "Drive")
            return HTTPStatus.ACCEPTED, {"objects": [self._model.resize_drive(drive, call.body)]}
        raise RefusedError(HTTPStatus.BAD_REQUEST, "validation", f"Invalid action {action}", "do")


def found(things: Mapping[str, Thing], id: str, kind: str) -> Thing:
    """The resource with this id. Raises `RefusedError`."""
    if id not in things:
        raise RefusedError(HTTPStatus.NOT_FOUND, "notexist", f"{kind} {id} does not exist")
    return things[id]


def _match(form: str, path: str) -> re.Match[str] | None:
    return re.fullmatch(form, path) if path != "/servers/detail/" or form == path else None


def _passes(thing: Thing, query: Query) -> bool:
    return "name" not in query or thing["name"] in query["name"].split(",")


def _only(thing: Thing, fields: tuple[str, ...]) -> Thing:
    return {key: thing[key] for key in fields if key in thing} if fields else thing
