"""Jobs of configuration managers: after the pass that began them was given up, and where the manager holds a call."""

import pytest

from occopus_core.engine.passes.errors import AbandonedError, BuildError, InterruptedBuildError

from ..configured import Managers
from ..conftest import infrastructure, node
from ..fakes import config_manager


@pytest.fixture
def managers(world):
    return Managers(world)


class Held(BaseException):  # it is no error: the call never ends
    """Raised in a call that never ends."""


def holding(convergence):
    """The convergence on a loop where a call that raises `Held` is never answered."""
    loop = convergence.context.resources.loop
    submit = loop.submit

    def submitted(call, done):
        held = []

        def watched():
            try:
                return call()
            except Held:
                held.append(True)

        submit(watched, lambda outcome: None if held else done(outcome))

    loop.submit = submitted
    return convergence


def given_up(world, managers, at="status", nth=3):
    """A maintenance pass that is given up while the job of a node that its manager lost is under way."""
    managers.at().service.nodes.clear()
    convergence, calls = world.convergence(), []

    def interrupt(operation):
        if operation == at:
            calls.append(operation)
            if len(calls) == nth:
                convergence.interrupt("its destruction was requested")

    managers.at().during = interrupt
    with pytest.raises(AbandonedError):
        convergence.maintain()
    managers.at().during = lambda _operation: None
    convergence.context.begin_anew()
    return convergence


def test_a_job_of_a_pass_that_was_given_up_registers_nothing_any_more(world, managers):
    managers.define("db", seconds=20)
    world.build(infrastructure("db"))
    convergence = given_up(world, managers)
    convergence.destroy()
    loop = convergence.context.resources.loop
    loop.run(loop.pause(60))
    world.assert_nothing()
    managers.assert_nothing()


def test_a_job_of_a_pass_that_was_given_up_holds_up_no_other(world, managers):
    managers.plugin.max_jobs = 1
    managers.define("db", seconds=20)
    world.build(infrastructure(node("db", min=2)))
    convergence = given_up(world, managers)
    start = world.clock.now()
    convergence.maintain()
    assert world.clock.now() - start < 60
    world.assert_runs({"db": 2})


def test_an_interruption_begins_no_job_that_was_queued(world, managers):
    managers.plugin.max_jobs = 2
    managers.define("app", seconds=100)
    convergence, calls = world.convergence(), []

    def interrupt(operation):
        calls.append(operation)
        if calls.count("status") == 5 and operation == "status":
            convergence.interrupt("SIGINT")

    managers.at().during = interrupt
    with pytest.raises(InterruptedBuildError):
        convergence.build(infrastructure(node("app", min=6)))
    assert calls.count("configure") == 2
    world.assert_nothing()
    managers.assert_nothing()


@pytest.mark.parametrize("method", ["register", "configure", "status"])
def test_a_call_that_hangs_ends_with_the_time_of_its_node(world, method):
    class Manager(config_manager()):
        def _call(self, called, *names):
            super()._call(called, *names)
            if called == method:
                raise Held

    world.install("config", "fake", Manager)
    world.define("app", implementations=[{"config": {"type": "fake", "endpoint": "chef"}, "timeout": 60.0}])
    start = world.clock.now()
    said = rf"'fake chef' breaks its contract: {method}\(\) has not returned for 10\d s; "
    with pytest.raises(BuildError, match=said):
        holding(world.convergence()).build(infrastructure("app"))
    assert world.clock.now() - start < 120
    world.assert_nothing()
