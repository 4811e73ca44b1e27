"""Maps refusals of an engine and broken connections to the errors of the contract."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence

import requests
import urllib3
from docker.errors import APIError

from occopus_core.api import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)


class NameTakenError(TransientError):
    """A container has this name, or is about to get it."""


class StartingError(TransientError):
    """Another call is starting the container."""


class ContainerMissingError(NotFoundError):
    """The container does not exist, or is not complete yet."""


class ImageMissingError(NotFoundError):
    """The engine does not have the image."""


class UnreadableLogError(PermanentError):
    """The engine cannot read the container's log."""


class StoppedError(TransientError):
    """No engine listens at the endpoint."""


class PullError(Exception):
    """An error within the engine's answer while it pulls an image."""


_SERVER_ERROR, _NOT_FOUND = 500, 404
_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthError,
    403: AuthError,
    _NOT_FOUND: NotFoundError,
    408: TransientError,
    429: ThrottledError,
}
_NEEDS_TLS = "tlscacert, and mostly tlscert and tlskey, are needed in auth_data"
_WORDS: Mapping[tuple[type[ProviderError], str], str] = {
    (NameTakenError, ""): r"container name .* is already in use",
    (StartingError, ""): r"must be in Created or Stopped state to be started",
    (ContainerMissingError, ""): r"no such container|no container with name",
    (
        UnreadableLogError,
        "",
    ): r"logging driver does not support reading|log driver \S* ?does not support|unrecognized log driver",
    (ImageMissingError, "resource.image"): r"no such image|image not known",
    (NotFoundError, "resource.origin"): r"failed to get .* with status 4\d\d",
    (PermanentError, "resource.origin"): r"processing tar file|archive/tar|invalid tar header|unrecognized image",
    (QuotaError, "resource.image"): r"toomanyrequests|pull rate limit",
    (
        AuthError,
        "",
    ): r"unauthorized|authentication required|authorization failed|no basic auth credentials|incorrect username or",
    (NotFoundError, "resource.image"): r"manifest unknown|pull access denied|repository .*does not exist|name unknown"
    r"|denied: requested access|did not resolve to an alias|no matching manifest",
    (PermanentError, "resource.image"): r"invalid reference format|repository name must be",
    (TransientError, ""): r"context canceled|no such host|dial tcp|i/o timeout|TLS handshake|unexpected EOF"
    r"|connection reset|removal of container .* is already in progress",
    (NotFoundError, "resource.network"): r"network \S+ not found|unable to find network|no such network",
    (QuotaError, "resource.ports"): r"port is already allocated|address already in use",
    (QuotaError, ""): r"no space left on device|address pools have been fully subnetted|no available (ipv4 )?address"
    r"|could not find (an )?available|find a free IP",
    (QuotaError, "resource.cpus"): r"Range of CPUs",
    (PermanentError, "resource.mem_limit"): r"memory limit",
    (PermanentError, "resource.ports"): r"invalid port specification",
    (PermanentError, "resource.volumes"): r"local volume name|invalid volume|volume specification|bind source path"
    r"|creating mount source path|making volume mountpoint|\blstat\b|\bstatfs\b",
    (PermanentError, "contextualisation.command"): r"executable file not found|exec: |exec format error"
    r"|unable to start container.*(permission denied|no such file)",
    (PermanentError, ""): r"json: cannot unmarshal|OCI runtime|runc create failed|crun: ",
    (PermanentError, _NEEDS_TLS): r"request to an HTTPS server",
}
"""Error classes by words of the message: engines use 400, 404 and 500 for the same error, depending on the version."""
_MEANINGS = tuple((re.compile(words, re.IGNORECASE), kind, key) for (kind, key), words in _WORDS.items())
_LONGEST = 400
_LOGIN = "{source} wants another login"
_AWAY = "the engine cannot reach {source}: check its name, and the network of the engine"
_NO_IMAGE = "{source} has no such image, or shows it only after a login: check its name and tag"
_CAUSES: Mapping[str, str] = {
    r"no such host": "the engine does not find the address of {source}: check its name, and the network of the engine",
    r"connection refused|connection reset|no route to host|i/o timeout|unexpected EOF": _AWAY,
    r"TLS handshake|x509": "the engine does not trust the certificate of {source}",
    r"server gave HTTP response to HTTPS client": "{source} speaks no HTTPS: name it to the engine as insecure",
    r"toomanyrequests|pull rate limit": "{source} limits pulls: log in, or try again later",
    r"unauthorized|authentication required|no basic auth credentials|incorrect username or": _LOGIN,
    r"no matching manifest": "{source} has the image only for processors of another kind",
    r"manifest unknown|name unknown|pull access denied|did not resolve to an alias|denied": _NO_IMAGE,
    r"status [45]\d\d": "{source} does not give it: check the URL",
    r"archive/tar|invalid tar header|unrecognized image": "what {source} gives is no tar of a root file system",
    r"no space left on device": "the engine has no space left for it",
    r"context canceled": "it was broken off",
    r"invalid reference format|repository name must be": "that is not the name of an image",
}
"""Causes by words that an engine reports about an image's source. No other word is repeated: it may come from another
server."""
_FOREIGN = tuple((re.compile(words, re.IGNORECASE), cause) for words, cause in _CAUSES.items())
_URL = re.compile(r"""(https?://)(?:[^\s"'/?#]*@)?([^\s"'?#]*)[^\s"']*""")
_NOT_DOCKER = "not as Docker does: is resource.endpoint that of an engine?"
_UNTRUSTED = "its certificate is not trusted: tlscacert in auth_data has to be that of its authority"
_NO_TLS = "it does not speak TLS as Docker does: auth_data has a tlscacert"
_STRANGER_TO_IT = "it does not accept the certificate: see tlscert and tlskey in auth_data"
_FORBIDDEN = "this user may not open the socket: add it to the socket's group, mostly 'docker' (members can be root)"
_START = "start the engine (systemctl start docker), or name its socket in resource.endpoint"
_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
_GARBLED = (requests.JSONDecodeError, json.JSONDecodeError, LookupError, TypeError, AttributeError)
_TROUBLES: tuple[tuple[tuple[type[BaseException], ...], type[ProviderError], str, bool], ...] = (
    ((PermissionError,), AuthError, _FORBIDDEN, True),
    ((FileNotFoundError,), StoppedError, f"it cannot be reached, there is no such socket: {_START}", True),
    ((ConnectionRefusedError,), StoppedError, f"it cannot be reached, nothing listens: {_START}", True),
    ((socket.gaierror,), TransientError, "it cannot be reached, its name is not known", True),
    ((urllib3.exceptions.NewConnectionError,), TransientError, "it cannot be reached", True),
    (_TIMEOUTS, TransientError, "no answer within {seconds:g} s", False),
    ((ssl.SSLCertVerificationError,), PermanentError, _UNTRUSTED, True),
)
"""Exceptions, error class, message, and whether the request certainly did not arrive."""


def provider_error(error: Exception, where: str, seconds: float, *, greeting: bool = False) -> ProviderError:
    """The error for the exception of a call. `where` names the engine, `seconds` is the time limit of the call.

    The `greeting` is the first request and has no effect: an endpoint with an unexpected answer to it is no engine.
    """
    chain = tuple(_chain(error))
    for each in chain:
        if isinstance(each, ProviderError):
            return each
        if isinstance(each, PullError):
            return _reported(str(each), where, TransientError)
        if isinstance(each, APIError):
            return _refusal(each, where, greeting)
    return _trouble(chain, where, seconds, greeting)


def image_error(error: Exception, what: str, source: str, where: str, seconds: float) -> ProviderError:
    """The error for an image that an engine could not get. The answer of the image's `source` is not repeated."""
    mapped = provider_error(error, where, seconds)
    if not any(isinstance(each, PullError | APIError) for each in _chain(error)):
        return mapped
    found = ((words.search(mapped.message), cause) for words, cause in _FOREIGN)
    cause = next((f"{cause} ({match[0].lower()})" for match, cause in found if match), "{source} gave no image")
    key = next((text for text in ("(resource.image)", "(resource.origin)") if mapped.message.endswith(text)), "")
    mapped.message = " ".join(filter(None, (f"{where}: {what} failed: {cause.format(source=source)}", key)))
    mapped.args = (mapped.message,)
    return mapped


def _refusal(error: APIError, where: str, greeting: bool) -> ProviderError:
    """The error for an answer with the status of an error."""
    response = error.response
    status, said = response.status_code, str(error.explanation or "")
    unknown = TransientError if status >= _SERVER_ERROR else PermanentError
    kind = _BY_STATUS.get(status, unknown)
    if kind is ThrottledError:
        after = response.headers.get("Retry-After", "")
        return ThrottledError(f"{where}: {_line(said)}", retry_after=float(after) if after.isdecimal() else None)
    if kind is AuthError:
        return AuthError(f"{where}: {_line(said)}")
    if _is_garbled(said):  # if from a gateway, it may have forwarded the call
        stranger = greeting and status < _SERVER_ERROR
        otherwise = PermanentError if stranger else TransientError
        return otherwise(f"{where} answered HTTP {status}, {_NOT_DOCKER}", unreached=stranger)
    return _reported(said, where, kind)


def _is_garbled(said: str) -> bool:
    """Whether it is not the message in an engine's JSON, but a web page or incomplete JSON."""
    return said.lstrip()[:1] in ("", "<", "{")


def _reported(said: str, where: str, otherwise: type[ProviderError]) -> ProviderError:
    """The error for an engine's message."""
    for words, kind, key in _MEANINGS:
        if words.search(said):
            return kind(f"{where}: {_line(said)}" + (f" ({key})" if key else ""))
    return otherwise(f"{where}: {_line(said)}")


def _trouble(chain: Sequence[BaseException], where: str, seconds: float, greeting: bool) -> ProviderError:
    """Map errors of the connection."""
    for kinds, kind, words, unreached in _TROUBLES:
        if any(isinstance(each, kinds) for each in chain):
            return kind(f"{where}: {words.format(seconds=seconds)}", unreached=unreached)
    if any(isinstance(each, _GARBLED) for each in chain):  # an engine may have done it all the same
        garbled = PermanentError if greeting else TransientError
        return garbled(f"{where} answered, {_NOT_DOCKER}", unreached=greeting)
    if greeting and (tls := [each for each in chain if isinstance(each, ssl.SSLError)]):
        refused = "alert" in str(tls[0]).lower()
        kind, words = (AuthError, _STRANGER_TO_IT) if refused else (PermanentError, _NO_TLS)
        return kind(f"{where}: {words}", unreached=True)
    if any(isinstance(each, OSError | urllib3.exceptions.HTTPError) for each in chain):
        return TransientError(f"{where}: the connection broke before the answer was complete")
    return PermanentError(f"{where}: {_line(chain[0])}", unreached=greeting)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all its causes: libraries set them as the cause or among the arguments."""
    yield error
    within = [each for each in (error.__cause__, error.__context__, *error.args) if isinstance(each, BaseException)]
    reason = getattr(error, "reason", None)
    for each in [*within, *([reason] if isinstance(reason, BaseException) else [])]:
        yield from _chain(each)


def without_secrets(said: str) -> str:
    """The text with URLs reduced to host and path: users, passwords and signatures are left out."""
    return _URL.sub(r"\1\2", said)


def _line(said: object) -> str:
    text = " ".join(without_secrets(str(said)).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
