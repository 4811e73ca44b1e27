"""The suite of notifiers finds faulty notifiers: each one here violates one clause."""

from __future__ import annotations

import functools
import importlib
import socket
import sys
import threading
from typing import ClassVar

import pytest

from occopus_core.api import PermanentError, TransientError
from occopus_core.testing.conformance import Fault
from occopus_core.testing.notify import CLAUSES, failures
from tests.unit.testing.documented import FileNotifier, FileNotifierHarness


class OfAnotherContract(FileNotifier):
    contract_version: ClassVar[int] = 99


class NoBatch(FileNotifier):
    batch_size = 0


class HasEvents(FileNotifier):
    @classmethod
    def schema(cls):
        schema, own = super().schema(), {"type": "array", "description": "Its own."}
        return {**schema, "properties": {**schema["properties"], "events": own}}


class SilentSchema(FileNotifier):
    @classmethod
    def schema(cls):
        return {"type": "object", "properties": {"path": {"type": "string"}}}


class ConnectsAtOnce(FileNotifier):
    def __init__(self, connection):
        super().__init__(connection)
        self.addresses = socket.getaddrinfo("127.0.0.1", 80)


class ShowsCredentials(FileNotifier):
    def __repr__(self):
        return f"ShowsCredentials({self.connection.auth})"


class NewestFirst(FileNotifier):
    def send(self, notifications):
        super().send(notifications[::-1])


class Drops(FileNotifier):
    def send(self, notifications):
        super().send(notifications[:3])


class TellsOnce(FileNotifier):
    def __init__(self, connection):
        super().__init__(connection)
        self.last = 0

    def send(self, notifications):
        if notifications[0].id <= self.last:
            raise PermanentError("this notification was already sent")
        super().send(notifications)
        self.last = notifications[-1].id


class GivesUp(FileNotifier):
    failed = False

    def send(self, notifications):
        try:
            if not self.failed:
                super().send(notifications)
        except TransientError:
            self.failed = True
            raise


class FailsForGood(FileNotifier):
    def send(self, notifications):
        try:
            super().send(notifications)
        except TransientError as error:
            raise PermanentError(error.message) from None


class TellsItsKey(FileNotifier):
    def send(self, notifications):
        try:
            super().send(notifications)
        except TransientError as error:
            error.message += f" (sent {dict(self.connection.auth)})"
            raise


class PrintsItsKey(FileNotifier):
    def send(self, notifications):
        print(self.connection.auth, file=sys.stderr)
        super().send(notifications)


class LeaksForeignErrors(FileNotifier):
    def send(self, notifications):
        try:
            super().send(notifications)
        except TransientError as error:
            raise OSError(error.message) from None


class UnmadeError(TransientError):
    def __init__(self, code):
        self.code = code


class LeavesErrorsUnmade(FileNotifier):
    def send(self, notifications):
        try:
            super().send(notifications)
        except TransientError as error:
            raise UnmadeError(error.message) from None


class AnyAddress(FileNotifier):
    @classmethod
    def address(cls, properties):
        return str(properties.get("reg_id"))


BROKEN = [
    (OfAnotherContract, "contract_version"),
    (NoBatch, "class_attributes"),
    (HasEvents, "schema"),
    (SilentSchema, "schema_describes_every_property"),
    (ConnectsAtOnce, "constructor_does_no_io"),
    (ShowsCredentials, "repr_keeps_secrets"),
    (NewestFirst, "all_in_order"),
    (Drops, "all_in_order"),
    (TellsOnce, "repeated"),
    (GivesUp, "goes_on_after_a_failure"),
    (FailsForGood, "failures_are_what_they_mean"),
    (TellsItsKey, "errors_keep_secrets"),
    (PrintsItsKey, "prints_keep_secrets"),
    (LeaksForeignErrors, "only_provider_errors"),
    (LeavesErrorsUnmade, "only_provider_errors"),
    (AnyAddress, "address"),
]


@pytest.mark.parametrize(("notifier", "clause"), BROKEN, ids=[each.__name__ for each, _ in BROKEN])
def test_a_broken_notifier_fails_its_clause(notifier, clause):
    assert clause in failures(functools.partial(FileNotifierHarness, notifier), [clause])


class ImportsForItsSchema(FileNotifier):
    @classmethod
    def schema(cls):
        importlib.import_module("wave")  # stands for the library of a receiver
        return super().schema()


class Reached(FileNotifierHarness):
    """Counts the requests of a notifier; where it fails, it does not answer for as long as the notifier waits."""

    faults = frozenset({Fault.HANG, Fault.SERVER_ERROR})
    sdk_modules = ("wave",)
    not_applicable: ClassVar = {}
    short_timeout = 0.1
    grace = 4.0
    asked = 0
    fault = None

    def calls(self):
        return Reached.asked

    def inject(self, fault):
        Reached.fault = fault

    def clear(self):
        Reached.fault = None


class Sends(FileNotifier):
    patience = 1.0

    def send(self, notifications):
        Reached.asked += 1
        if Reached.fault is Fault.HANG:
            threading.Event().wait(self.connection.call_timeout * self.patience)
        if Reached.fault is not None:
            raise TransientError("no answer")
        super().send(notifications)


class WaitsForEver(Sends):
    patience = 60.0


class Retries(Sends):
    def send(self, notifications):
        try:
            super().send(notifications)
        except TransientError:
            super().send(notifications)


REACHED = [(ImportsForItsSchema, "schema_imports_no_sdk"), (WaitsForEver, "hang"), (Retries, "never_retries")]


@pytest.mark.parametrize(("notifier", "clause"), REACHED, ids=[each.__name__ for each, _ in REACHED])
def test_a_notifier_that_is_watched_fails_its_clause(notifier, clause):
    assert clause in failures(functools.partial(Reached, notifier), [clause])
    assert failures(functools.partial(Reached, Sends), [clause]) == {}


def test_every_clause_has_a_notifier_that_breaks_it():
    assert set(CLAUSES) == {clause for _, clause in [*BROKEN, *REACHED]}
