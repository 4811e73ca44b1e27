"""Errors of plugins that are a `ProviderError` by their class, but not in what they hold."""

import functools
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from occopus_core.api import (
    AuthError,
    ConfigNode,
    Connection,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.engine.instance.observe import describe, each_outcome
from occopus_core.engine.instance.output import last_lines
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.call_log import LOGGER, logging_calls
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.guard import BreachError, guarded
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.kernel.stand_in import made_or_stand_in
from occopus_core.redaction import Redactor
from occopus_core.sound_errors import LONGEST_TEXT, fault_of_error, sound

HERE = "(tests/unit/engine/kernel/test_sound_errors.py, line "
WHO = "the handler 'x' of occopus-x"
KEY = "k3y-of-things"
redact = Redactor([KEY])

KINDS = [TransientError, ThrottledError, QuotaError, AuthError, NotFoundError, PermanentError, ProviderError]


def unmade(kind):
    class NoInitError(kind):
        def __init__(self, code):
            self.code = code

    return NoInitError(KEY)


def text_raises(kind):
    class NoTextError(kind):
        def __str__(self):
            raise ValueError(f"no text {KEY}")

    return NoTextError("full")


def text_is_none(kind):
    return type("NoneTextError", (kind,), {"__str__": lambda _: None})("full")


def unmade_and_text_raises(kind):
    return type("Both", (type(text_raises(kind)),), {"__init__": lambda _self, *_: None})(KEY)


class Odd:
    def __bool__(self):
        raise ValueError(KEY)


def with_attribute(name, value, kind):
    error = kind("full")
    setattr(error, name, value)
    return error


def raising_property(kind):
    def message(_self):
        raise KeyError(KEY)

    return type("Raises", (kind,), {"message": property(message, lambda *_: None)})("full")


MALFORMED = {
    "message is missing: its __init__ has to call super().__init__": unmade,
    "__str__() raises ValueError": text_raises,
    "__str__() raises TypeError": text_is_none,
    "__str__() raises ValueError ": unmade_and_text_raises,
    "message raises KeyError": raising_property,
    "message is missing": functools.partial(with_attribute, "message", None),
    "message is int, expected a text": functools.partial(with_attribute, "message", 7),
    "unreached raises ValueError": functools.partial(with_attribute, "unreached", Odd()),
    "request_id is bytes, expected a text": functools.partial(with_attribute, "request_id", b"1"),
}
THROTTLED = {
    "retry_after is str": functools.partial(with_attribute, "retry_after", "5"),
    "retry_after is nan, expected at least 0": functools.partial(with_attribute, "retry_after", float("nan")),
    "retry_after is -1, expected at least 0": functools.partial(with_attribute, "retry_after", -1),
    "retry_after is 1000": functools.partial(with_attribute, "retry_after", 10**400),
}
PERMANENT = {
    "at is int": functools.partial(with_attribute, "at", 1),
    "here raises ValueError": functools.partial(with_attribute, "here", Odd()),
    "more is list": functools.partial(with_attribute, "more", ["x"]),
    "more is tuple": functools.partial(with_attribute, "more", ("x",)),
}
FORMS = [
    *((kind, fault, make) for kind in KINDS for fault, make in MALFORMED.items()),
    *((ThrottledError, fault, make) for fault, make in THROTTLED.items()),
    *((PermanentError, fault, make) for fault, make in PERMANENT.items()),
]


def assert_sound(error, kind):
    assert isinstance(error, kind)
    assert type(error).__module__.startswith("occopus_core.")
    assert fault_of_error(error) == ""
    assert KEY not in f"{error} {error!r} {error.args} {vars(error)}"
    assert isinstance(error.unreached, bool)


def raise_it(error, *_values, **_named):
    raise error


HANDLER_METHODS = ["check", "check_host", "create", "describe", "list_owned", "delete", "stop", "mark", "logs", "cost"]
MANAGER_METHODS = ["check", "template_variables", "register", "configure", "status", "cancel", "leave", "forget"]
MANAGER_METHODS += ["forget_infrastructure", "list_registered"]


def handler_error(error, method):
    plugin = guarded(SimpleNamespace(**{method: functools.partial(raise_it, error)}), lambda: WHO, redact)
    with pytest.raises(ProviderError) as caught:
        getattr(plugin, method)([])
    return caught.value


def link_to(plugin):
    with ThreadPoolExecutor(1) as pool:
        limits = CallLimits(Loop(SystemClock(), pool), 1)
        return ManagerConnection(
            lambda _: plugin, {}, Connection("x", {}, {}), limits, Jobs(None), "x", lambda: WHO, redact
        )


def manager_error(error, method):
    link = link_to(SimpleNamespace(**{method: functools.partial(raise_it, error)}))
    with pytest.raises(ProviderError) as caught:
        link.call(method, lambda made, nodes: getattr(made, method)(nodes))
    return caught.value


def made_error(error, _method):
    plugin = made_or_stand_in(lambda: raise_it(error), SimpleNamespace(check=raise_it), lambda: WHO, redact)
    with pytest.raises(ProviderError) as caught:
        plugin.check(None)
    return caught.value


@pytest.mark.parametrize(("kind", "fault", "make"), FORMS)
def test_a_malformed_error_is_one_of_its_kind_that_names_the_plugin_the_fault_and_the_place(kind, fault, make):
    asked = [(handler_error, method) for method in HANDLER_METHODS]
    asked += [(manager_error, method) for method in MANAGER_METHODS]
    for ask, method in [*asked, (made_error, "its constructor")]:
        error = ask(make(kind), method)
        assert_sound(error, kind)
        said = str(error)
        assert f"{WHO} breaks its contract: {method}" in said
        assert f", whose {fault.strip()}" in said
        assert said.count(HERE) == 1
        assert not said.startswith("full") or said.startswith("full; ")


@pytest.mark.parametrize("method", ["delete", "stop"])
@pytest.mark.parametrize(("kind", "fault", "make"), FORMS)
def test_a_malformed_error_among_the_answers_is_one_of_its_kind(kind, fault, make, method):
    plugin = SimpleNamespace(**{method: lambda ids: dict.fromkeys(ids, make(kind))})
    error = each_outcome(guarded(plugin, lambda: WHO, redact), method, ["i-1"])["i-1"]
    assert_sound(error, kind)
    assert f"{WHO} breaks its contract: {method}() answered " in str(error)
    assert f", whose {fault.strip()}" in str(error)
    assert str(error).count(HERE) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_error_keeps_what_it_says(kind):
    class OwnError(kind):
        def __str__(self):
            return "own words"

    error = handler_error(kind("busy", request_id="r-1"), "create")
    assert type(error) is kind
    assert str(error) == "busy (request r-1)"
    assert error.unreached is (kind is AuthError)
    assert str(handler_error(OwnError("busy"), "create")) == "own words"


def test_the_attributes_of_a_sound_error_stay():
    assert handler_error(ThrottledError("busy", retry_after=3), "create").retry_after == 3
    wrong = PermanentError("wrong", at="resource.x", here=True, more=[PermanentError(f"{KEY}\nagain", at="y")])
    error = handler_error(wrong, "check")
    assert (error.at, error.here) == ("resource.x", True)
    assert [(each.at, str(each)) for each in error.more] == [("y", "*** again")]


def test_an_error_without_a_text_has_its_place():
    assert str(handler_error(TransientError(""), "create")).startswith(f"the plugin gives no reason {HERE}")


@pytest.mark.parametrize("ask", [handler_error, manager_error, made_error])
def test_the_text_of_an_error_is_one_line_of_bounded_length(ask):
    text = f"one\r\ntwo\rthree\n\n\x1b[31mred\x1b[0m\x07 {KEY[:3]}\x1b[1m{KEY[3:]} "
    error = ask(PermanentError(text + "x" * 5000, request_id="a\nb"), "check")
    assert error.message.startswith("one two three red *** xxx"[:18])
    assert len(error.message) == LONGEST_TEXT
    assert error.message.isprintable()
    assert error.request_id == "a b"
    assert KEY not in error.message
    assert str(ask(PermanentError("y" * 3_000_000), "check")).endswith("y…")


@pytest.mark.parametrize("make", [unmade, text_raises])
def test_the_log_of_calls_has_a_malformed_error_in_one_line(make, caplog):
    caplog.set_level("DEBUG", LOGGER)
    plugin = SimpleNamespace(create=functools.partial(raise_it, make(TransientError)))
    made = logging_calls(lambda _: plugin, "x", redact)(Connection("x", {}, {}))
    with pytest.raises(TransientError):
        made.create(1)
    (line,) = caplog.messages
    assert "whose " in line
    assert KEY not in line


NODE = ConfigNode("one", "infra", "infra", "db", "n-1", "t", {"type": "x"})


class Raises(dict):
    """A mapping whose methods raise."""

    def _raise(self, *_):
        raise RuntimeError(KEY)

    keys = __iter__ = __getitem__ = get = items = __len__ = __contains__ = _raise


MAPPINGS = {
    "describe": lambda made: describe(made, ["i-1"])["i-1"].get(),
    "delete": lambda made: each_outcome(made, "delete", ["i-1"]),
    "stop": lambda made: each_outcome(made, "stop", ["i-1"]),
    "logs": lambda made: last_lines(made, ["i-1"], 5, str, 100),
}


@pytest.mark.parametrize("method", MAPPINGS)
def test_a_mapping_that_raises_is_a_breach_with_one_place(method):
    plugin = SimpleNamespace(**{method: lambda *_: Raises()})
    with pytest.raises(BreachError) as caught:
        MAPPINGS[method](guarded(plugin, lambda: WHO, redact))
    assert str(caught.value).startswith(
        f"{WHO} breaks its contract: {method}() answered a mapping that raises RuntimeError {HERE}"
    )
    assert str(caught.value).count(HERE) == 1


def test_template_variables_and_a_status_that_raise_are_breaches_with_one_place():
    link = link_to(SimpleNamespace(template_variables=lambda _: Raises(), status=lambda _: Raises()))
    with pytest.raises(PermanentError) as caught:
        link.template_variables(NODE)
    outcome = link.statuses([NODE])["n-1"]
    for method, error in (("template_variables", caught.value), ("status", outcome.error)):
        said = f"{WHO} breaks its contract: {method}() answered an object that raises RuntimeError {HERE}"
        assert str(error).startswith(said)
        assert str(error).count(HERE) == 1


def test_the_fault_of_a_sound_error_is_empty():
    assert fault_of_error(sound(TransientError("x"), str, str)) == ""
