"""Code that the conformance suites of all kinds of plugins share.

A suite is a class whose test methods are its clauses. A plugin's tests inherit it and give it a fixture `harness`; with
`failures` it runs without pytest.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, TypeVar
from unittest import mock

import pytest

from occopus_core.api.auth import PUBLIC_KEYS

_PREFIX = "test_"
_T = TypeVar("_T")


@contextlib.contextmanager
def never_sleeping(complaint: str) -> Iterator[None]:
    """Fails if this thread, or one that it starts during the block, calls `time.sleep`. Other threads may sleep.

    So may `subprocess`, which sleeps while it waits for a program within a time limit.
    """
    watched, slept = {threading.current_thread()}, list[float]()
    sleep, start = time.sleep, threading.Thread.start

    def noted_sleep(seconds: float) -> None:
        caller = inspect.currentframe().f_back  # type: ignore[union-attr]
        if threading.current_thread() in watched and caller and caller.f_globals["__name__"] != "subprocess":
            slept.append(seconds)  # and returns at once, so that the clause fails quickly
        else:
            sleep(seconds)

    def noted_start(thread: threading.Thread) -> None:
        if threading.current_thread() in watched:
            watched.add(thread)
        start(thread)

    with mock.patch("time.sleep", noted_sleep), mock.patch.object(threading.Thread, "start", noted_start):
        yield
    assert not slept, complaint


def secrets_of(auth: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets of `auth_data`: its values except those that identify a user, such as `user` and `username`."""
    return tuple(value for key, value in auth.items() if key not in PUBLIC_KEYS and value)


def leaked(shown: str, secrets: Collection[str], auth: Mapping[str, str]) -> str:
    """The sources of the secrets in a text, as a list in a text; empty if it has none. Quotes none."""
    names = {value: f"auth_data.{key}" for key, value in auth.items()}
    return ", ".join(names.get(secret, "a secret of the harness") for secret in secrets if secret in shown)


@contextlib.contextmanager
def printed(plugin: type) -> Iterator[Callable[[], str]]:
    """Everything printed and logged during the block: all records of the plugin's package, and warnings of others."""
    shown = io.StringIO()
    handler, root = logging.StreamHandler(shown), logging.getLogger()
    own = logging.getLogger(plugin.__module__.partition(".")[0])
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            yield shown.getvalue
    finally:
        own.setLevel(level)
        root.removeHandler(handler)


class Harness:
    """The environment of a plugin that its author provides for a suite, which closes it after each clause."""

    not_applicable: ClassVar[Mapping[str, str]] = {}
    """Clauses that this plugin cannot show, by name, each with the reason; they are reported as skipped."""

    def close(self) -> None:
        """Remove everything that was made. Idempotent."""


H = TypeVar("H", bound=Harness)


class Suite:
    """The clauses of one kind of plugin, each a test method. Its subclass has a fixture `harness`."""

    @pytest.fixture
    def harness(self) -> Any:
        """A new harness for each clause."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture named harness")

    @classmethod
    def left_out(cls, harness: Any) -> Mapping[str, str]:
        """The clauses that do not apply, with the reason. Raises `ValueError` for an unknown clause."""
        return declined(cls, harness)

    @pytest.fixture(autouse=True)
    def _applicable(self, request: pytest.FixtureRequest, harness: Harness) -> None:
        reason = self.left_out(harness).get(request.function.__name__.removeprefix(_PREFIX))
        if reason:
            pytest.skip(reason)


def clauses(suite: type[Suite]) -> tuple[str, ...]:
    """The names of all clauses of a suite."""
    return tuple(name.removeprefix(_PREFIX) for name in dir(suite) if name.startswith(_PREFIX))


def describe(suite: type[Suite]) -> dict[str, str]:
    """The requirement of each clause of a suite, by its name."""
    return {clause: str(getattr(suite, f"{_PREFIX}{clause}").__doc__) for clause in clauses(suite)}


def declined(suite: type[Suite], harness: Harness) -> Mapping[str, str]:
    """The clauses that the harness excludes, with the reason. Raises `ValueError` for an unknown clause."""
    unknown = sorted(set(harness.not_applicable) - set(clauses(suite)))
    if unknown:
        raise ValueError(f"not_applicable names clauses that do not exist: {', '.join(unknown)}")
    return harness.not_applicable


def failures(
    suite: type[Suite],
    harness: Callable[[], H],
    asked: Collection[str] | None = None,
) -> dict[str, Exception]:
    """Run clauses, each with a new harness, which is closed; returns the errors of failed ones.

    Clauses that do not apply are left out.
    """
    failed: dict[str, Exception] = {}
    for clause in clauses(suite) if asked is None else asked:
        stage = harness()
        try:
            if clause not in suite.left_out(stage):
                getattr(suite(), f"{_PREFIX}{clause}")(stage)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the plugin does not conform
            failed[clause] = error
        finally:
            stage.close()
    return failed


def able(act: Callable[[], _T]) -> _T:
    """The result of an optional method of the harness; fails if the harness lacks it."""
    try:
        return act()
    except NotImplementedError as missing:
        raise AssertionError(
            f"the harness cannot {missing}: let it, or name the clause in `not_applicable` with the reason"
        ) from None
