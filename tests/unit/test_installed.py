"""Descriptions of installed plugins: each in its own line, independent of the others."""

from __future__ import annotations

import shutil
import sys
import threading
from types import ModuleType

import pytest

from occopus_core import installed
from occopus_core.installed import PluginList, details, installed_plugins, needs, one_line, usable_schemas
from occopus_core.registry import PluginError, PluginState, Registry
from tests.unit.plugins import CHECKER

GOOD = CHECKER.format(version=1)
HANDLER = """
from occopus_core.api import ContextForm, Feature, ResourceHandler

class Handler(ResourceHandler):
    contract_version = 1
    connection_keys = ("endpoint",)
    context_forms = frozenset({ContextForm.USER_DATA})
    features = frozenset({Feature.STOP})

    @classmethod
    def schema(cls):
        properties = {
            "endpoint": {"type": "string", "description": "Where."},
            "size": {"enum": ["small", 2], "description": "How large."},
            "mounts": {"type": "array", "description": "What is mounted."},
            "jump": {"type": "object", "description": "The host on the way."},
            "image": {"type": "string", "description": "What is fetched."},
        }
        return {"type": "object", "properties": properties, "required": ["endpoint"]}

    @classmethod
    def powers(cls, resource):
        return ["a bill", *(f"mount {one}" for one in resource.get("mounts", ()))]

    @classmethod
    def sources(cls, resource):
        return ["files.example.org", *([resource["image"]] if "image" in resource else [])]

    def create(self, request): ...
    def describe(self, ids): ...
    def stop(self, ids): ...
    def list_owned(self, owner): ...
    def delete(self, ids): ...
"""


LOGS_IN = "the service logs in to this host with its credentials: clients of the REST service may not set it"
NEEDS_LEAVE = "where, or as whom, this side connects: clients of the REST service need the operator's leave for a value"
FETCHES = (
    "where the provider, or this side, fetches from: clients of the REST service need the operator's leave for another "
    "source than the default"
)


LAZY = """
class Missing:
    def __getattribute__(self, name):
        raise RuntimeError("secret")

Checker = Missing()
"""
META = f"""
{GOOD}

class Meta(type(Checker)):
    def __getattribute__(self, name):
        if name == "contract_version":
            raise RuntimeError("secret")
        return super().__getattribute__(name)

Checker = Meta("Checker", (Checker,), {{}})
"""


def found(type, kind="health"):
    return [one for one in installed_plugins() if (one.kind, one.type) == (kind, type)]


def test_a_usable_plugin_is_listed_completely(install):
    install("one", "pulse", "installed_pulse:Checker", GOOD)
    (pulse,) = found("pulse")
    assert pulse.summary() == {
        "kind": "health",
        "type": "pulse",
        "distribution": "one",
        "version": "1.0",
        "contract_version": 1,
        "state": "usable",
        "reason": "",
        "note": "",
    }


def schema(answer):
    return GOOD.replace("return {}", f"return {answer}")


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("raise ImportError('no libpulse')", "import error", "cannot be imported: no libpulse"),
        ("raise SystemExit(3)", "import error", "cannot be imported: SystemExit (installed_broken_"),
        ("raise KeyboardInterrupt", "import error", "cannot be imported: KeyboardInterrupt (installed_broken_"),
        ("class E(BaseException): ...\nraise E('secret')", "import error", "cannot be imported: E (installed_broken_"),
        (
            "class E(ImportError):\n  __str__ = None\nraise E",
            "import error",
            "cannot be imported: E (installed_broken_",
        ),
        (LAZY, "breaks its contract", "reading its class attributes raised RuntimeError (installed_broken_"),
        (META, "breaks its contract", "reading its class attributes raised RuntimeError (installed_broken_"),
        (f"{GOOD}\nChecker.contract_version = '1'", "breaks its contract", "contract_version is '1', expected the int"),
        ("import sys\nsys.exit()", "import error", ".py, line 2)"),
        ("1 / 0", "import error", "cannot be imported: ZeroDivisionError (installed_broken_"),
        ("import json\n\njson.loads('{')", "import error", ".py, line 3)"),
        ("1 +", "import error", ".py, line 1)"),
        ("Chekcer = 5", "import error", ":Checker, which does not exist"),
        (
            GOOD.replace("@classmethod\n    ", ""),
            "breaks its contract",
            "its schema() takes other arguments than (cls): it needs @classmethod (installed_broken_",
        ),
        (
            GOOD.replace("def check", "def powers(cls, value): return ()\n\n    def check"),
            "breaks its contract",
            "its powers() takes other arguments than (cls, value): it needs @classmethod (installed_broken_",
        ),
        (
            GOOD.replace("def check", "def __init__(self, connection): ...\n\n    def check"),
            "breaks its contract",
            "its __init__ takes other arguments than (self) (installed_broken_",
        ),
        (
            GOOD.replace("self, probes", "self"),
            "breaks its contract",
            "its check() takes other arguments than (self, probes) (installed_broken_",
        ),
        (
            GOOD.replace("def check", "async def check"),
            "breaks its contract",
            "its check() is an async function, expected an ordinary one (installed_bro",
        ),
        (f"{GOOD}\nChecker.check_host = None", "breaks its contract", "its check_host is None, expected a method"),
        (CHECKER.format(version=0), "other contract", "speaks version 0 of the plugin contract, this core version 1"),
        (CHECKER.format(version=9), "other contract", "speaks version 9 of the plugin contract, this core version 1"),
        (GOOD.replace("    contract_version = 1\n", ""), "other contract", "does not say which version"),
        ("Checker = 5", "breaks its contract", "its entry point of the group occopus.health names int"),
        (f"{GOOD}\nChecker.powers = None", "breaks its contract", "its powers is None, expected a method"),
        (
            f"{GOOD}\nChecker.powers = lambda value: 1",
            "breaks its contract",
            "is not a sequence of texts",
        ),
        (schema("{'type': 'objekt'}"), "malformed schema", "is not a JSON Schema: 'objekt' at /type"),
        (schema("[]"), "malformed schema", "schema() answered [], expected a mapping"),
        (schema("{'enum': {1, 2}}"), "malformed schema", "not JSON: Object of type set"),
        (schema("1 / 0"), "malformed schema", "schema() raised ZeroDivisionError (installed_broken_"),
        (
            GOOD.replace("return {}", "raise KeyboardInterrupt"),
            "malformed schema",
            "schema() raised KeyboardInterrupt (",
        ),
        (schema("{'$ref': '#/definitions/lost'}"), "malformed schema", "has broken references: #/definitions/lost"),
        (schema("{'items': {'$ref': 'https://x/'}}"), "malformed schema", "has broken references: https://x/"),
        (schema("{'properties': {1: {}}}"), "malformed schema", "not JSON: the key 1 is int, expected a text"),
        (schema("{'enum': [[{None: 1}]]}"), "malformed schema", "not JSON: the key None is NoneType, expected a text"),
        (schema("{'minimum': float('nan')}"), "malformed schema", "not JSON: Out of range float values"),
        (schema(r"{'title': 'a\ud800'}"), "malformed schema", r"not JSON: '\ud800' in a text is half of a character"),
        (schema(r"{'properties': {'\udfff': {}}}"), "malformed schema", r"'\udfff' in a text is half of a character"),
        (schema("{'allOf': [{'$ref': '#'}]}"), "malformed schema", "has references that lead back to themselves: #"),
        (
            schema(
                "{'definitions': {'a': {'not': {'$ref': '#/definitions/b'}}, 'b': {'$ref': '#/definitions/a'},"
                " 'c': {'dependencies': {'x': {'$ref': '#/definitions/c'}}}}}"
            ),
            "malformed schema",
            "lead back to themselves: #/definitions/a, #/definitions/b, #/definitions/c (",
        ),
        (
            GOOD.replace("def check", "@classmethod\n    def powers(cls, value): return ['\\ud800']\n\n    def check"),
            "breaks its contract",
            "powers() answered a text with half of a character (",
        ),
    ],
)
def test_a_broken_plugin_is_one_line_and_affects_no_other(install, request, text, state, reason):
    # A module that was imported once stays: each case has one of its own.
    module = f"installed_broken_{abs(hash(request.node.name))}"
    install("one", "broken", f"{module}:Checker", text)
    install("two", "whole", "installed_whole:Checker", GOOD)
    (broken,) = found("broken")
    assert (broken.state.value, broken.plugin, dict(broken.schema)) == (state, None, {})
    assert reason in broken.reason
    ways = {"other contract": ("upgrade", "needs contract_v"), "import error": ("report it",)}
    assert any(way in broken.reason for way in ways.get(state, ("; report it to its author",)))
    assert "\n" not in broken.reason
    assert "secret" not in broken.reason
    assert [one.state for one in found("whole")] == [PluginState.USABLE]
    assert "broken" not in usable_schemas(installed_plugins())["health"]


def test_two_of_one_name_clash_and_neither_is_imported(install):
    install("one", "twin", "installed_first_twin:Checker", "raise RuntimeError('imported')")
    install("two", "twin", "installed_second_twin:Checker", GOOD)
    assert [(one.distribution, one.state.value, one.reason) for one in found("twin")] == [
        (name, "clash", "the health checker 'twin' is provided by one and by two: uninstall one of them")
        for name in ("one", "two")
    ]


def test_a_type_that_one_distribution_has_twice_names_both_entry_points(install, tmp_path):
    install("one", "double", "installed_double:Checker", GOOD)
    with (tmp_path / "one-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("double = installed_double:number\n")
    by = "one, installed_double:Checker and installed_double:number; report it to its author"
    assert {one.reason for one in found("double")} == {f"the health checker 'double' has several entry points of {by}"}
    with pytest.raises(PluginError, match="has several entry points of one, installed_double:Checker and "):
        Registry().health("double")


@pytest.mark.parametrize("answer", ["1 / 0", "[]", "{'type': 'objekt'}", "{'$ref': '#/lost'}"])
def test_an_invalid_schema_is_refused_with_a_message_when_it_is_used(install, request, answer):
    module = f"installed_mute_{abs(hash(request.node.name))}"
    install("one", "mute", f"{module}:Checker", schema(answer))
    with pytest.raises(PluginError, match="the health checker 'mute' of one has a malformed schema"):
        Registry().schema("health", "mute")


def test_references_within_a_schema_and_data_that_look_like_some_are_well(install):
    answer = "{'definitions': {'a~/b': {}}, 'items': {'$ref': '#/definitions/a~0~1b'}, 'examples': [{'$ref': 'x'}]}"
    install("one", "refers", "installed_refers:Checker", schema(answer))
    assert [one.reason for one in found("refers")] == [""]


def test_a_reference_to_the_whole_is_well_for_parts_of_a_value(install):
    install(
        "one", "tree", "installed_tree:Checker", schema("{'items': {'$ref': '#'}, 'properties': {'a': {'$ref': '#'}}}")
    )
    assert [one.reason for one in found("tree")] == [""]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("async def __init__(self, connection): ...", "__init__"),
        ("@classmethod\n    async def powers(cls, resource): ...", "powers"),
        ("async def check(self, request): ...", "check"),
        ("async def list_owned(self, owner): yield", "list_owned"),
    ],
)
def test_an_async_method_breaks_the_contract(install, text, name):
    module = f"installed_async_{name.strip('_')}"
    install("one", "later", f"{module}:Later", f"{HANDLER}\nclass Later(Handler):\n    {text}\n", kind="resource")
    (one,) = found("later", "resource")
    said = f"breaks its contract: its {name}() is an async function, expected an ordinary one ({module}.py"
    assert said in one.reason


def test_a_handler_whose_constructor_takes_no_connection_breaks_its_contract(install):
    text = HANDLER.replace("def create", "def __init__(self): ...\n    def create")
    install("one", "alone", "installed_alone:Handler", text, kind="resource")
    (one,) = found("alone", "resource")
    fault = "its __init__ takes other arguments than (self, connection) (installed_alone.py, line 29)"
    assert one.reason.endswith(f"breaks its contract: {fault}; report it to its author")


@pytest.mark.parametrize("key", ["type", "name"])
def test_a_schema_that_describes_a_key_of_the_core_is_malformed(install, key):
    text = HANDLER.replace('"size": {', f'"{key}": {{')
    install("one", f"owns_{key}", f"installed_owns_{key}:Handler", text, kind="resource")
    (one,) = found(f"owns_{key}", "resource")
    assert one.state is PluginState.MALFORMED_SCHEMA
    assert f"schema() describes {key}, which the core adds (installed_owns_{key}.py, line 10)" in one.reason


def test_powers_are_shown_as_lines_that_can_be_printed(install):
    text = HANDLER.replace('f"mount {one}"', 'f"mount\\n\\x1b[31m\\ud800 {len(one)}"')
    install("one", "colourful", "installed_colourful:Handler", text, kind="resource")
    (mounts,) = [key for key in details(*found("colourful", "resource")).keys if key.name == "mounts"]
    assert mounts.powers == ["mount 14"]


def test_the_details_are_those_of_the_class_and_its_schema(install):
    install("one", "made", "installed_made:Handler", HANDLER, kind="resource")
    about = details(*found("made", "resource"))
    assert [(key.name, key.types, key.required, key.powers) for key in about.keys] == [
        ("endpoint", "string", True, [NEEDS_LEAVE]),
        ("size", "small | 2", False, []),
        ("mounts", "array", False, ["mount {{ anything }}"]),
        ("jump", "object", False, [LOGS_IN]),
        ("image", "string", False, [FETCHES]),
        ("stop_seconds", "number", False, []),
    ]
    assert about.powers == ["a bill"]
    assert (about.connection_keys, about.forms, about.features) == (["endpoint"], ["user_data"], ["stop"])


def test_needs_are_those_of_the_distribution_without_its_extras(install):
    requires = ["pytest >= 8", "no-such-thing[x] (>= 1)", "shy; extra == 'testing'", "b; python_version < '3'", "?"]
    install("one", "needy", "installed_needy:Checker", GOOD, requires=requires)
    known = {need.requirement: (need.installed, need.met) for need in needs("one")}
    assert known == {
        "no-such-thing[x] (>= 1)": (None, False),
        "pytest >= 8": (pytest.__version__, True),
        "?": (None, False),
    }
    assert needs("not-installed-at-all") == []
    (one,) = found("needy")
    assert one.state is PluginState.USABLE
    assert one.note == "its distribution needs no-such-thing[x] (>= 1) (not installed), ? (not installed)"
    assert one.summary()["note"] == one.note


@pytest.mark.parametrize(
    ("version", "wanted", "met"),
    [
        ("2.0.0.dev0", ">=2.0.0.dev0,<3", True),
        ("2.0.0.dev0", ">=2,<3", True),
        ("2.1.0rc1", "~=2.1", True),
        ("2.0.0.dev0", "==2.0.0.dev0", True),
        ("2.0.0.dev0", "<2", False),
        ("2.0.0.dev0", "<1", False),
        ("2.0.0", ">2", False),
        ("bent", "<1", False),
    ],
)
def test_a_development_version_counts_as_its_release(install, monkeypatch, version, wanted, met):
    install("one", "ranged", "installed_ranged:Checker", GOOD, requires=[f"occopus-core{wanted}"])
    monkeypatch.setattr(installed.metadata, "version", lambda _name: version)
    (need,) = needs("one")
    assert need.met is met
    mark = "" if met else ", not met"
    assert need.requirement.startswith("occopus-core")
    assert str(need) == f"{need.requirement} ({version}{mark})"


def test_a_long_error_is_cut():
    assert one_line("x\n y" * 300).startswith("x yx y")
    assert len(one_line("x" * 1000)) == 301


def types(plugins):
    return {one.type for one in plugins if one.distribution in {"one", "two"}}


def test_the_list_of_a_service_follows_what_is_installed(install, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(installed, "installed_plugins", lambda: made.append(1) or installed_plugins())
    listed = PluginList()
    install("one", "pulse", "installed_one:Checker", GOOD)
    assert [types(listed()) for _ in range(3)] == [{"pulse"}] * 3
    assert len(made) == 1
    install("two", "breath", "installed_two:Checker", GOOD)
    assert types(listed()) == {"pulse", "breath"}
    shutil.rmtree(tmp_path / "one-1.0.dist-info")
    assert types(listed()) == {"breath"}
    assert len(made) == 3


@pytest.fixture
def gate(install, monkeypatch):
    """Two plugins whose imports wait until the event is set."""
    opened = threading.Event()
    module = ModuleType("test_gate")
    module.wait = opened.wait
    monkeypatch.setitem(sys.modules, "test_gate", module)
    monkeypatch.delitem(sys.modules, "gate_first", raising=False)
    monkeypatch.delitem(sys.modules, "gate_second", raising=False)
    for name in ("first", "second"):
        install(f"gate-{name}", name, f"gate_{name}:Checker", f"import test_gate\ntest_gate.wait()\n{GOOD}")
    yield opened
    opened.set()


def test_a_feature_without_its_method_breaks_the_contract(install):
    text = HANDLER.replace("{Feature.STOP}", "{Feature.STOP, Feature.LOGS}")
    install("half-one", "half", "half_cloud:Handler", text, kind="resource")
    (half,) = installed_plugins("resource", "half")
    assert half.state is PluginState.BREAKS_CONTRACT
    assert (
        "its class attribute features has Feature.LOGS, but its class has no logs() (half_cloud.py, line "
        in half.reason
    )


def test_imports_that_take_long_go_on_beside_each_other(gate, monkeypatch):
    monkeypatch.setattr(installed, "SLOW_SECONDS", 0.01)
    slow = []

    def waiting(what):
        slow.append(what)
        if slow[-1] == "health/second":
            gate.set()

    listed = [one for one in installed_plugins("health", waiting=waiting) if one.type in ("first", "second")]
    assert {"health/first", "health/second"} <= set(slow)
    assert [one.state for one in listed] == [PluginState.USABLE] * 2


def test_one_plugin_is_listed_without_the_import_of_others(gate, install):
    install("quick-one", "quick", "quick_pulse:Checker", GOOD)
    slow = []
    (quick,) = installed_plugins("health", "quick", slow.append)
    assert quick.state is PluginState.USABLE
    assert slow == []


def test_a_module_that_cannot_be_imported_is_run_once(install):
    install("bad-one", "bad", "bad_pulse:Checker", "import sys\nsys.runs = getattr(sys, 'runs', 0) + 1\nraise OSError")
    try:
        assert found("bad")[0].state is PluginState.IMPORT_ERROR
        assert sys.runs == 1
    finally:
        del sys.runs
