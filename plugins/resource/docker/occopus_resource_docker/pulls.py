"""Images on their way to an engine, each brought once for all instances that wait for it.

An image may take minutes, and an engine pulls it only while a client is connected. A thread does that for an image and
not for an instance; it ends with the process, and the next request pulls the image again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from occopus_core.api import PermanentError, ProviderError
from occopus_resource_docker.order import Image

_MEMORY = 5.0
"""Seconds for which the end of it is remembered: all who waited hear of it, as they ask every two seconds or sooner."""
_STEP = 10
"""Percent. Smaller progress is not reported."""
_COMPLETE = ("Download complete", "Pull complete", "Already exists")


class Pulls:
    """The images on their way to one engine. Thread-safe."""

    def __init__(self, bring: Callable[[Image], Iterator[Mapping[str, Any]]]) -> None:
        self._bring = bring
        self._lock = threading.Lock()
        self._pulls: dict[Image, _Pull] = {}

    def progress(self, image: Image) -> str:
        """How far it is, begun if need be. Raises the `ProviderError` that has ended it."""
        with self._lock:
            pull = self._pulls.get(image)
            if pull is None or pull.is_over(time.monotonic()):
                pull = self._pulls[image] = _Pull(image, self._bring(image), pull.error if pull else None)
                threading.Thread(target=pull.run, name="docker pull", daemon=True).start()
        return pull.progress()


class _Pull:
    """One image on its way. One thread runs it, and others look."""

    def __init__(self, image: Image, lines: Iterator[Mapping[str, Any]], before: ProviderError | None) -> None:
        """`before` is what has ended the attempt before this one."""
        self._what = image.what
        self._lines = lines
        self._again = f"{self._what} again ({before.message})" if before else ""
        self._layers: dict[str, tuple[int, int]] = {}
        self._percent = 0
        self.error: ProviderError | None = None
        self._ended: float | None = None

    def run(self) -> None:
        """Listen until it is there."""
        try:
            for line in self._lines:
                self._hear(line)
        except ProviderError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - the waiting calls report it
            self.error = PermanentError(f"{self._what} failed: {type(error).__name__}")
        self._ended = time.monotonic()

    def is_over(self, now: float) -> bool:
        """True if it ended so long ago that no call waits for it any more."""
        return self._ended is not None and now - self._ended > _MEMORY

    def progress(self) -> str:
        """Raises the `ProviderError` that has ended it."""
        if self.error is not None:
            raise self.error
        return f"{self._what}: {self._percent} %" if self._percent else self._again or self._what

    def _hear(self, line: Mapping[str, Any]) -> None:
        layer, detail = str(line.get("id", "")), line.get("progressDetail") or {}
        if line.get("status") in ("Downloading", "Importing") and detail.get("total"):
            self._layers[layer] = (detail.get("current", 0), detail["total"])
        elif line.get("status") in _COMPLETE and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1], self._layers[layer][1])
        present, total = map(sum, zip(*self._layers.values(), strict=True)) if self._layers else (0, 1)
        # New layers may lower the percentage, which must not be reported.
        self._percent = max(self._percent, 100 * present // total // _STEP * _STEP)
