"""Class attributes of plugins are checked when the plugin is loaded, with one message of that plugin."""

import pytest

from occopus_core.api import (
    ConfigManager,
    ContextForm,
    Contextualiser,
    HealthChecker,
    Notifier,
    ResourceHandler,
)
from occopus_core.api.declared import asked_methods, fault_of_declarations, fault_of_method
from occopus_core.registry import PluginError, Registry

GRACE = "a number of seconds from 0 to 86400"
COUNT = "a whole number from 1 to 10000"
POLL = "the shortest and the longest time in seconds, above 0 and at most 30 and 300"
WRONG = [
    (ResourceHandler, "connection_keys", "endpoint", "a tuple of names"),
    (ResourceHandler, "connection_keys", (1,), "a tuple of names"),
    (ResourceHandler, "harmless_keys", "region", "a tuple of names"),
    (ResourceHandler, "context_forms", frozenset({"user_data"}), "a frozenset of ContextForm"),
    (ResourceHandler, "features", None, "a frozenset of Feature"),
    (ResourceHandler, "stop_seconds", "5", GRACE),
    (ResourceHandler, "stop_seconds", float("nan"), GRACE),
    (ResourceHandler, "max_concurrency", 0, COUNT),
    (ResourceHandler, "max_concurrency", 2.5, COUNT),
    (ResourceHandler, "max_concurrency", True, COUNT),
    (ResourceHandler, "poll_seconds", 5.0, POLL),
    (ResourceHandler, "poll_seconds", (5.0, 0.2), POLL),
    (ResourceHandler, "poll_seconds", (0.0, 0.2), POLL),
    (ResourceHandler, "consistency_window", -1, "a number of seconds from 0 to 3600"),
    (ResourceHandler, "consistency_window", float("inf"), "a number of seconds from 0 to 3600"),
    (ResourceHandler, "poll_seconds", (200, 5000), POLL),
    (ResourceHandler, "poll_seconds", (1, 1e300), POLL),
    (ResourceHandler, "stop_seconds", 10**30, GRACE),
    (ResourceHandler, "max_concurrency", 10**6, COUNT),
    (ConfigManager, "poll_seconds", (1, float("nan")), POLL),
    (ConfigManager, "harmless_keys", None, "a tuple of names"),
    (ConfigManager, "leave_seconds", "60", GRACE),
    (ConfigManager, "leave_seconds", None, GRACE),
    (ConfigManager, "max_jobs", "4", f"{COUNT}, or None"),
    (ConfigManager, "max_jobs", 0, f"{COUNT}, or None"),
    (ConfigManager, "live", "yes", "True or False"),
    (Contextualiser, "forms", (), "a frozenset of ContextForm"),
    (Notifier, "batch_size", "100", COUNT),
]
KINDS = {ResourceHandler: "resource", ConfigManager: "config", Contextualiser: "context", Notifier: "notify"}
WORDS = {"resource": "resource handler", "config": "configuration manager", "context": "contextualisation"}
NEEDED = {Contextualiser: {"forms": frozenset({ContextForm.USER_DATA})}}


def plugin(base, **attributes):
    return type("Plugin", (base,), {"contract_version": 1, **NEEDED.get(base, {}), **attributes})


@pytest.mark.parametrize(("base", "name", "value", "expected"), WRONG)
def test_a_wrong_one_is_one_message_of_that_plugin(base, name, value, expected):
    kind = KINDS[base]
    registry = Registry({(kind, "mine"): plugin(base, **{name: value})})
    with pytest.raises(PluginError) as refused:
        getattr(registry, kind)("mine")
    words = WORDS.get(kind, "notifier")
    message = f"the {words} 'mine' breaks its contract: its class attribute {name} is {value!r}, expected {expected}"
    assert str(refused.value) == f"{message}; report it to its author"


@pytest.mark.parametrize("base", [ResourceHandler, ConfigManager])
@pytest.mark.parametrize(
    ("keys", "harmless", "message"),
    [
        (("endpoint",), ("endpoint",), "names 'endpoint', which is never harmless"),
        (("endpoint",), ("regoin",), "names 'regoin', which is not one of its connection_keys"),
    ],
)
def test_harmless_keys_are_other_connection_keys_than_the_endpoint(base, keys, harmless, message):
    fault = fault_of_declarations(plugin(base, connection_keys=keys, harmless_keys=harmless))
    assert fault == f"its class attribute harmless_keys {message}"


@pytest.mark.parametrize("base", [*KINDS, HealthChecker])
def test_the_defaults_are_right(base):
    assert fault_of_declarations(plugin(base)) == ""


@pytest.mark.parametrize(
    ("base", "attributes"),
    [
        (ResourceHandler, {"stop_seconds": 5, "consistency_window": 0, "poll_seconds": [1, 1]}),
        (ResourceHandler, {"connection_keys": ["endpoint", "region"], "harmless_keys": ["region"]}),
        (ConfigManager, {"max_jobs": 4, "leave_seconds": 0, "connection_keys": ()}),
        (HealthChecker, {"max_jobs": "another plugin's own business"}),
    ],
)
def test_right_values_of_other_types_are_taken(base, attributes):
    assert fault_of_declarations(plugin(base, **attributes)) == ""


ANSWERS = [
    ("powers", None, "its powers is None, expected a method"),
    ("powers", (), "its powers is (), expected a method"),
    ("powers", lambda section: "a bill", "powers() answered a value that is not a sequence of texts"),
    ("powers", lambda section: None, "powers() answered a value that is not a sequence of texts"),
    ("powers", lambda section: [None], "powers() answered a value that is not a sequence of texts"),
    ("sources", lambda section: "files.example.org", "sources() answered a value that is not a sequence of texts"),
    ("auth_fault", lambda auth: None, "auth_fault() answered NoneType, expected a text"),
]


@pytest.mark.parametrize(("name", "answer", "fault"), ANSWERS)
def test_a_method_without_io_that_answers_a_wrong_type_is_found_when_the_plugin_is_loaded(name, answer, fault):
    value = staticmethod(answer) if callable(answer) else answer
    with pytest.raises(PluginError) as refused:
        Registry({("resource", "mine"): plugin(ResourceHandler, **{name: value})}).resource("mine")
    place = f" (tests/unit/api/test_declared.py, line {answer.__code__.co_firstlineno})" if callable(answer) else ""
    assert (
        str(refused.value)
        == f"the resource handler 'mine' breaks its contract: {fault}{place}; report it to its author"
    )


@pytest.mark.parametrize("base", [ConfigManager, HealthChecker, Contextualiser])
def test_powers_are_texts_for_every_kind(base):
    assert "powers" in asked_methods(base)
    assert fault_of_method("powers", lambda _: "a bill") == "powers() answered a value that is not a sequence of texts"


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["powers", "auth_fault"])
def test_a_method_that_raises_for_an_empty_section_is_no_fault(name, error):
    def raises(_):
        raise error

    mine = plugin(ResourceHandler, **{name: staticmethod(raises)})
    assert Registry({("resource", "mine"): mine}).resource("mine") is mine
