"""HTTP: asks for a URL and judges the status of the answer."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Sequence

import httpx

from occopus_core.api.health import Probe, Verdict
from occopus_health_network import looks

FIRST_BAD_STATUS = 400
WORDS: dict[type[Exception], str] = {
    httpx.TooManyRedirects: "redirects without end",
    httpx.UnsupportedProtocol: "leads to something that is neither http nor https",
    httpx.NetworkError: "the connection broke before an answer came",
    httpx.RemoteProtocolError: "what answers does not speak HTTP, or hung up",
}


def check(probes: Sequence[Probe]) -> Sequence[Verdict]:
    """A verdict for each probe: does every URL answer well. Only the head of an answer is read."""
    return looks.run(looks.verdicts(probes, _looks, looks.socket_limit()))


def _looks(probe: Probe) -> Sequence[looks.Look]:
    return [functools.partial(_get, url) for url in probe.value]


def _client() -> httpx.AsyncClient:
    """A client for one look: the work of a shared one grows with the square of the looks, and it shares cookies."""
    return httpx.AsyncClient(
        verify=_trusted(),
        trust_env=False,  # it is the node that is looked at, not a proxy
        follow_redirects=True,
        timeout=None,  # noqa: S113 - a look has one deadline for all its steps
    )


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The authorities whose certificates are believed. Reading them takes longer than many a check."""
    return httpx.create_ssl_context()


async def _get(text: str, seconds: float) -> str:
    url = _parsed(text)
    if not url:
        return "one of the URLs is not an http or https URL"
    try:
        async with asyncio.timeout(seconds), _client() as client, client.stream("GET", url) as response:
            return _judge(response)
    except TimeoutError:
        return f"{_shown(url)} did not answer within {seconds:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ExceptionGroup) as error:
        return f"{_shown(url)}: {_in_words(error)}"


def _parsed(text: str) -> httpx.URL | None:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def _judge(response: httpx.Response) -> str:
    if response.status_code < FIRST_BAD_STATUS:
        return ""
    phrase = httpx.codes.get_reason_phrase(response.status_code)
    return f"{_shown(response.url)} answered {response.status_code} {phrase}".rstrip()


def _shown(url: httpx.URL) -> str:
    """The URL without what may be secret in it: user, password, query and fragment."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii').partition('?')[0]}"


def _in_words(error: Exception) -> str:
    """What went wrong, for people. The text of the library's error may hold the whole URL, so it is not used."""
    match _deepest(error):
        case ssl.SSLCertVerificationError() as cause:
            return cause.verify_message
        case ssl.SSLError() as cause:
            return f"no TLS ({(cause.reason or 'unknown error').replace('_', ' ').lower()})"
        case ConnectionRefusedError():
            return "the connection was refused"
        case OSError() as cause:
            return looks.in_words(cause)
    return next((words for kind, words in WORDS.items() if isinstance(error, kind)), "leads to a URL that is not valid")


def _deepest(error: BaseException) -> BaseException:
    while below := error.exceptions[0] if isinstance(error, ExceptionGroup) else error.__cause__ or error.__context__:
        error = below
    return error
