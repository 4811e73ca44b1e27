"""Calls of plugins in the threads of the pool."""

import gc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from occopus_core.api import AuthError, Connection, Context, CreateRequest, Owner, PermanentError, Probe
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.guard import BreachError, guarded
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Loop
from occopus_core.error_place import place_of_method


class OwnError(BaseException):
    pass


ENDS = [KeyboardInterrupt, GeneratorExit, SystemExit, OwnError]


def raising(error):
    def call(*_):
        raise error

    return call


def handler(error, _pool):
    return guarded(SimpleNamespace(create=raising(error)), lambda: "the handler 'x'", str).create


def manager(error, pool):
    limits = CallLimits(Loop(SystemClock(), pool), 1)
    plugin = SimpleNamespace(register=raising(error))
    link = ManagerConnection(
        lambda _: plugin, {}, Connection("x", {}, {}), limits, Jobs(None), "x", lambda: "the manager"
    )
    return lambda: link.call("register", lambda made, _: made.register())


@pytest.mark.parametrize("make", [handler, manager])
@pytest.mark.parametrize("error", ENDS)
def test_what_ends_a_thread_of_the_pool_is_a_breach_with_the_name_of_the_plugin(make, error):
    with ThreadPoolExecutor(1) as pool:
        raised = pool.submit(make(error, pool)).exception()
    said = (
        rf"breaks its contract: (create|register)\(\) raised {error.__name__} \(tests/unit/engine/kernel/test_guard.py"
    )
    with pytest.raises(Exception, match=said):
        raise raised


@pytest.mark.parametrize("make", [handler, manager])
def test_an_interruption_in_the_main_thread_is_that_of_the_process(make):
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        make(KeyboardInterrupt, pool)()


def test_an_exception_in_the_main_thread_is_the_breach_of_the_plugin():
    with pytest.raises(BreachError):
        handler(KeyError, None)()


async def coroutine(*_):
    pass


def generator(*_):
    yield 1


def call_handler(name, method, _pool):
    return getattr(guarded(SimpleNamespace(**{name: method}), lambda: "the handler 'x'", str), name)


def call_manager(name, method, pool):
    limits = CallLimits(Loop(SystemClock(), pool), 1)
    link = ManagerConnection(
        lambda _: SimpleNamespace(**{name: method}), {}, Connection("x", {}, {}), limits, Jobs(None), "x", lambda: "x"
    )
    return lambda: link.call(name, lambda made, _: getattr(made, name)())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("method", "kind"), [(coroutine, "coroutine"), (generator, "generator"), (lambda: 0, "int")])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        *((call_handler, name) for name in ("check", "check_host", "mark")),
        *((call_manager, name) for name in ("check", "register", "configure", "cancel", "forget")),
        (call_manager, "forget_infrastructure"),
    ],
)
def test_a_method_that_answers_something_for_none_breaks_its_contract(call, name, method, kind):
    with pytest.raises(PermanentError) as caught:
        call(name, method, None)()
    gc.collect()
    assert f"{name}() answered {kind}, expected None (tests/" in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["create", "describe", "list_owned"])
def test_a_coroutine_is_closed_without_a_warning(name):
    called = call_handler(name, coroutine, None)
    if name == "list_owned":
        with pytest.raises(BreachError, match="answered coroutine, expected instances"):
            called("owner")
    else:
        assert type(called("ids")).__name__ == "coroutine"
    gc.collect()


class Unreadable:
    @property
    def create(self):
        raise KeyError


def test_a_method_that_raises_when_it_is_read_is_a_breach_with_the_name_of_the_plugin():
    with pytest.raises(BreachError, match=r"the handler 'x' breaks its contract: create\(\) raised KeyError \(tests/"):
        guarded(Unreadable(), lambda: "the handler 'x'", str).create("request")


def test_the_place_of_a_method_that_raises_when_it_is_read_is_not_known():
    assert place_of_method(Unreadable(), "create") == ""


def test_a_plugin_may_change_what_it_is_given():
    def change(given):
        for each in given if isinstance(given, list) else [given]:
            getattr(each, "resource", getattr(each, "value", each)).clear()

    resource, value = {"type": "x"}, {"url": "y"}
    plugin = guarded(SimpleNamespace(create=change, check=change, check_host=change), lambda: "x", str)
    plugin.create(CreateRequest("t", Owner("one"), resource, Context()))
    plugin.check([Probe("n-1", "", value)])
    plugin.check_host(value)
    assert (resource, value) == ({"type": "x"}, {"url": "y"})


def test_an_error_about_credentials_says_where_they_are_from():
    def raised(error, origin="the credentials are those at auth.yaml:2:3"):
        plugin = guarded(SimpleNamespace(create=raising(error)), lambda: "the handler 'x'", str, lambda: origin)
        with pytest.raises(type(error)) as caught:
            plugin.create()
        return str(caught.value)

    refused = AuthError("AuthFailure", request_id="r-1")
    assert raised(refused) == "AuthFailure; the credentials are those at auth.yaml:2:3 (request r-1)"
    assert raised(AuthError("AuthFailure"), "") == "AuthFailure"
    assert raised(PermanentError("no")) == "no"


SECTION = {"type": "x", "admin_password": "pw-in-section", "size": "small"}


@pytest.mark.parametrize("name", ["create", "ensure"])
def test_an_error_repeats_no_value_of_the_section_that_is_secret_by_its_name(name):
    def refuse(request):
        raise PermanentError(f"bad admin_password {request.resource['admin_password']} for {request.resource['size']}")

    request = CreateRequest("occopus-1", Owner("installation", "infra", "web", "1"), SECTION, Context())
    with pytest.raises(PermanentError) as caught:
        call_handler(name, refuse, None)(request)
    assert str(caught.value) == "bad admin_password *** for small"


def test_an_error_of_a_checker_repeats_no_value_of_its_check_that_is_secret_by_its_name():
    def fail(probes):
        raise PermanentError(f"{probes[0].value['password']} was refused")

    with pytest.raises(PermanentError) as caught:
        call_handler("check", fail, None)([Probe("1", "192.0.2.1", {"password": "pw-in-check"})])
    assert str(caught.value) == "*** was refused"
