"""The output of a container. An engine sends it in frames: pieces of its standard output and its standard error."""

from __future__ import annotations

import contextlib
import functools
import math
import struct
import time
from collections.abc import Iterable, Iterator

from docker import APIClient

from occopus_core.api import last_lines
from occopus_resource_docker.engine import raise_refusal

_MOST_OUTPUT = 256 * 1024
"""The number of bytes of a container's output that are kept."""
_DOCKERS_PIECE = 16 * 1024
"""Docker divides longer lines into pieces of this size, and counts each piece as a line."""
_HEADER = struct.Struct(">B3sL")
"""The header of a frame: its stream, three zero bytes, its length."""
_LAST_STREAM = 2
_CHUNK = 64 * 1024
_WHOLE_SECONDS = 5.0
"""The limit on the time in which a whole log is read."""


class _SlowError(Exception):
    """Reading takes too long."""


def is_podman(docker: APIClient) -> bool:
    """Whether the engine is Podman's."""
    return any(each["Name"] == "Podman Engine" for each in docker.version().get("Components") or ())


def read_output(docker: APIClient, key: str, lines: int, since: float | None, *, podman: bool) -> str:
    """The last lines of a container's output.

    Podman is asked for the whole log: for `tail` it returns wrong lines if a line was printed in several pieces. `tail`
    is still better than nothing for a log that takes too long.
    """
    read = functools.partial(_read, docker, key, lines, since)
    if podman:
        with contextlib.suppress(_SlowError):
            return read("all", seconds=_WHOLE_SECONDS)
    return read(max(lines, 0) + _MOST_OUTPUT // _DOCKERS_PIECE)


def _read(
    docker: APIClient, key: str, lines: int, since: float | None, tail: int | str, *, seconds: float = math.inf
) -> str:
    """Raises `_SlowError` if it takes longer than these seconds."""
    query = {"stdout": 1, "stderr": 1, "tail": tail, **({"since": since} if since else {})}
    url = f"{docker.base_url}/v{docker.api_version}/containers/{key}/logs"
    with docker.get(url, params=query, stream=True, timeout=docker.timeout) as answer:
        raise_refusal(answer)
        chunks = _within(seconds, answer.iter_content(_CHUNK))
        return last_lines(joined(frames(chunks)), lines)


def _within(seconds: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks. Raises `_SlowError` at the first that comes after these seconds."""
    end = time.monotonic() + seconds
    for chunk in chunks:
        if time.monotonic() > end:
            raise _SlowError
        yield chunk


def frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each frame of an answer: the number of its stream, and its text. Raises `TypeError`: not an engine's answer."""
    received = bytearray()
    for chunk in chunks:
        received += chunk
        while len(received) >= _HEADER.size:
            stream, zeros, length = _HEADER.unpack_from(received)
            if stream > _LAST_STREAM or any(zeros):
                raise TypeError("no frame starts this way")
            end = _HEADER.size + length
            if len(received) < end:
                break
            yield stream, bytes(received[_HEADER.size : end])
            del received[:end]
    if received:
        raise TypeError("the last frame is not complete")


def joined(frames: Iterable[tuple[int, bytes]]) -> str:
    """The lines of both streams, in the order in which they ended; at most the last `_MOST_OUTPUT` bytes."""
    ended = bytearray()
    begun: dict[int, bytearray] = {}
    for stream, text in frames:
        before, line_feed, rest = text.rpartition(b"\n")
        line = begun.setdefault(stream, bytearray())
        if line_feed:
            ended += line + before + line_feed
            line.clear()
        line += rest
        for kept in (ended, line):
            del kept[:-_MOST_OUTPUT]
    for line in filter(None, begun.values()):
        ended += line + b"\n"
    return ended[-_MOST_OUTPUT:].decode(errors="replace")
