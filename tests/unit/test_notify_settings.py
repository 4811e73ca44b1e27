"""The section `notify` of the configuration and of the credentials."""

from __future__ import annotations

import pytest

from occopus_core.api.notify import Notifier
from occopus_core.credentials import Credentials
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.events import FORMER_NAMES, PASSING, EventKind
from occopus_core.registry import Registry
from occopus_core.settings import Settings

URL = "https://hooks.example.org/T0P-S3CR3T"


class Hook(Notifier):
    @classmethod
    def schema(cls):
        return {
            "type": "object",
            "required": ["url"],
            "properties": {"url": {"type": "string", "pattern": "^https://", "writeOnly": True}},
        }

    def send(self, notifications):
        raise NotImplementedError


@pytest.fixture
def load(tmp_path):
    def read(text):
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return Settings.load(str(file), {}, Registry({("notify", "hook"): Hook}))

    return read


@pytest.fixture
def complaints(load):
    def of(text):
        with pytest.raises(DescriptionError) as caught:
            load(text)
        return [str(problem).partition("config.yaml:")[2] for problem in caught.value.problems]

    return of


def test_without_the_section_there_are_no_notifications(load):
    assert load("store: sqlite:////x").notify == ()


def test_an_entry(load):
    settings = load(
        f"notify:\n- {{type: hook, url: '{URL}', name: ops, events: [nodecreated, healing], infrastructures: [shop]}}"
    )
    (one,) = settings.notify
    assert (one.name, one.type, one.settings) == ("ops", "hook", {"url": URL})
    assert one.events == {"node ready", "healing"}
    assert one.infrastructures == {"shop"}
    assert settings.warnings == ()


def test_by_default_all_events_are_sent(load):
    (one,) = load(f"notify: [{{type: hook, url: '{URL}'}}]").notify
    assert one.events == one.infrastructures == frozenset()


def test_neither_urls_nor_filters_are_shown(load):
    assert "S3CR3T" not in repr(load(f"notify: [{{type: hook, url: '{URL}'}}]"))


def test_the_name_lasts_as_long_as_the_receiver(load):
    names = [
        load(f"notify: [{{type: hook, {rest}}}]").notify[0].name
        for rest in (f"url: '{URL}'", f"url: '{URL}', events: [healing]", f"url: '{URL}/other'")
    ]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("hook-") for name in names)
    assert not [name for name in names if "S3CR3T" in name]


def test_a_plugin_that_cannot_be_loaded_leaves_its_own_keys_unchecked(load, complaints):
    (one,) = load("notify: [{type: smoke, fires: 3}]").notify
    assert (one.name, one.label, one.settings) == ("smoke-" + one.name[6:], "smoke", {"fires": 3})
    (line,) = complaints("notify: [{type: smoke, events: []}]")
    assert "notify[0].events: this is empty" in line


def test_who_never_notifies_loads_no_notifier(tmp_path):
    class Unread(Hook):
        @classmethod
        def schema(cls):
            raise AssertionError

    file = tmp_path / "config.yaml"
    file.write_text("notify: [{type: hook}]")
    settings = Settings.load(str(file), {}, Registry({("notify", "hook"): Unread}), notifies=False)
    assert [one.type for one in settings.notify] == ["hook"]


@pytest.mark.parametrize("event", [kind.value for kind in EventKind if kind not in PASSING])
def test_every_recorded_kind_can_be_selected(load, event):
    (one,) = load(f"notify: [{{type: hook, url: '{URL}', events: ['{event}']}}]").notify
    assert one.events == {event}


@pytest.mark.parametrize(("kind", "name"), FORMER_NAMES.items())
def test_every_name_of_1_x_can_be_selected(load, kind, name):
    (one,) = load(f"notify: [{{type: hook, url: '{URL}', events: [{name}]}}]").notify
    assert one.events == {kind.value}


def test_the_names_of_1_x_are_those_that_its_users_know():
    assert set(FORMER_NAMES.values()) == {
        "infrastart", "infraready", "infraupdated", "infradrop",
        "nodecreating", "nodecreated", "nodefailed", "nodedropping", "nodedropped",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ("{}", "1:9: notify: this is a mapping, not a list"),
        ("[{url: 'https://x'}]", "1:10: notify[0]: the key 'type' is missing"),
        ("[{type: hook}]", "1:10: notify[0]: the key 'url' is missing"),
        ("[{type: hook, url: 'ftp://S3CR3T'}]", "1:28: notify[0].url: this does not match the pattern ^https://"),
        ("[{type: hook, url: 'https://x', colour: red}]", "notify[0].colour: unknown key 'colour'"),
        ("[{type: hook, url: 'https://x', events: []}]", "notify[0].events: this is empty"),
        ("[{type: hook, url: 'https://x', events: [nodecreatd]}]", "did you mean 'nodecreated'?"),
        ("[{type: hook, url: 'https://x', events: ['node waiting']}]", "'node waiting' is not one of"),
        (
            "[{type: hook, url: 'https://x'}, {type: hook, url: 'https://x', events: [healing]}]",
            "notify[1]: this notifier is there already: put their events together, or give each a 'name' of its own",
        ),
        (
            "[{type: hook, url: 'https://x', name: a}, {type: hook, url: 'https://y', name: a}]",
            "notify[1]: this notifier is there already",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line(complaints, section, complaint):
    (line,) = complaints(f"notify: {section}")
    assert complaint in line
    assert "S3CR3T" not in line


def test_two_with_names_of_their_own_may_share_a_receiver(load):
    text = "notify: [{type: hook, url: 'https://x', name: a}, {type: hook, url: 'https://x', name: b}]"
    assert [one.name for one in load(text).notify] == ["a", "b"]


def test_secrets_are_found_by_type_and_url(tmp_path):
    file = tmp_path / "auth.yaml"
    file.write_text(
        "notify:\n"
        "  - {type: hook, url: 'https://a', auth_data: {secret: secret-of-a}}\n"
        "  - {type: hook, url: 'https://b', auth_data: {secret: secret-of-b}}\n"
    )
    file.chmod(0o600)
    credentials = Credentials.load(str(file), {})
    assert credentials.find("notify", {"type": "hook", "url": "https://b"})["secret"] == "secret-of-b"
    assert not credentials.find("notify", {"type": "hook", "url": "https://c"})
    assert credentials.secrets() == {"secret-of-a", "secret-of-b"}
