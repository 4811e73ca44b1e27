"""Image pulls: each image is pulled once for all instances that wait for it.

A pull may take minutes, and an engine continues it only while a client is connected. One thread does that for each
image; it ends with the process, and the next request starts the pull again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from occopus_core.api import PermanentError, ProviderError
from occopus_resource_docker.order import Image

_MEMORY = 5.0
"""Seconds for which the result is kept: waiting calls are repeated at least every two seconds, and all get it."""
_STEP = 10
"""The smallest reported progress, in percent."""
_COMPLETE = ("Download complete", "Pull complete", "Already exists")


class Pulls:
    """The pulls on one engine. Thread-safe."""

    def __init__(self, bring: Callable[[Image], Iterator[Mapping[str, Any]]]) -> None:
        self._bring = bring
        self._lock = threading.Lock()
        self._pulls: dict[Image, _Pull] = {}

    def progress(self, image: Image) -> str:
        """The progress of a pull, which is started if necessary. Raises the `ProviderError` that has ended it."""
        with self._lock:
            pull = self._pulls.get(image)
            if pull is None or pull.is_over(time.monotonic()):
                pull = self._pulls[image] = _Pull(image, self._bring(image), pull.error if pull else None)
                threading.Thread(target=pull.run, name="docker pull", daemon=True).start()
        return pull.progress()


class _Pull:
    """One pull. One thread runs it, others read its progress."""

    def __init__(self, image: Image, lines: Iterator[Mapping[str, Any]], before: ProviderError | None) -> None:
        """`before` is the error that has ended the previous attempt."""
        self._what = image.what
        self._lines = lines
        self._again = f"{self._what} again ({before.message})" if before else ""
        self._layers: dict[str, tuple[int, int]] = {}
        self._percent = 0
        self.error: ProviderError | None = None
        self._ended: float | None = None

    def run(self) -> None:
        """Read the engine's output until the image is there."""
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
        """The progress as text. Raises the `ProviderError` that has ended the pull."""
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
        # New layers may lower the percentage, but the reported one never decreases.
        self._percent = max(self._percent, 100 * present // total // _STEP * _STEP)
