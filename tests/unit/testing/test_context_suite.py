"""The suite of contextualisers finds faulty ones: each here violates one clause. Those of the core conform."""

from __future__ import annotations

import functools
import socket
import threading
import time
from typing import ClassVar

import pytest

from occopus_core.api import Context, ContextForm
from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.contextualisers.docker import Docker
from occopus_core.descriptions.schema import validator
from occopus_core.testing.context import CLAUSES, TEMPLATE, ContextHarness, ContextualiserConformance, failures
from occopus_core.testing.contextualisers import basic_harness, cloudinit_harness, docker_harness
from tests.unit.testing.documented import Script, script_harness


class TestCloudInit(ContextualiserConformance):
    @pytest.fixture(params=["mapping", "text"])
    def harness(self, request):
        commands = {"runcmd": [f"echo {TEMPLATE}", ["echo", TEMPLATE]], "hostname": TEMPLATE}
        template = commands if request.param == "mapping" else f"#!/bin/sh\necho {TEMPLATE}\n"
        return ContextHarness(CloudInit, {"context_template": template, "attributes": {}})


class TestGeneratedHostKey(ContextualiserConformance):
    @pytest.fixture
    def harness(self):
        section = {"context_template": {"hostname": TEMPLATE}, "ssh": {"host_key": "generate"}}
        wrong = {**section, "context_template": "no cloud-config"}
        return ContextHarness(CloudInit, section, wrong)


class TestDocker(ContextualiserConformance):
    @pytest.fixture(params=["words", "text"])
    def harness(self, request):
        command = ["echo", TEMPLATE] if request.param == "words" else f"echo {TEMPLATE}"
        return ContextHarness(Docker, {"env": [f"WORD={TEMPLATE}"], "command": command, "context_variables": {}})


@pytest.mark.parametrize("harness", [basic_harness, cloudinit_harness, docker_harness])
def test_the_harnesses_that_the_core_ships_pass(harness):
    assert failures(harness) == {}


class OfAnotherContract(Script):
    contract_version: ClassVar[int] = 99


class NoForms(Script):
    forms: ClassVar = None


class FillsWithoutForms(Script):
    forms: ClassVar = frozenset()


class RendersNothing(Script):
    forms: ClassVar = frozenset()

    def contextualise(self, section, render):
        return Context()


class HasType(Script):
    @classmethod
    def schema(cls):
        schema = super().schema()
        return {**schema, "properties": {**schema["properties"], "type": {"type": "string", "description": "Its own."}}}


class SilentSchema(Script):
    @classmethod
    def schema(cls):
        return {"type": "object", "properties": {"lines": {"type": "array"}}}


class DeclaresAnother(Script):
    forms: ClassVar = frozenset({ContextForm.PROCESS})


class MakesNothing(Script):
    def contextualise(self, section, render):
        super().contextualise(section, render)
        return Context()


class EnvironmentAsAList(Script):
    forms: ClassVar = frozenset(ContextForm)

    def contextualise(self, section, render):
        return Context(env=list(render(section["lines"], at="contextualisation.lines")))


class RendersTheFirst(Script):
    def contextualise(self, section, render):
        first = render(section["lines"][0], at="contextualisation.lines")
        return Context(user_data="\n".join([first, *section["lines"][1:]]))


class SaysAnotherPlace(Script):
    def contextualise(self, section, render):
        return Context(user_data="\n".join(render(section["lines"], at="contextualisation.script")))


class SwallowsErrors(Script):
    def contextualise(self, section, render):
        try:
            return super().contextualise(section, render)
        except Exception:  # noqa: BLE001 - it is what is wrong with it
            return Context(user_data="#!/bin/sh\n")


class LooksUp(Script):
    def contextualise(self, section, render):
        socket.getaddrinfo("127.0.0.1", 80)
        return super().contextualise(section, render)


class Counts(Script):
    count = 0

    def contextualise(self, section, render):
        self.count += 1
        return Context(user_data=f"# {self.count}\n{super().contextualise(section, render).user_data}")


class NotesTheDate(Script):
    def contextualise(self, section, render):
        date = int(time.time() // 86_400)
        return Context(user_data=f"# {date}\n{super().contextualise(section, render).user_data}")


class ChangesTheSection(Script):
    def contextualise(self, section, render):
        section["lines"].append("exit 0")
        return super().contextualise({"lines": section["lines"][:2]}, render)


class SharesItsRender(Script):
    def contextualise(self, section, render):
        self.render = render
        threading.Event().wait(0.02)
        return super().contextualise(section, self.render)


class AsksForItsPowers(Script):
    @classmethod
    def powers(cls, section):
        return [str(socket.getaddrinfo("127.0.0.1", 80))]


class TakesAnything(Script):
    """Takes a section that cannot be meant: an empty one."""


BROKEN = [
    (OfAnotherContract, "contract_version"),
    (NoForms, "forms"),
    (HasType, "schema"),
    (SilentSchema, "schema_describes_every_property"),
    (DeclaresAnother, "only_declared_forms"),
    (MakesNothing, "only_declared_forms"),
    (EnvironmentAsAList, "types"),
    (FillsWithoutForms, "only_declared_forms"),
    (RendersTheFirst, "every_text_is_rendered"),
    (RendersNothing, "every_text_is_rendered"),
    (SaysAnotherPlace, "places"),
    (SwallowsErrors, "template_errors_pass"),
    (LooksUp, "no_io"),
    (Counts, "stateless"),
    (NotesTheDate, "deterministic"),
    (ChangesTheSection, "stateless"),
    (SharesItsRender, "side_by_side"),
    (AsksForItsPowers, "powers_without_io"),
]


@pytest.mark.parametrize(("contextualiser", "clause"), BROKEN, ids=[each.__name__ for each, _ in BROKEN])
def test_a_broken_contextualiser_fails_its_clause(contextualiser, clause):
    assert clause in failures(functools.partial(script_harness, contextualiser), [clause])


def test_a_section_that_cannot_be_meant_is_refused():
    def harness():
        return ContextHarness(TakesAnything, {"lines": [TEMPLATE]}, wrong={"lines": []})

    assert "cannot be meant" in str(failures(harness, ["wrong_section"])["wrong_section"])


def test_every_clause_has_a_contextualiser_that_breaks_it():
    assert set(CLAUSES) - {clause for _, clause in BROKEN} == {"wrong_section"}


def test_the_environment_of_a_container_may_be_a_mapping():
    rendered = []

    def render(value, at, **names):
        rendered.append((at, names))
        return value

    made = Docker().contextualise({"env": {"PORT": "8080", "EMPTY": "", "URL": "http://x?a=b"}}, render)
    assert made.env == ("PORT=8080", "EMPTY=", "URL=http://x?a=b")
    assert ("contextualisation.env", {"context_variables": {}}) in rendered


@pytest.mark.parametrize(
    ("env", "fits"),
    [({"A": "b"}, True), ({"A=B": "c"}, False), ({"": "c"}, False), (["A=b"], True), (["A"], False), ("A=b", False)],
)
def test_the_forms_of_an_environment(env, fits):
    assert validator(Docker.schema()).is_valid({"env": env}) is fits
