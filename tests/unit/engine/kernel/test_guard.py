"""Calls of plugins in the threads of the pool."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from occopus_core.api import Connection
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.guard import BreachError, guarded
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Loop


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
    return lambda: link.call("register", lambda made: made.register())


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
