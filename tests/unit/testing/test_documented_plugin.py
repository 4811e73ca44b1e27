"""The handler of docs/plugins.md and its harness in docs/testing.md, run as they stand there."""

from __future__ import annotations

import inspect
import re
import sys
import types
from dataclasses import fields
from pathlib import Path

import pytest

from occopus_core import api
from occopus_core.testing.conformance import failures

DOCS = Path(__file__).parents[3] / "docs"


def block(page: str, defining: str) -> str:
    """The block of Python on a page of the documentation that defines a class."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if f"\nclass {defining}(" in block)


@pytest.fixture
def harness(monkeypatch):
    plugin = types.ModuleType("occopus_resource_folder")
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    exec(block("plugins.md", "FolderHandler"), plugin.__dict__)
    test = types.ModuleType("documented_harness")
    exec(block("testing.md", "FolderHarness"), test.__dict__)
    return test.FolderHarness


def test_the_documented_handler_conforms(harness):
    assert failures(harness) == {}


def test_the_documented_harness_declines_nothing_that_it_could_show(harness):
    declined = set(harness.not_applicable)
    harness.not_applicable = {}
    assert set(failures(harness)) == declined


def test_a_folder_that_is_missing_is_said(harness, tmp_path):
    stage = harness()
    request = stage.request("t-1", api.Owner("here"))
    stage.close()
    with pytest.raises(api.PermanentError, match="No such file or directory"):
        stage.handler().create(request)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "CreateRequest",
        "Context",
        "Owner",
        "Instance",
        "Address",
        "ConfigNode",
        "Peer",
        "ConfigStatus",
        "Registered",
        "SectionFault",
        "Probe",
        "Verdict",
        "Notification",
    ],
)
def test_the_fields_of_a_type_are_those_documented(name):
    row = re.search(rf"^\| `{name}` \| (.*) \|$", (DOCS / "plugins.md").read_text("utf-8"), re.MULTILINE)
    documented = re.findall(r"`(\w+)(?: = [^`]+)?`", row[1])
    wanted = [field.name for field in fields(getattr(api, name))]
    assert [word for word in documented if word in wanted] == wanted


@pytest.mark.parametrize("name", ["InstanceState", "ConfigState"])
def test_the_states_are_those_documented(name):
    row = re.search(rf"^\| `{name}` \| (.*) \|$", (DOCS / "plugins.md").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row[1]) == [state.name for state in getattr(api, name)]


METHODS = [
    (api.ResourceHandler, ["create", "describe", "list_owned", "delete"]),
    (
        api.ConfigManager,
        [
            "schema",
            "powers",
            "faults",
            "check",
            "template_variables",
            "register",
            "configure",
            "status",
            "cancel",
            "leave",
            "forget",
            "forget_infrastructure",
            "list_registered",
        ],
    ),
    (api.HealthChecker, ["schema", "powers", "check_host", "check"]),
    (api.Notifier, ["send"]),
]


@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind, methods in METHODS for method in methods])
def test_a_method_has_the_signature_documented(kind, method):
    signature = str(inspect.signature(getattr(kind, method))).replace("'", "").replace("(self, ", "(")
    assert f"`{method}{signature}`" in (DOCS / "plugins.md").read_text("utf-8")
