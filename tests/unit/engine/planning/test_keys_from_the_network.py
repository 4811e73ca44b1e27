"""Which keys of each plugin of the project a definition from the network may not set without the operator's leave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.planning.trust import refuse_powers
from occopus_core.installed import installed_plugins
from occopus_core.registry import Registry

ROOT = Path(__file__).resolve().parents[4]
ALWAYS = "type"
"""In place of a key: the plugin is refused as a whole."""
VALUE = "value"
"""In place of a key: a value that is no mapping."""
HANDLED = ("resource", "config", "health", "context")
"""The kinds of plugins that node definitions name; those of `notify` are in the configuration of the service alone."""
REFUSED = {
    ("resource", "azure_aci"): {"endpoint"},
    ("resource", "azure_vm"): {"endpoint", "identity"},
    ("resource", "cloudbroker"): {"endpoint"},
    ("resource", "cloudsigma"): {"endpoint"},
    ("resource", "docker"): {"endpoint", "image", "origin", "volumes", "network", "network_mode"},
    ("resource", "ec2"): {"endpoint", "iam_instance_profile"},
    ("resource", "local"): {ALWAYS, "root"},
    ("resource", "nova"): {"endpoint"},
    ("resource", "sim"): {"endpoint"},
    ("config", "ansible"): {ALWAYS, "root", "jump"},
    ("config", "chef"): {"endpoint"},
    ("config", "puppet_solo"): set(),
    ("config", "sim"): {"endpoint"},
    ("config", "ssh"): {"name", "jump"},
    ("health", "mysqldbs"): set(),
    ("health", "ping"): set(),
    ("health", "ports"): set(),
    ("health", "ssh"): {"jump"},
    ("health", "urls"): {VALUE},
    ("context", "basic"): set(),
    ("context", "cloudinit"): set(),
    ("context", "docker"): set(),
}
HARMLESS = {
    "azure_aci": {"subscription_id", "resource_group"},
    "azure_vm": {"subscription_id", "resource_group"},
    "ec2": {"regionname"},
    "nova": {"project_id", "tenant_name", "region_name", "user_domain_name", "domain_name"},
    "sim": {"project"},
}
"""Connection keys that definitions of 1.x have always named, and what their values may be is the account's matter."""

PLUGINS = {
    (one.kind, one.type): one
    for one in installed_plugins()
    if one.kind in HANDLED and one.distribution.startswith("occopus-")
}
TEMPLATE = "{{ variables.x }}"


def test_every_plugin_is_in_the_table():
    assert PLUGINS.keys() == REFUSED.keys()


def implementation(kind, type, section):
    if kind == "health":
        return Implementation({"type": "sim"}, None, None, HealthCheck({type: section}))
    full = {"type": type, **section}
    return {
        "resource": lambda: Implementation(full, None, None, HealthCheck()),
        "config": lambda: Implementation({"type": "sim"}, None, full, HealthCheck()),
        "context": lambda: Implementation({"type": "sim"}, full, None, HealthCheck()),
    }[kind]()


def refusals(kind, type, section):
    try:
        refuse_powers([NodeDefinition("n", (implementation(kind, type, section),))], Registry(), (), Credentials())
    except DescriptionError as error:
        return {problem.message for problem in error.problems}
    return set()


def worst(schema):
    """A value that may become anything."""
    return [TEMPLATE] if isinstance(schema, dict) and "array" in str(schema.get("type")) else TEMPLATE


@pytest.mark.parametrize(("kind", "type"), sorted(REFUSED))
def test_the_keys_that_are_refused(kind, type):
    schema = PLUGINS[kind, type].schema
    if schema.get("type", "object") != "object":
        assert ({VALUE} if refusals(kind, type, worst(schema)) else set()) == REFUSED[kind, type]
        return
    always = refusals(kind, type, {})
    refused = {
        key for key, piece in schema.get("properties", {}).items() if refusals(kind, type, {key: worst(piece)}) - always
    }
    assert refused | ({ALWAYS} if always else set()) == REFUSED[kind, type]


def test_the_document_has_the_same_keys():
    """The table of docs/rest.md: what is left out of it has no such keys."""
    text = (ROOT / "docs" / "rest.md").read_text("utf-8").partition("| `type` | refused")[2].partition("\n\n")[0]
    rows = [[re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    documented = {type: (set(refused), set(harmless)) for types, refused, harmless in rows for type in types}
    wanted = {}
    for (kind, type), keys in REFUSED.items():
        refused, harmless = keys - {ALWAYS, VALUE}, HARMLESS.get(type, set()) if kind == "resource" else set()
        if kind in ("resource", "config") and ALWAYS not in keys and type != "sim" and (refused or harmless):
            wanted[type] = (refused, harmless)
    assert documented == wanted


@pytest.mark.parametrize(("kind", "type"), sorted(key for key in REFUSED if key[0] in ("resource", "config")))
def test_the_other_connection_keys_are_harmless_and_named(kind, type):
    plugin = PLUGINS[kind, type].plugin
    named = HARMLESS.get(type, set()) if kind == "resource" else set()
    assert set(plugin.harmless_keys) == named
    assert set(plugin.connection_keys) - named <= REFUSED[kind, type]


@pytest.mark.parametrize(
    ("kind", "type", "key", "entry"),
    [
        ("resource", "ec2", "endpoint", {"endpoint": "https://ec2.eu-west-1.amazonaws.com"}),
        ("resource", "nova", "endpoint", {"endpoint": "https://keystone.example.org:5000/v3"}),
        ("config", "chef", "endpoint", {"endpoint": "https://chef.example.org"}),
        ("config", "ssh", "name", {"name": "of-the-web-nodes"}),
    ],
)
def test_what_an_entry_of_the_credentials_names_is_allowed(tmp_path, kind, type, key, entry):
    section = {"resource": "resource", "config": "config_management"}[kind]
    file = tmp_path / "auth_data.yaml"
    file.write_text(json.dumps({section: [{"type": type, **entry, "auth_data": {"user": "me", "password": "p"}}]}))
    file.chmod(0o600)
    definition = NodeDefinition("n", (implementation(kind, type, entry),))
    refuse_powers([definition], Registry(), (), Credentials.load(str(file)))
    refuse_powers([definition], Registry(), [entry[key]], Credentials())
    with pytest.raises(DescriptionError, match=f"the {key} '.*' is not allowed"):
        refuse_powers([definition], Registry(), (), Credentials())
