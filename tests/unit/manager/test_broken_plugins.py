"""Plugins that break their contract when node definitions are imported."""

import itertools
import threading

import pytest

from occopus_core.api import Context, ContextForm, Contextualiser, PermanentError
from occopus_core.credentials import Credentials
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.planning.trust import refuse_powers
from occopus_core.manager.checked_definitions import checked_definitions
from occopus_core.plugin_thread import PluginThread
from occopus_core.registry import Registry
from occopus_core.testing.memory import MemoryHandler

HERE = "tests/unit/manager/test_broken_plugins.py"
NODES = """\
'node_def:one':
  - resource: {type: mine, endpoint: here}
    contextualisation: {type: mine, text: TEXT}
    health_check: {ping: false}
"""


class Handler(MemoryHandler):
    def __init__(self, connection):
        super().__init__(connection, None)


class Plain(Contextualiser):
    contract_version = 1
    forms = frozenset({ContextForm.USER_DATA})

    @classmethod
    def schema(cls):
        return {"type": "object", "properties": {"text": {"type": "string"}}}

    def contextualise(self, section, render):
        return Context(user_data=render(section["text"], at="contextualisation.text"))


def raises(*_):
    raise KeyError("s3cret-value")


def ends(*_):
    raise SystemExit(4)


def answers(*_):
    return 5


class UnmadeError(PermanentError):
    def __init__(self, code):
        self.code = code


def malformed(*_):
    raise UnmadeError("s3cret-value")


def place(function, lines=1):
    return f"({HERE}, line {function.__code__.co_firstlineno + lines})"


HANDLER, CONTEXT = ("the resource handler 'mine", "the contextualisation 'mine")
BROKEN = {
    "powers raises": ("resource", "powers", raises, f"{HANDLER}' breaks its contract: powers() raised KeyError"),
    "powers ends": ("resource", "powers", ends, f"{HANDLER}' breaks its contract: powers() raised SystemExit"),
    "sources raises": ("resource", "sources", raises, f"{HANDLER}' breaks its contract: sources() raised KeyError"),
    "exclusive raises": (
        "resource",
        "exclusive",
        raises,
        f"{HANDLER}' breaks its contract: exclusive() raised KeyError",
    ),
    "check raises": ("resource", "check", raises, f"{HANDLER} here' breaks its contract: check() raised KeyError"),
    "check ends": ("resource", "check", ends, f"{HANDLER} here' breaks its contract: check() raised SystemExit"),
    "context's powers": ("context", "powers", raises, f"{CONTEXT}' breaks its contract: powers() raised KeyError"),
    "contextualise": ("context", "contextualise", raises, "breaks its contract: contextualise() raised KeyError"),
    "answers": ("context", "contextualise", answers, "contextualise() answered int, expected a Context"),
}


def imported(tmp_path, kind, name, method, text="plain", endpoint="here"):
    """Import definitions with a plugin of which one method is replaced."""
    (tmp_path / "nodes.yaml").write_text(NODES.replace("TEXT", text).replace("endpoint: here", f"endpoint: {endpoint}"))
    value = staticmethod(method) if name in {"powers", "sources", "exclusive"} else method
    members = {name: value, "__module__": __name__}
    broken = type("Broken", (Handler if kind == "resource" else Plain,), members)
    plugins = {("resource", "mine"): Handler, ("context", "mine"): Plain, (kind, "mine"): broken}
    registry = Registry(plugins)
    return checked_definitions(str(tmp_path / "nodes.yaml"), registry, Credentials(), pytest.fail, former=False)


@pytest.mark.parametrize("case", BROKEN)
def test_a_plugin_that_breaks_its_contract_refuses_the_import_with_its_place(tmp_path, case):
    kind, name, method, said = BROKEN[case]
    with pytest.raises(DescriptionError) as caught:
        imported(tmp_path, kind, name, method)
    text = str(caught.value)
    assert f"{said} {place(method, lines=method is not answers)}" in text
    assert "nodes.yaml:" in text
    assert "node_def:one[0]" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("name", ["__init__", "check", "contextualise"])
def test_a_malformed_error_refuses_the_import_with_its_place(tmp_path, name):
    with pytest.raises(DescriptionError) as caught:
        imported(tmp_path, "context" if name == "contextualise" else "resource", name, malformed)
    text = str(caught.value)
    assert " raised UnmadeError, whose message is missing" in text
    assert place(malformed) in text
    assert "s3cret" not in text


@pytest.mark.parametrize("name", ["check", "contextualise"])
def test_what_templates_may_decide_is_left_to_the_build(tmp_path, name):
    kind = "resource" if name == "check" else "context"
    assert imported(tmp_path, kind, name, raises, text="'{{ variables.text }}'")


def test_what_a_template_of_another_section_renders_to_does_not_matter_to_exclusive(tmp_path):
    with pytest.raises(DescriptionError, match=r"exclusive\(\) raised KeyError"):
        imported(tmp_path, "resource", "exclusive", raises, text="'{{ variables.text }}'")


def test_exclusive_may_depend_on_what_templates_render_to(tmp_path):
    file = tmp_path / "nodes.yaml"
    file.write_text("'node_def:one':\n  - resource: {type: mine, endpoint: here, image: '{{ variables.image }}'}\n")
    registry = Registry({("resource", "mine"): type("Broken", (Handler,), {"exclusive": staticmethod(raises)})})
    assert checked_definitions(str(file), registry, Credentials(), pytest.fail, former=False)


def test_a_handler_that_cannot_be_set_up_is_left_to_the_build(tmp_path):
    assert imported(tmp_path, "resource", "__init__", raises)


@pytest.mark.parametrize("name", ["powers", "sources"])
def test_a_definition_from_the_network_is_refused_with_its_name_and_position(name):
    text = b"'node_def:one':\n  - resource:\n      type: mine\n      endpoint: here\n"
    registry = Registry({("resource", "mine"): type("Broken", (Handler,), {name: staticmethod(raises)})})
    definitions = load_node_definitions(text, registry, name="request", imports=False)
    with pytest.raises(DescriptionError) as caught:
        refuse_powers(definitions, registry, (), Credentials())
    (problem,) = caught.value.problems
    assert (str(problem.position), problem.path) == ("request:3:7", "node_def:one[0].resource.type")
    assert (
        problem.message
        == f"{HANDLER}' breaks its contract: {name}() raised KeyError {place(raises)}; report it to its author"
    )


def refuses(*_):
    raise PermanentError("it does not fit", more=[PermanentError("nor does this")])


def names_a_key(*_):
    raise PermanentError("contextualisation.text: it is too short")


@pytest.mark.parametrize(
    ("method", "places"),
    {
        raises: [("3:5", "node_def:one[0].contextualisation")],
        answers: [("3:5", "node_def:one[0].contextualisation")],
        malformed: [("3:5", "node_def:one[0].contextualisation")],
        refuses: [("3:5", "node_def:one[0].contextualisation")] * 2,
        names_a_key: [("3:37", "node_def:one[0].contextualisation.text")],
    }.items(),
)
def test_what_a_contextualisation_refuses_has_the_position_of_its_section(tmp_path, method, places):
    with pytest.raises(DescriptionError) as caught:
        imported(tmp_path, "context", "contextualise", method)
    found = [(str(problem.position).partition("nodes.yaml:")[2], problem.path) for problem in caught.value.problems]
    assert found == places


@pytest.mark.parametrize("text", ["plain", "'{{ variables.text }}'"])
def test_a_contextualisation_with_another_context_at_each_call_is_refused(tmp_path, text):
    calls = itertools.count()

    def contextualise(*_):
        return Context(user_data=str(next(calls)))

    with pytest.raises(DescriptionError, match="two contexts for a section") as caught:
        imported(tmp_path, "context", "contextualise", contextualise, text=text)
    (problem,) = caught.value.problems
    assert problem.path == "node_def:one[0].contextualisation.type"
    assert place(contextualise, lines=0) in problem.message


def test_templates_of_another_section_do_not_matter_to_a_contextualisation(tmp_path):
    with pytest.raises(DescriptionError, match="it does not fit"):
        imported(tmp_path, "context", "contextualise", refuses, endpoint="'{{ variables.cloud }}'")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("resource", "__init__", f"{HANDLER} here' breaks its contract: its constructor has not returned for 30 s"),
        ("resource", "check", f"{HANDLER} here' breaks its contract: check() has not returned for 30 s"),
        ("context", "contextualise", f"{CONTEXT}' breaks its contract: contextualise() has not returned for 30 s"),
    ],
)
def test_a_plugin_that_hangs_refuses_the_import_with_its_place(tmp_path, monkeypatch, kind, name, said):
    reached, opened = threading.Event(), threading.Event()

    def hangs(*_):
        reached.set()
        opened.wait()

    def join(thread, _seconds):
        while thread.is_alive() and not reached.is_set():
            threading.Thread.join(thread, 0.001)

    monkeypatch.setattr(PluginThread, "join", join)
    try:
        with pytest.raises(DescriptionError) as caught:
            imported(tmp_path, kind, name, hangs)
    finally:
        opened.set()
    assert f"{said} ({HERE}, line " in " ".join(str(caught.value).split())
