"""The suite of configuration managers finds faulty managers: each one here violates one clause."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import socket
import threading
import time
import uuid
from typing import ClassVar

import pytest

from occopus_core.api import ConfigState, ConfigStatus, NotFoundError, TransientError
from occopus_core.testing.config import CLAUSES, ConfigHarness, failures
from occopus_core.testing.conformance import Fault
from tests.unit.testing.documented import FolderManager, FolderManagerHarness

UNABLE = {"schema_imports_no_sdk", "status_costs_pages", "hang"}
"""Clauses that a folder cannot show, which have broken managers of their own below."""


class Harness(FolderManagerHarness):
    """Gives up early: a broken manager never reaches the expected state."""

    patience = 20


class OfAnotherContract(FolderManager):
    contract_version: ClassVar[int] = 99


class InheritsItsVersion(FolderManager):
    """States no version itself."""


class PollsBackwards(FolderManager):
    poll_seconds = (5.0, 0.2)


class NoJobs(FolderManager):
    max_jobs = 0


class HasType(FolderManager):
    @classmethod
    def schema(cls):
        schema = super().schema()
        return {**schema, "properties": {**schema["properties"], "type": {"type": "string", "description": "Its own."}}}


class NarrowSchema(FolderManager):
    @classmethod
    def schema(cls):
        return {**super().schema(), "required": ["password"]}


class SilentSchema(FolderManager):
    @classmethod
    def schema(cls):
        return {"type": "object", "properties": {"endpoint": {"type": "string"}}}


class SelectsByUnknownKey(FolderManager):
    connection_keys = ("endpoint", "tenant")


class ConnectsAtOnce(FolderManager):
    def __init__(self, connection):
        super().__init__(connection)
        self.addresses = socket.getaddrinfo("127.0.0.1", 80)


class AsksForItsPowers(FolderManager):
    @classmethod
    def powers(cls, section):
        return [str(socket.getaddrinfo("127.0.0.1", 80))]


class ReadsTemplates(FolderManager):
    @classmethod
    def powers(cls, section):
        return [f"the folder {section['endpoint'].index('/')}"]


class ChecksTheAddress(FolderManager):
    def check(self, node):
        self.seen = node.addresses[0]


class RegistersInCheck(FolderManager):
    def check(self, node):
        self.register(node)


class WritesForTemplates(FolderManager):
    def template_variables(self, node):
        self.register(node)
        return {}


class NamesForNobody(FolderManager):
    def template_variables(self, node):
        return {"the-node": node.node_name}


class ShowsCredentials(FolderManager):
    def __repr__(self):
        return f"ShowsCredentials({self.connection.auth})"


class PrintsCredentials(FolderManager):
    def configure(self, node):
        print(self.connection.auth)
        super().configure(node)


class RegistersAgain(FolderManager):
    def register(self, node):
        twin = dataclasses.replace(node, infra_id=f"{node.infra_id}-{uuid.uuid4().hex[:4]}")
        super().register(twin)


class RegisteredIsReady(FolderManager):
    def status(self, nodes):
        found = super().status(nodes)
        return {
            id: ConfigStatus(ConfigState.READY) if each.state is ConfigState.PENDING else each
            for id, each in found.items()
        }


class ListsForeign(FolderManager):
    def list_registered(self, installation):
        return [*super().list_registered(installation), *super().list_registered(f"{installation}-other")]


class ListsNothing(FolderManager):
    def list_registered(self, installation):
        return []


class ForgetsReports(FolderManager):
    def forget(self, node):
        self._file(node.infra_id, f"{node.node_id}.report").unlink(missing_ok=True)


class ForgetsOnce(FolderManager):
    def forget(self, node):
        if self._read(node, "order") is None:
            raise NotFoundError(f"{node.node_id} is not known")
        super().forget(node)


class ForgetsByAddress(FolderManager):
    def forget(self, node):
        if node.addresses:
            super().forget(node)


class ForgetsWhatItRegistered(FolderManager):
    def __init__(self, connection):
        super().__init__(connection)
        self.mine = set()

    def register(self, node):
        self.mine.add(node.node_id)
        super().register(node)

    def forget(self, node):
        if node.node_id in self.mine:
            super().forget(node)


class ForgetsAll(FolderManager):
    def forget_infrastructure(self, infra_id):
        for folder in self._file().iterdir():
            super().forget_infrastructure(folder.name)


class ForgetsKnownInfrastructures(FolderManager):
    def forget_infrastructure(self, infra_id):
        if not self._file(infra_id).is_dir():
            raise NotFoundError(f"{infra_id} is not known")
        super().forget_infrastructure(infra_id)


class PublishesNothing(FolderManager):
    def status(self, nodes):
        return {id: dataclasses.replace(each, attributes={}) for id, each in super().status(nodes).items()}


class NeverReady(FolderManager):
    def configure(self, node):
        return


class WaitsForTheJob(FolderManager):
    def configure(self, node):
        super().configure(node)
        time.sleep(0.01)


class SlowToStart(FolderManager):
    def configure(self, node):
        super().configure(node)
        if "endless" in node.section["roles"]:
            threading.Event().wait(0.5)


class BeginsAgain(FolderManager):
    def configure(self, node):
        self._file(node.infra_id, f"{node.node_id}.order").unlink(missing_ok=True)
        super().configure(dataclasses.replace(node, attributes={"attempt": uuid.uuid4().hex}))


class RemembersRegistering(FolderManager):
    def __init__(self, connection):
        super().__init__(connection)
        self.registered = set()

    def register(self, node):
        if node.node_id not in self.registered:
            self.registered.add(node.node_id)
            super().register(node)

    def configure(self, node):
        if self._read(node, "order") is not None:
            super().configure(node)


class FailsWithoutAReason(FolderManager):
    def status(self, nodes):
        return {id: dataclasses.replace(each, reason="") for id, each in super().status(nodes).items()}


class TellsTheKey(FolderManager):
    def status(self, nodes):
        said = f"refused with {dict(self.connection.auth)}"
        return {id: dataclasses.replace(each, reason=said) for id, each in super().status(nodes).items()}


class PrintsTheKey(FolderManager):
    def status(self, nodes):
        printed = f"key={self.connection.auth['key']}\n"
        return {id: dataclasses.replace(each, output=printed) for id, each in super().status(nodes).items()}


class KeepsNoOutput(FolderManager):
    def status(self, nodes):
        return {id: dataclasses.replace(each, output="") for id, each in super().status(nodes).items()}


class KeepsTheOutputOfAll(FolderManager):
    def status(self, nodes):
        printed = f"{FolderManagerHarness.printed}\n"
        return {id: dataclasses.replace(each, output=printed) for id, each in super().status(nodes).items()}


class BelievesOldReports(FolderManager):
    """Does not say which generation a report is about."""

    def status(self, nodes):
        return {id: dataclasses.replace(each, generation="") for id, each in super().status(nodes).items()}


class ConfiguresOnce(FolderManager):
    def configure(self, node):
        if self._status(node).state is not ConfigState.READY:
            super().configure(node)


class WaitsForOlderJobs(FolderManager):
    def configure(self, node):
        if self._status(node).state is not ConfigState.RUNNING:
            super().configure(node)


class OmitsUnknown(FolderManager):
    def status(self, nodes):
        return {id: each for id, each in super().status(nodes).items() if each.state is not ConfigState.UNKNOWN}


class UnknownIsPending(FolderManager):
    def _status(self, node):
        found = super()._status(node)
        return ConfigStatus(ConfigState.PENDING) if found.state is ConfigState.UNKNOWN else found


class KeepsJobsToItself(FolderManager):
    def __init__(self, connection):
        super().__init__(connection)
        self.mine = set()

    def configure(self, node):
        self.mine.add(node.node_id)
        super().configure(node)

    def _status(self, node):
        found = super()._status(node)
        ready = found.state is ConfigState.READY
        return ConfigStatus(ConfigState.PENDING) if ready and node.node_id not in self.mine else found


class NeverCancels(FolderManager):
    def cancel(self, nodes):
        return


class CancelsAll(FolderManager):
    def cancel(self, nodes):
        for order in self._file().glob("*/*.order"):
            order.write_text(json.dumps({**json.loads(order.read_text()), "generation": ""}))


class CancelsReady(FolderManager):
    def cancel(self, nodes):
        for node in nodes:
            if self._read(node, "order") is not None:
                self._write(node, generation="")


class CancelsKnown(FolderManager):
    def cancel(self, nodes):
        for node in nodes:
            if self._read(node, "order") is None:
                raise NotFoundError(f"{node.node_id} is not known")


class NeverLeaves(FolderManager):
    def leave(self, node):
        return False


class LeavesWithNone(FolderManager):
    def leave(self, node):
        return None


class LeavesItBehind(FolderManager):
    """As one that pushes, whose `leave` removes nothing."""

    def forget(self, node):
        return


class LeavesAll(FolderManager):
    """As one that pushes, whose `leave` removes the folder of all nodes."""

    def leave(self, node):
        for folder in self._file().iterdir():
            super().forget_infrastructure(folder.name)
        return True


class SharesItsNode(FolderManager):
    def configure(self, node):
        self.node = node
        threading.Event().wait(0.02)
        super().configure(self.node)


class LeaksForeignErrors(FolderManager):
    def _file(self, *names):
        try:
            return super()._file(*names)
        except TransientError as error:
            raise OSError(error.message) from None


class UnmadeError(TransientError):
    def __init__(self, code):
        self.code = code


class LeavesErrorsUnmade(FolderManager):
    def _file(self, *names):
        try:
            return super()._file(*names)
        except TransientError as error:
            raise UnmadeError(error.message) from None


class SilenceIsUnknown(FolderManager):
    def _status(self, node):
        try:
            return super()._status(node)
        except Exception:  # noqa: BLE001 - it is what is wrong with it
            return ConfigStatus(ConfigState.UNKNOWN)


class TellsItsKey(FolderManager):
    def register(self, node):
        try:
            super().register(node)
        except Exception as error:
            error.message += f" (sent {dict(self.connection.auth)})"
            raise


class TellsItsUser(FolderManager):
    def register(self, node):
        try:
            super().register(node)
        except Exception as error:
            error.message += f" (as {self.connection.auth['user']})"
            raise


class FindsFaultsInTemplates(FolderManager):
    @classmethod
    def faults(cls, section):
        return [f"{key} is a template" for key, value in section.items() if "{{" in str(value)]


BROKEN = [
    (OfAnotherContract, "contract_version"),
    (InheritsItsVersion, "contract_version"),
    (PollsBackwards, "class_attributes"),
    (NoJobs, "class_attributes"),
    (HasType, "schema"),
    (NarrowSchema, "schema"),
    (SilentSchema, "schema_describes_every_property"),
    (SelectsByUnknownKey, "schema_covers_connection_keys"),
    (ConnectsAtOnce, "constructor_does_no_io"),
    (AsksForItsPowers, "powers_without_io"),
    (ReadsTemplates, "powers_without_io"),
    (FindsFaultsInTemplates, "no_faults_in_what_works"),
    (ChecksTheAddress, "check_without_io"),
    (RegistersInCheck, "check_without_io"),
    (WritesForTemplates, "template_variables_without_io"),
    (NamesForNobody, "template_variables_without_io"),
    (ShowsCredentials, "repr_keeps_secrets"),
    (RegistersAgain, "register_repeated"),
    (RegisteredIsReady, "registered_is_not_ready"),
    (ListsForeign, "list_registered"),
    (ListsNothing, "list_registered"),
    (ForgetsReports, "forgotten_is_unknown"),
    (ForgetsOnce, "forget_repeated"),
    (ForgetsByAddress, "forget_as_registered"),
    (ForgetsWhatItRegistered, "forget_as_registered"),
    (ForgetsAll, "forget_infrastructure"),
    (ForgetsKnownInfrastructures, "forget_infrastructure"),
    (PublishesNothing, "ready_in_the_end"),
    (NeverReady, "ready_in_the_end"),
    (WaitsForTheJob, "configure_returns_soon"),
    (SlowToStart, "configure_returns_soon"),
    (BeginsAgain, "configure_repeated"),
    (RemembersRegistering, "configure_without_register"),
    (FailsWithoutAReason, "failed_says_why"),
    (TellsTheKey, "failed_says_why"),
    (PrintsTheKey, "failed_says_why"),
    (KeepsNoOutput, "failed_has_output"),
    (KeepsTheOutputOfAll, "failed_has_output"),
    (BelievesOldReports, "older_generation_is_not_ready"),
    (ConfiguresOnce, "new_generation"),
    (WaitsForOlderJobs, "new_generation"),
    (OmitsUnknown, "status_answers_every_node"),
    (UnknownIsPending, "status_answers_every_node"),
    (KeepsJobsToItself, "status_by_another_object"),
    (NeverCancels, "cancel_ends_jobs"),
    (CancelsAll, "cancel_ends_jobs"),
    (CancelsReady, "cancel_of_nothing"),
    (CancelsKnown, "cancel_of_nothing"),
    (NeverLeaves, "leave_ends"),
    (LeavesWithNone, "leave_ends"),
    (LeavesItBehind, "nothing_is_left"),
    (LeavesAll, "nothing_is_left"),
    (SharesItsNode, "side_by_side"),
    (LeaksForeignErrors, "only_provider_errors"),
    (LeavesErrorsUnmade, "only_provider_errors"),
    (SilenceIsUnknown, "silence_is_not_unknown"),
    (TellsItsKey, "errors_keep_secrets"),
    (PrintsCredentials, "prints_keep_secrets"),
]


class WithoutOutputHarness(Harness):
    """As one that was written before there was output."""

    printed = ""


def test_a_manager_need_not_have_output():
    assert failures(functools.partial(WithoutOutputHarness, KeepsNoOutput), ["failed_has_output"]) == {}


class LogsInHarness(Harness):
    """Its credentials have a user."""

    def manager(self, *, call_timeout=None):
        made = super().manager(call_timeout=call_timeout)
        auth = {**made.connection.auth, "user": "debian"}
        made.connection = dataclasses.replace(made.connection, auth=auth)
        return made


def test_the_user_of_the_credentials_is_not_a_secret_and_a_secret_is_named_by_its_key():
    assert failures(functools.partial(LogsInHarness, TellsItsUser), ["errors_keep_secrets"]) == {}
    found = failures(functools.partial(LogsInHarness, TellsItsKey), ["errors_keep_secrets"])
    assert "the error shows auth_data.key" in str(found["errors_keep_secrets"])


@pytest.mark.parametrize(("manager", "clause"), BROKEN, ids=[manager.__name__ for manager, _ in BROKEN])
def test_a_broken_manager_fails_its_clause(manager, clause, monkeypatch):
    if manager is SlowToStart:
        monkeypatch.setattr(ConfigHarness, "short_timeout", 0.1)
        monkeypatch.setattr(ConfigHarness, "grace", 0.1)
    assert clause in failures(functools.partial(Harness, manager), [clause])


def test_every_clause_has_a_manager_that_breaks_it():
    assert set(CLAUSES) - {clause for _, clause in BROKEN} == UNABLE


class ImportsForItsSchema(FolderManager):
    @classmethod
    def schema(cls):
        importlib.import_module("wave")  # stands for the library of a tool
        return super().schema()


class ImportsNothing(FolderManager):
    pass


@pytest.mark.parametrize(("manager", "fails"), [(ImportsForItsSchema, True), (ImportsNothing, False)])
def test_the_schema_imports_no_library(manager, fails):
    class Harness(FolderManagerHarness):
        sdk_modules = ("wave",)
        not_applicable: ClassVar = {}

    assert bool(failures(functools.partial(Harness, manager), ["schema_imports_no_sdk"])) is fails


class Counted(Harness):
    not_applicable: ClassVar = {}
    asked = 0

    def calls(self):
        return Counted.asked


class OneByOne(FolderManager):
    def _status(self, node):
        Counted.asked += 1
        return super()._status(node)


class AllAtOnce(FolderManager):
    def status(self, nodes):
        Counted.asked += bool(nodes)
        return super().status(nodes)


class AsksForNone(FolderManager):
    def status(self, nodes):
        Counted.asked += 1
        return super().status(nodes)


@pytest.mark.parametrize(("manager", "fails"), [(OneByOne, True), (AsksForNone, True), (AllAtOnce, False)])
def test_the_status_of_many_costs_pages(manager, fails):
    found = failures(functools.partial(Counted, manager), ["status_costs_pages"])
    assert bool(found) is fails


class Hanging(Harness):
    """Every call hangs for as long as the manager waits."""

    faults = frozenset({Fault.HANG})
    not_applicable: ClassVar = {}
    short_timeout = 0.1
    grace = 4.0
    waits = False

    def inject(self, fault):
        Hanging.waits = True

    def clear(self):
        Hanging.waits = False


class InTime(FolderManager):
    patience = 1.0

    def _file(self, *names):
        if Hanging.waits:
            threading.Event().wait(self.connection.call_timeout * self.patience)
            raise TransientError("no answer in time")
        return super()._file(*names)


class TooLate(InTime):
    patience = 60.0


@pytest.mark.parametrize(("manager", "fails"), [(TooLate, True), (InTime, False)])
def test_a_manager_that_waits_too_long_fails(manager, fails):
    assert bool(failures(functools.partial(Hanging, manager), ["hang"])) is fails
