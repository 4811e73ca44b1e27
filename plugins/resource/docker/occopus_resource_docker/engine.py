"""Calls to an engine through its library: each is made once and has a time limit."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import requests
from docker import APIClient
from docker import auth as registries
from docker.errors import create_api_error_from_http_exception
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from occopus_core.api import AuthError, Connection, PermanentError, within
from occopus_resource_docker.errors import PullError, StoppedError, image_error, provider_error
from occopus_resource_docker.order import Image

T = TypeVar("T")

_SILENCE = 900.0
"""Seconds without output after which a pull fails: Podman reports nothing during imports."""
_RESTART = 10.0
"""Seconds in which an engine that is restarted has its socket again."""


class Engine:
    """The engine of one connection. The first call creates the library's client. Thread-safe."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._endpoint = str(connection.settings.get("endpoint", ""))
        self._where = f"Docker engine {self._endpoint}"
        self._auth = connection.auth
        self._seconds = connection.call_timeout
        self._connections = connections
        self._lock = threading.Lock()
        self._made: APIClient | None = None
        self._stopped_since: float | None = None

    def call(self, act: Callable[[APIClient], T]) -> T:
        """Make one call and return the library's answer. Raises `ProviderError`."""
        stopped_since = None
        try:
            return within(self._seconds, lambda: act(self._client()))
        except Exception as error:  # noqa: BLE001 - what the library may raise is listed nowhere
            mapped = provider_error(error, self._where, self._seconds)
            if isinstance(mapped, StoppedError):
                stopped_since = self._stopped_since or time.monotonic()
            raise mapped from None
        finally:
            self._stopped_since = stopped_since

    @property
    def is_stopped(self) -> bool:
        """Whether no engine listens at a socket of this machine, for longer than a restart takes."""
        since = self._stopped_since
        return self._endpoint.startswith("unix:") and since is not None and time.monotonic() - since >= _RESTART

    def bring(self, image: Image) -> Iterator[Mapping[str, Any]]:
        """Let the engine pull or import an image; yields its output.

        An engine stops when the connection is closed. Raises `ProviderError` while being iterated.
        """
        try:
            client = self._client()
            url = f"{client.base_url}/v{client.api_version}/images/create"
            timeout = (self._seconds, _SILENCE)
            wanted, headers = self._source(client, image)
            with client.post(url, params=wanted, headers=headers, stream=True, timeout=timeout) as answer:
                yield from _lines(answer)
        except Exception as error:  # noqa: BLE001
            mapped = image_error(error, image.what, image.source, self._where, _SILENCE)
            if isinstance(mapped, AuthError):  # the registry's, not the engine's
                how = "username and password belong into auth_data, or use docker login"
                mapped = PermanentError(f"{mapped.message} (resource.image: {how})")
            raise mapped from None

    def _source(self, client: APIClient, image: Image) -> tuple[dict[str, str], dict[str, str]]:
        """The query and the headers of the request for an image."""
        if image.url:
            return {"fromSrc": image.url, "repo": image.reference}, {}  # Podman ignores a separate tag
        repository, _, tag = image.reference.rpartition("@" if "@" in image.reference else ":")
        registry, _ = registries.resolve_repository_name(repository)
        if "username" in self._auth:
            mine = {"username": self._auth["username"], "password": self._auth.get("password", "")}
            header = registries.encode_header({**mine, "serveraddress": registry})
        else:
            header = registries.get_config_header(client, registry)
        return {"fromImage": repository, "tag": tag}, {"X-Registry-Auth": header} if header else {}

    def _client(self) -> APIClient:
        with self._lock:
            if self._made is None:
                self._made = self._greeted()
                weakref.finalize(self, self._made.close)
            return self._made

    def _greeted(self) -> APIClient:
        """The library's client, after a request for the engine's version. Raises `ProviderError`."""
        try:
            return APIClient(
                self._endpoint,
                version="auto",
                timeout=self._seconds,
                tls=_tls(self._auth),
                max_pool_size=self._connections,
            )
        except Exception as error:  # noqa: BLE001
            raise provider_error(error, self._where, self._seconds, greeting=True) from None


def raise_refusal(answer: requests.Response) -> None:
    """Raises the library's `APIError` for an answer with the status of an error."""
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)


def _lines(answer: requests.Response) -> Iterator[Mapping[str, Any]]:
    """Each line of an answer. Raises `PullError` for a line with an error."""
    raise_refusal(answer)
    for line in filter(None, answer.iter_lines()):
        said = json.loads(line)
        if said.get("error"):
            raise PullError(said["error"])
        yield said


class _Tls(TLSConfig):  # type: ignore[misc]  # the library has no types
    """TLS with the certificates in `auth_data`, which are never left on disk."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=True)
        self._context = context

    def configure_client(self, client: APIClient) -> None:
        client.mount("https://", _TlsAdapter(self._context))


class _TlsAdapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def cert_verify(self, *_: Any) -> None:
        """The context has the trusted authorities; requests would add public ones."""


def _tls(auth: Mapping[str, str]) -> _Tls | bool:
    """The TLS context. Raises `AuthError` for invalid certificates."""
    if "tlscacert" not in auth:
        return False
    try:
        context = ssl.create_default_context(cadata=auth["tlscacert"])
        if "tlscert" in auth:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # the library only reads files
                file.write(f"{auth['tlscert']}\n{auth.get('tlskey', '')}")
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise AuthError(f"tlscacert, tlscert and tlskey in auth_data: {error}") from None
    return _Tls(context)
