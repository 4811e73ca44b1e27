"""HTTP: requests a URL and checks the status of the answer."""

from __future__ import annotations

import asyncio
import functools
import http
import os
import ssl
from collections.abc import Sequence

import aiohttp
import certifi
import yarl

from occopus_core.api.health import Probe, Verdict
from occopus_health_network import looks

FIRST_BAD_STATUS = 400
LONGEST_HEADER = 1 << 16
"""The most characters of one header line."""
PHRASES = {int(status): status.phrase for status in http.HTTPStatus}
WORDS: dict[type[Exception], str] = {
    aiohttp.TooManyRedirects: "redirects without end",
    aiohttp.NonHttpUrlClientError: "leads to something that is neither http nor https",
    aiohttp.InvalidURL: "leads to a URL that is not valid",
    aiohttp.ServerDisconnectedError: "what answers does not speak HTTP, or hung up",
    aiohttp.ClientResponseError: "what answers does not speak HTTP, or hung up",
}


def check(probes: Sequence[Probe]) -> Sequence[Verdict]:
    """A verdict for each probe: whether every URL answers with a good status. Only headers are read."""
    return looks.run(_verdicts(probes))


async def _verdicts(probes: Sequence[Probe]) -> Sequence[Verdict]:
    connector = aiohttp.TCPConnector(ssl=_trusted(), limit=0, force_close=True, resolver=aiohttp.ThreadedResolver())
    async with connector:

        def looks_of(probe: Probe) -> Sequence[looks.Look]:
            return [functools.partial(_get, connector, url) for url in probe.value]

        return await looks.verdicts(probes, looks_of, looks.socket_limit())


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    """A session for one probe: cookies of one node are not sent to another."""
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        timeout=aiohttp.ClientTimeout(),  # a probe has one deadline for all its steps
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    )


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The trusted authorities, cached: reading them takes longer than many checks."""
    own = any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return ssl.create_default_context(cafile=None if own else certifi.where())


async def _get(connector: aiohttp.TCPConnector, text: str, seconds: float) -> str:
    url = _parsed(text)
    if not url:
        return "one of the URLs is not an http or https URL"
    try:
        async with asyncio.timeout(seconds), _session(connector) as session, session.get(url) as response:
            return _judge(response)
    except TimeoutError:
        return f"{_shown(url)} did not answer within {seconds:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{_shown(url)}: {_in_words(error)}"


def _parsed(text: str) -> yarl.URL | None:
    try:
        url = yarl.URL(text)
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def _judge(response: aiohttp.ClientResponse) -> str:
    if response.status < FIRST_BAD_STATUS:
        return ""
    return f"{_shown(response.url)} answered {response.status} {PHRASES.get(response.status, '')}".rstrip()


def _shown(url: yarl.URL) -> str:
    """The URL without the parts that may be secret: user, password, query and fragment."""
    return f"{url.origin()}{url.raw_path}"


def _in_words(error: Exception) -> str:
    """The error as a message. The library's text may contain the whole URL, so it is not used."""
    match _deepest(error):
        case ssl.SSLCertVerificationError() as cause:
            return cause.verify_message
        case ssl.SSLError() as cause:
            return f"no TLS ({(cause.reason or 'unknown error').replace('_', ' ').lower()})"
        case ConnectionRefusedError():
            return "the connection was refused"
        case UnicodeError() as cause:  # a name that cannot be encoded
            return looks.in_words(cause)
        case OSError() as cause if not isinstance(cause, aiohttp.ClientError):
            return looks.in_words(cause)
    return next((words for kind, words in WORDS.items() if isinstance(error, kind)), "the connection broke")


def _deepest(error: BaseException) -> BaseException:
    while below := error.__cause__ or error.__context__:
        error = below
    return error
