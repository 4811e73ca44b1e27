"""A registry with one image, and a web server with its tar, for tests."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Self

from occopus_resource_docker.testing.images import root_file_system

USERNAME, PASSWORD = "somebody", "a-password-for-tests"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CHUNK = 65536


class Registry:
    """``with Registry(address) as registry``: serves `tiny:1`; a `private` one needs a password."""

    def __init__(self, address: str, *, private: bool = False) -> None:
        self.private = private
        layer = root_file_system({"etc/from-the-registry": ""})
        packed = gzip.compress(layer, compresslevel=1, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            }
        ).encode()
        self._manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _described(_CONFIG, config),
                "layers": [_described(_LAYER, packed)],
            }
        ).encode()
        self.layer = _digest(packed)
        self._blobs = {_digest(config): config, self.layer: packed}
        self._lock = threading.Lock()
        self._tars = {"/tiny.tar": root_file_system()}
        self.flowing = threading.Event()
        """While cleared, it withholds the second half of the layer."""
        self.flowing.set()
        self.seconds_per_chunk = 0.0
        """The time for each 64 KiB of the layer."""
        self.asked: Counter[str] = Counter()
        """The number of requests by path, and of complete downloads of the layer (`layers`)."""
        self._server = _Server((address, 0), _Handler)
        self._server.registry = self
        self.address = f"{address}:{self._server.server_address[1]}"
        """The first part of the names of its images."""

    @property
    def url(self) -> str:
        """The URL of a tar of the image, for imports."""
        return f"http://{self.address}/tiny.tar"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.flowing.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(self, path: str, files: Mapping[str, str]) -> None:
        """Serve another tar for imports, with these files."""
        self._tars[path] = root_file_system(files)

    def count(self, what: str) -> None:
        """Count a request."""
        with self._lock:
            self.asked[what] += 1

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Type and content at a path."""
        kind, _, name = path.rpartition("/")
        if path in self._tars:
            return "application/x-tar", self._tars[path]
        if path == "/v2/":
            return "application/json", b"{}"
        if kind.endswith("tiny/manifests") and name in ("1", _digest(self._manifest)):
            return _MANIFEST, self._manifest
        if kind.endswith("tiny/blobs") and name in self._blobs:
            return "application/octet-stream", self._blobs[name]
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.registry.count(self.path)
        if self.server.registry.private and self.headers.get("Authorization") != _basic(USERNAME, PASSWORD):
            self._answer(401, "application/json", _refusal("UNAUTHORIZED", "authentication required"))
        elif (found := self.server.registry.find(self.path)) is not None:
            self._answer(200, *found)
        else:
            self._answer(404, "application/json", _refusal("MANIFEST_UNKNOWN", "manifest unknown"))

    do_HEAD = do_GET  # noqa: N815 - the name is the base class's

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Docker-Content-Digest", _digest(body))
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        self.end_headers()
        if self.command == "GET":
            self._send(body)

    def _send(self, body: bytes) -> None:
        registry = self.server.registry
        is_layer = self.path.endswith(registry.layer)
        for start in range(0, len(body), _CHUNK):
            if is_layer and start >= len(body) // 2:
                registry.flowing.wait()
            if is_layer and registry.seconds_per_chunk:
                time.sleep(registry.seconds_per_chunk)
            self.wfile.write(body[start : start + _CHUNK])
        if is_layer:
            registry.count("layers")

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class _Server(http.server.ThreadingHTTPServer):
    registry: Registry
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Ignore errors: clients hang up on purpose."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _refusal(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
