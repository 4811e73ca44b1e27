"""Conformance of contextualisers: what `occopus_core.api.context` asks of them, as an abstract pytest class.

A plugin derives from the class and says which section to turn into a context::

    class TestConformance(ContextualiserConformance):
        @pytest.fixture
        def harness(self):
            return ContextHarness(CloudInit, {"context_template": {"runcmd": ["echo {{ word }}"]}})

Each text of the section has ``{{ word }}`` in it, which the suite renders as another word.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import jsonschema

from occopus_core.api import Context, ContextForm, Contextualiser, PermanentError
from occopus_core.api.ssh import HostKeyPair
from occopus_core.testing import suite
from occopus_core.testing.shape import assert_describes_properties, assert_no_io, assert_states_version

TEMPLATE = "{{ word }}"
HOST_KEY = HostKeyPair("ssh-ed25519 AAAA", "a private key")
"""The result of `render.host_key` in the suite."""
_CROWD = 16
_DAY = 86_400
"""In seconds."""


class RefusedTemplateError(Exception):
    """Stands for the error of a template, which is not the plugin's."""


class ContextHarness(suite.Harness):
    """A contextualiser, and a section in which every text except names contains `TEMPLATE`."""

    def __init__(
        self, contextualiser: type[Contextualiser], section: Mapping[str, Any], wrong: Mapping[str, Any] | None = None
    ) -> None:
        self.contextualiser = contextualiser
        self.section = section
        self.wrong = wrong
        """A section that the schema accepts and the contextualiser refuses; None if there is no such section."""


class ContextualiserConformance(suite.Suite):
    """Every clause of the contract. Derive from it, name the class ``Test…`` and give it the fixture `harness`."""

    def test_contract_version(self, harness: ContextHarness) -> None:
        """The class states which version of the contract it is written for, and it is the current one."""
        assert_states_version(harness.contextualiser)

    def test_forms(self, harness: ContextHarness) -> None:
        """`forms` names the forms of context that it makes; an empty set means none."""
        forms = getattr(harness.contextualiser, "forms", None)
        assert isinstance(forms, Set), "the class declares no forms: a frozenset of `ContextForm`s"
        assert all(isinstance(form, ContextForm) for form in forms), "forms are `ContextForm`s"

    def test_schema(self, harness: ContextHarness) -> None:
        """The schema is a valid schema of an object, without `type`, and accepts working sections."""
        schema = harness.contextualiser.schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("type") == "object", "the schema is of an object"
        assert "type" not in schema.get("properties", {}), "the core adds `type`"
        jsonschema.Draft7Validator(schema).validate(harness.section)

    def test_schema_describes_every_property(self, harness: ContextHarness) -> None:
        """Every property of the schema has a description, which editors show."""
        assert_describes_properties(harness.contextualiser.schema())

    def test_only_declared_forms(self, harness: ContextHarness) -> None:
        """It sets only the fields of `Context` that belong to its forms."""
        context = _made(harness)
        forms = harness.contextualiser.forms
        process = bool(context.env) or context.command is not None
        assert ContextForm.USER_DATA in forms or context.user_data is None, "user data that `forms` does not declare"
        assert ContextForm.PROCESS in forms or not process, "environment or command that `forms` does not declare"
        assert not forms or process or context.user_data is not None, "it makes no context at all"

    def test_types(self, harness: ContextHarness) -> None:
        """The fields have their types: a text; a tuple of ``NAME=value``; a text or a tuple of words."""
        context = _made(harness)
        command = context.command
        assert isinstance(context, Context), f"it answers {type(context).__name__}, not a `Context`"
        assert isinstance(context.user_data, str | None), "user data is a text"
        assert isinstance(context.env, tuple), "the environment is a tuple"
        assert all("=" in entry for entry in context.env), "an entry of the environment is NAME=value"
        words = isinstance(command, tuple) and all(isinstance(word, str) for word in command)
        assert words or isinstance(command, str | None), "a command is a text or a tuple of words"

    def test_every_text_is_rendered(self, harness: ContextHarness) -> None:
        """Every text of the section is passed to `render`."""
        render = _Rendering("word-7")
        shown = _shown(harness.contextualiser().contextualise(harness.section, render))
        given = "\n".join(text for value in render.values for text in _texts(value))
        missed = [text for text in _texts(harness.section) if text not in given]
        assert not missed, f"texts that are not rendered: {', '.join(sorted(missed))}"
        assert TEMPLATE not in shown, "a text arrives with its template in it"
        if harness.contextualiser.forms:
            assert "word-7" in shown, "what the templates render to does not arrive"

    def test_places(self, harness: ContextHarness) -> None:
        """`at` is the path of the rendered value, starting with `contextualisation`: messages name it."""
        render = _Rendering("word-7")
        harness.contextualiser().contextualise(harness.section, render)
        keys = set(harness.section)
        wrong = [at for at in render.places if at.partition(".")[0] != "contextualisation" or not _is_below(at, keys)]
        assert not wrong, f"no path of the section: {', '.join(wrong)}"

    def test_template_errors_pass(self, harness: ContextHarness) -> None:
        """An error of `render` is propagated unchanged."""
        try:
            harness.contextualiser().contextualise(harness.section, _Refusing(""))
        except RefusedTemplateError:
            return
        raise AssertionError("an error of a template does not come out: the section would be made without its text")

    def test_wrong_section(self, harness: ContextHarness) -> None:
        """An invalid section raises `PermanentError`."""
        if harness.wrong is None:
            return
        try:
            harness.contextualiser().contextualise(harness.wrong, _Rendering("x"))
        except PermanentError:
            return
        raise AssertionError("a section that cannot be meant is taken")

    def test_no_io(self, harness: ContextHarness) -> None:
        """`contextualise` does no I/O."""
        _made(harness)  # imports are made before
        assert_no_io(lambda: _made(harness))

    def test_stateless(self, harness: ContextHarness) -> None:
        """It is stateless: the same section gives the same context, and is not changed."""
        section, contextualiser = copy.deepcopy(harness.section), harness.contextualiser()
        first = contextualiser.contextualise(section, _Rendering("one"))
        contextualiser.contextualise(section, _Rendering("another"))
        assert contextualiser.contextualise(section, _Rendering("one")) == first, "an earlier call changes a later one"
        assert section == harness.section, "it changed the section it was given"

    def test_deterministic(self, harness: ContextHarness) -> None:
        """The same section gives the same context at any time: with another one, a build replaces the instance."""
        first, later = _made(harness), time.time() + _DAY
        with mock.patch("time.time", return_value=later), mock.patch("time.time_ns", return_value=int(later * 10**9)):
            second = _made(harness)
        assert second == first, "the same section gives another context at another time"

    def test_side_by_side(self, harness: ContextHarness) -> None:
        """It is thread-safe: concurrent calls do not mix up their contexts."""
        contextualiser = harness.contextualiser()
        words = [f"word-{number}-of-many" for number in range(_CROWD)]
        with ThreadPoolExecutor(_CROWD) as threads:
            made = list(
                threads.map(lambda word: contextualiser.contextualise(harness.section, _Rendering(word)), words)
            )
        for word, context in zip(words, made, strict=True):
            assert word in _shown(context) or not harness.contextualiser.forms, "a context has another one's words"

    def test_powers_without_io(self, harness: ContextHarness) -> None:
        """`powers` returns texts without I/O, also for sections with templates."""
        found: list[Any] = []
        assert_no_io(lambda: found.extend(harness.contextualiser.powers(harness.section)))
        assert all(isinstance(each, str) and each for each in found), "a power is a text that says what it is"


CLAUSES = suite.clauses(ContextualiserConformance)
"""The names of all clauses."""
failures = functools.partial(suite.failures, ContextualiserConformance)
"""Run clauses on harnesses without pytest; see `occopus_core.testing.suite.failures`."""


def _made(harness: ContextHarness, word: str = "word-7") -> Context:
    return harness.contextualiser().contextualise(harness.section, _Rendering(word))


class _Rendering:
    """Renders `TEMPLATE` as a word. Records `places` and `values` of rendered texts."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.places: list[str] = []
        self.values: list[Any] = []

    def __call__(self, value: Any, /, at: str, **_names: object) -> Any:
        assert isinstance(at, str), "`at` is a path"
        self.places.append(at)
        self.values.append(value)
        return _with(value, self._word)

    def host_key(self) -> HostKeyPair:
        return HOST_KEY


class _Refusing(_Rendering):
    """Refuses to render any text."""

    def __call__(self, _value: Any, /, at: str, **_names: object) -> Any:
        raise RefusedTemplateError(at)


def _with(value: Any, word: str) -> Any:
    """The value with the word in place of the template, in every text in it."""
    if isinstance(value, str):
        return value.replace(TEMPLATE, word)
    if isinstance(value, Mapping):
        return {key: _with(each, word) for key, each in value.items()}
    return [_with(each, word) for each in value] if isinstance(value, list | tuple) else value


def _texts(value: Any) -> set[str]:
    """Every text in a value that contains `TEMPLATE`."""
    if isinstance(value, str):
        return {value} if TEMPLATE in value else set()
    below = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {text for each in below for text in _texts(each)}


def _shown(context: Context) -> str:
    return "\n".join(map(str, (context.user_data, *context.env, context.command)))


def _is_below(at: str, keys: set[str]) -> bool:
    rest = at.removeprefix("contextualisation").removeprefix(".")
    return not rest or rest.replace("[", ".").partition(".")[0] in keys
