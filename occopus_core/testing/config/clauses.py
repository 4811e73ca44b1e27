"""The clauses of the contract of configuration managers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema

from occopus_core.api import ConfigManager, ConfigNode, ConfigState, ProviderError, Registered, TransientError
from occopus_core.api.declared import fault_of_declarations
from occopus_core.testing.config.harness import (
    OPERATIONS,
    ConfigHarness,
    becomes,
    begun,
    node,
    patiently,
    perform,
    status,
)
from occopus_core.testing.conformance.base import assert_provider_error, chain, raised
from occopus_core.testing.conformance.harness import Fault
from occopus_core.testing.shape import (
    assert_describes_properties,
    assert_imports_none,
    assert_no_io,
    assert_states_version,
    plugin_class,
)
from occopus_core.testing.suite import able, leaked, never_sleeping, printed

UNDER_WAY = (ConfigState.RUNNING, ConfigState.QUEUED)

_MANY = 50


class ShapeClauses:
    """Clauses about a manager before its use."""

    def test_contract_version(self, harness: ConfigHarness) -> None:
        """The class states which version of the contract it is written for, and it is the current one."""
        assert_states_version(plugin_class(harness.manager()))

    def test_class_attributes(self, harness: ConfigHarness) -> None:
        """The class attributes are valid: names, positive limits, ordered seconds."""
        fault = fault_of_declarations(type(harness.manager()))
        assert not fault, fault

    def test_schema(self, harness: ConfigHarness) -> None:
        """The schema is a valid schema of an object, without `type`, and accepts working sections."""
        manager = type(harness.manager())
        schema = manager.schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("type") == "object", "the schema is of an object"
        assert "type" not in schema.get("properties", {}), "the core adds `type`"
        jsonschema.Draft7Validator(schema).validate(harness.section())

    def test_schema_describes_every_property(self, harness: ConfigHarness) -> None:
        """Every property of the schema has a description, which editors show."""
        assert_describes_properties(type(harness.manager()).schema())

    def test_schema_covers_connection_keys(self, harness: ConfigHarness) -> None:
        """The connection keys are properties of the schema."""
        manager = type(harness.manager())
        missing = set(manager.connection_keys) - set(manager.schema().get("properties", {}))
        assert not missing, f"not in the schema: {', '.join(sorted(missing))}"

    def test_schema_imports_no_sdk(self, harness: ConfigHarness) -> None:
        """`schema` does not import the manager's library."""
        assert harness.sdk_modules, "the harness names no `sdk_modules`: name them, or this clause in `not_applicable`"
        assert_imports_none(plugin_class(harness.manager()), harness.sdk_modules)

    def test_constructor_does_no_io(self, harness: ConfigHarness) -> None:
        """The constructor does no I/O: it opens no connection, starts no process, writes no file."""
        harness.manager()  # imports are made before
        assert_no_io(harness.manager)

    def test_powers_without_io(self, harness: ConfigHarness) -> None:
        """`powers` returns texts without I/O, also for sections with templates."""
        manager, section = type(harness.manager()), harness.section()
        for asked in (section, _as_templates(section)):
            found: list[Any] = []
            assert_no_io(lambda: found.extend(manager.powers(asked)))  # noqa: B023 - it is called at once
            assert all(isinstance(each, str) and each for each in found), "a power is a text that says what it is"

    def test_no_faults_in_what_works(self, harness: ConfigHarness) -> None:
        """`faults` finds none in working sections, with or without templates."""
        manager, section = type(harness.manager()), harness.section()
        for asked in (section, _as_templates(section)):
            assert list(manager.faults(asked)) == []

    def test_check_without_io(self, harness: ConfigHarness) -> None:
        """`check` accepts a working section before there is an instance, without I/O."""
        manager = harness.manager()
        planned = dataclasses.replace(node(harness), instance_id=None, addresses=(), peers=())
        assert_no_io(lambda: manager.check(planned))

    def test_template_variables_without_io(self, harness: ConfigHarness) -> None:
        """`template_variables` returns values by name before there is an instance, without I/O."""
        manager, found = harness.manager(), dict[str, Any]()
        planned = dataclasses.replace(node(harness), attributes={}, instance_id=None, addresses=(), peers=())
        assert_no_io(lambda: found.update(manager.template_variables(planned)))
        assert all(isinstance(name, str) and name.isidentifier() for name in found), "a name is one that templates know"

    def test_repr_keeps_secrets(self, harness: ConfigHarness) -> None:
        """No `repr` shows credentials or secrets of the section."""
        manager, one = harness.manager(), node(harness)
        shown = f"{manager!r} {manager} {one!r}"
        found = leaked(shown, harness.secrets(), manager.connection.auth)
        assert not found, f"a repr shows {found}"


class RegisterClauses:
    """Clauses about `register`, `forget` and `list_registered`."""

    def test_register_repeated(self, harness: ConfigHarness) -> None:
        """`register` is idempotent, also with another object."""
        one = node(harness)
        for _ in range(2):
            harness.manager().register(one)
        found = [each.node_id for each in harness.manager().list_registered(harness.installation)]
        assert found.count(one.node_id) <= 1, f"a node that was registered twice is held {len(found)} times"

    def test_registered_is_not_ready(self, harness: ConfigHarness) -> None:
        """A node that is registered but not configured is `PENDING` or `UNKNOWN`."""
        manager, one = harness.manager(), node(harness)
        manager.register(one)
        state = status(manager, one).state
        assert state in (ConfigState.PENDING, ConfigState.UNKNOWN), f"before any job it is {state.name}"

    def test_list_registered(self, harness: ConfigHarness) -> None:
        """`list_registered` finds exactly the registrations of this installation, with their names."""
        manager = harness.manager()
        ours, foreign = begun(harness, manager), begun(harness, manager, foreign=True)
        found = list(manager.list_registered(harness.installation))
        assert foreign.node_id not in [each.node_id for each in found], "a node of another installation is listed"
        wanted = [Registered(ours.infra_id, ours.node_name, ours.node_id)]
        assert found == wanted or not (found or harness.holds), f"{found} is listed, and {wanted} is held"

    def test_forgotten_is_unknown(self, harness: ConfigHarness) -> None:
        """A forgotten node is like an unknown one: `UNKNOWN` if the manager stores data. Other nodes stay."""
        manager = harness.manager()
        one, other = begun(harness, manager), begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        manager.forget(one)
        state = status(manager, one).state
        assert state is ConfigState.UNKNOWN or not harness.holds, "a node that was forgotten is known"
        assert state is status(manager, node(harness)).state, "a node that was forgotten differs from one never known"
        left = [each.node_id for each in manager.list_registered(harness.installation)]
        assert one.node_id not in left, "a node that was forgotten is listed"
        becomes(harness, manager, other, ConfigState.READY)

    def test_forget_repeated(self, harness: ConfigHarness) -> None:
        """Forgetting a node that the manager does not know is a success, whether forgotten or never registered."""
        manager, one = harness.manager(), begun(harness, harness.manager())
        for _ in range(2):
            manager.forget(one)
        manager.forget(node(harness))

    def test_forget_as_registered(self, harness: ConfigHarness) -> None:
        """`forget` accepts a node as registered: with another object, without address, before any job."""
        one = dataclasses.replace(node(harness), instance_id=None, addresses=(), peers=())
        harness.manager().register(one)
        harness.manager().forget(one)
        assert status(harness.manager(), one).state is ConfigState.UNKNOWN, "a node that was forgotten is known"

    def test_forget_infrastructure(self, harness: ConfigHarness) -> None:
        """`forget_infrastructure` is idempotent, accepts an unknown infrastructure, and affects no other."""
        manager = harness.manager()
        one, other = begun(harness, manager), begun(harness, manager)
        manager.forget(one)
        for infra_id in (one.infra_id, one.infra_id, "i-never-seen"):
            manager.forget_infrastructure(infra_id)
        becomes(harness, manager, other, ConfigState.READY)


class JobClauses:
    """Clauses about `configure`, `status`, `cancel` and `leave`."""

    def test_ready_in_the_end(self, harness: ConfigHarness) -> None:
        """A configured node becomes `READY` for its generation, and publishes its attributes."""
        manager = harness.manager()
        one = begun(harness, manager)
        found = becomes(harness, manager, one, ConfigState.READY)
        assert found.generation in ("", one.generation), "the generation is another than the one that was configured"
        missing = {name: value for name, value in harness.published.items() if found.attributes.get(name) != value}
        assert not missing, f"it publishes {dict(found.attributes)}, and not {missing}"

    def test_configure_returns_soon(self, harness: ConfigHarness) -> None:
        """`configure` returns after starting the job, which is then `RUNNING`, `QUEUED` or `PENDING`."""
        manager, one = harness.manager(), node(harness, "endless")
        manager.register(one)
        started = time.monotonic()
        with never_sleeping("configure called time.sleep: it returns at once, and the core waits"):
            manager.configure(one)
        took = time.monotonic() - started
        assert took < harness.short_timeout + harness.grace, f"configure took {took:.1f} s: it waits for the job"
        state = status(manager, one).state
        assert state in (ConfigState.RUNNING, ConfigState.QUEUED, ConfigState.PENDING), (
            f"a job that never ends is {state.name}"
        )
        manager.cancel([one])

    def test_configure_repeated(self, harness: ConfigHarness) -> None:
        """`configure` is idempotent: a repeat does not affect the job in progress, or done."""
        manager, one = harness.manager(), begun(harness, harness.manager(), "endless")
        manager.configure(one)
        assert able(lambda: harness.jobs(one)) == 1, "a repeat began another job while the first was running"
        manager.cancel([one])
        done = begun(harness, manager)
        becomes(harness, manager, done, ConfigState.READY)
        manager.configure(done)
        assert harness.jobs(done) == 1, "a repeat began another job though the node is configured"

    def test_configure_without_register(self, harness: ConfigHarness) -> None:
        """A node that the manager has lost is registered and configured again."""
        manager = harness.manager()
        one = begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        able(lambda: harness.lose(one))
        assert status(manager, one).state is ConfigState.UNKNOWN, "a node that the manager lost is known"
        manager.register(one)
        manager.configure(one)
        becomes(harness, manager, one, ConfigState.READY)

    def test_failed_says_why(self, harness: ConfigHarness) -> None:
        """A failed job is `FAILED`, with a reason; neither reason nor output contains a secret."""
        manager = harness.manager()
        found = becomes(harness, manager, begun(harness, manager, "failing"), ConfigState.FAILED)
        assert found.reason, "a job that failed has no reason"
        for what, text in (("reason", f"{found.reason} {found.progress}"), ("output", found.output)):
            shown = leaked(text, harness.secrets(), manager.connection.auth)
            assert not shown, f"the {what} shows {shown}"

    def test_failed_has_output(self, harness: ConfigHarness) -> None:
        """A failed job has its last lines of output, if the manager has them; a successful one has none."""
        if not harness.printed:
            return
        manager = harness.manager()
        found = becomes(harness, manager, begun(harness, manager, "failing"), ConfigState.FAILED)
        lines = [line.strip() for line in found.output.splitlines()]
        assert harness.printed in lines, f"the output is {found.output!r}, without the line {harness.printed!r}"
        ready = becomes(harness, manager, begun(harness, manager), ConfigState.READY)
        assert not ready.output, "a job that succeeded has output"

    def test_older_generation_is_not_ready(self, harness: ConfigHarness) -> None:
        """A node is not `READY` for a generation other than the configured one."""
        manager = harness.manager()
        one = begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        changed = _changed(harness, one)
        found = status(manager, changed)
        older = found.state is ConfigState.READY and found.generation in ("", changed.generation)
        assert not older, "READY is answered for a generation that was never configured"

    def test_new_generation(self, harness: ConfigHarness) -> None:
        """Another generation is another job, also while an older one is running."""
        manager = harness.manager()
        if not type(manager).live:
            return
        for kind in ("plain", "endless"):
            one = begun(harness, manager, kind)
            if kind == "plain":
                becomes(harness, manager, one, ConfigState.READY)
            changed = _changed(harness, one)
            manager.configure(changed)
            found = becomes(harness, manager, changed, ConfigState.READY)
            assert found.generation in ("", changed.generation), "READY is answered with the older generation"

    def test_status_answers_every_node(self, harness: ConfigHarness) -> None:
        """`status` has a key for every node; one unknown to the manager is `UNKNOWN`."""
        manager = harness.manager()
        known, strangers = begun(harness, manager), [node(harness) for _ in range(2)]
        found = manager.status([strangers[0], known, strangers[1]])
        assert set(found) == {known.node_id, *(each.node_id for each in strangers)}, "the keys are not the nodes' ids"
        states = {found[each.node_id].state for each in strangers}
        assert states == {ConfigState.UNKNOWN}, "a node that was never registered is not UNKNOWN"
        assert found[known.node_id].state is not ConfigState.UNKNOWN, "a known node is lost among unknown ones"

    def test_status_by_another_object(self, harness: ConfigHarness) -> None:
        """A manager object keeps no state per node that another process would need."""
        one = begun(harness, harness.manager())
        becomes(harness, harness.manager(), one, ConfigState.READY)

    def test_status_costs_pages(self, harness: ConfigHarness) -> None:
        """`status` takes many nodes in O(pages) calls, and makes none for an empty list."""
        manager, nodes = harness.manager(), [node(harness) for _ in range(_MANY)]
        before = able(harness.calls)
        assert not manager.status([]), "the status of no node has something in it"
        assert harness.calls() == before, "the status of no node called the manager"
        manager.status(nodes[:1])
        one = harness.calls() - before
        manager.status(nodes)
        many = harness.calls() - before - one
        assert many < _MANY, f"the status of {_MANY} nodes costs {many} calls, that of one {one}"

    def test_cancel_ends_jobs(self, harness: ConfigHarness) -> None:
        """`cancel` ends the jobs of these nodes only; a new job may start after it."""
        manager = harness.manager()
        one, other = begun(harness, manager, "endless"), begun(harness, manager)
        manager.cancel([one])
        patiently(harness, lambda: status(manager, one).state not in UNDER_WAY, "a cancelled job ends")
        assert status(manager, one).state is not ConfigState.READY, "a job that was cancelled is READY"
        becomes(harness, manager, other, ConfigState.READY)
        manager.configure(dataclasses.replace(_changed(harness, one)))
        becomes(harness, manager, _changed(harness, one), ConfigState.READY)

    def test_cancel_of_nothing(self, harness: ConfigHarness) -> None:
        """Cancelling without a job is a success: for a ready node, an unknown one, none at all."""
        manager = harness.manager()
        one = begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        manager.cancel([one, node(harness)])
        manager.cancel([])
        becomes(harness, manager, one, ConfigState.READY)

    def test_leave_ends(self, harness: ConfigHarness) -> None:
        """`leave` returns True when the node may be deleted, also for an unknown one, and can be repeated."""
        manager = harness.manager()
        one = begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        for each in (one, node(harness)):
            answers: list[bool] = []

            def left(each: ConfigNode = each, answers: list[bool] = answers) -> bool:
                answers.append(manager.leave(each))
                return answers[-1]

            patiently(harness, left, "leave comes to its end")
            assert all(isinstance(answer, bool) for answer in answers), "leave answers True or False"
            assert manager.leave(each), "leave, once it is done, is not done any more"

    def test_nothing_is_left(self, harness: ConfigHarness) -> None:
        """A node that has left and was forgotten is like an unknown one; other nodes stay."""
        manager = harness.manager()
        one, other = begun(harness, manager), begun(harness, manager)
        becomes(harness, manager, one, ConfigState.READY)
        patiently(harness, lambda: manager.leave(one), "leave comes to its end")
        manager.forget(dataclasses.replace(one, instance_id=None, addresses=(), peers=()))
        state, strange = status(manager, one).state, status(manager, node(harness)).state
        assert state is strange, f"a node that left and was forgotten is {state.name}, one never known {strange.name}"
        becomes(harness, manager, other, ConfigState.READY)

    def test_side_by_side(self, harness: ConfigHarness) -> None:
        """A manager is thread-safe: concurrent calls do not mix up their nodes."""
        manager = harness.manager()
        nodes = [node(harness, "failing" if number % 2 else "plain") for number in range(harness.crowd)]

        def run(one: ConfigNode) -> None:
            manager.register(one)
            manager.configure(one)

        with ThreadPoolExecutor(harness.crowd) as threads:
            list(threads.map(run, nodes))
        for number, one in enumerate(nodes):
            becomes(harness, manager, one, ConfigState.FAILED if number % 2 else ConfigState.READY)


class FailureClauses:
    """Clauses about a failing service."""

    def test_only_provider_errors(self, harness: ConfigHarness) -> None:
        """A manager raises only sound `ProviderError`s and subclasses, or succeeds."""
        for fault in _injectable(harness):
            for operation in OPERATIONS:
                error = _failing(harness, _manager(harness, fault), fault, operation)
                if error is not None:
                    assert_provider_error(error, f"{operation}, {fault.value}")

    def test_silence_is_not_unknown(self, harness: ConfigHarness) -> None:
        """If the manager is unreachable, `status` raises: it does not return `UNKNOWN` or `READY`."""
        for fault in _injectable(harness):
            error = _failing(harness, _manager(harness, fault), fault, "status")
            assert isinstance(error, ProviderError), f"{fault.value}: status answers though nothing is known"

    def test_hang(self, harness: ConfigHarness) -> None:
        """Every call ends within `Connection.call_timeout`, with `TransientError`."""
        assert Fault.HANG in _injectable(harness), "the harness cannot have the manager hang"
        for operation in OPERATIONS:
            manager = harness.manager(call_timeout=harness.short_timeout)
            started = time.monotonic()
            error = _failing(harness, manager, Fault.HANG, operation)
            took = time.monotonic() - started
            assert took < harness.short_timeout + harness.grace, f"{operation} hung for {took:.1f} s"
            assert error is None or isinstance(error, TransientError), f"{operation} ended with {error!r}"

    def test_errors_keep_secrets(self, harness: ConfigHarness) -> None:
        """No error shows credentials or secrets of the section."""
        secrets = harness.secrets()
        assert secrets, "the harness has no secrets: give it some, or name this clause in `not_applicable`"
        for fault in _injectable(harness):
            for operation in OPERATIONS:
                manager = _manager(harness, fault)
                error = _failing(harness, manager, fault, operation)
                shown = " ".join(f"{each} {each!r}" for each in chain(error))
                found = leaked(shown, secrets, manager.connection.auth)
                assert not found, f"{operation}, {fault.value}: the error shows {found}"

    def test_prints_keep_secrets(self, harness: ConfigHarness) -> None:
        """Nothing printed or logged during calls contains credentials or secrets of the section."""
        manager = harness.manager()
        with printed(plugin_class(manager)) as shown:
            one = begun(harness, manager)
            for operation in OPERATIONS:
                raised(lambda operation=operation: perform(manager, operation, one))  # type: ignore[misc]
            for fault in harness.faults & {Fault.AUTH, Fault.SERVER_ERROR}:
                for operation in OPERATIONS:
                    _failing(harness, manager, fault, operation)
        found = leaked(shown(), harness.secrets(), manager.connection.auth)
        assert not found, f"what is printed or logged shows {found}"


def _injectable(harness: ConfigHarness) -> frozenset[Fault]:
    assert harness.faults, "the harness names no `faults`: let it inject some, or name the clause in `not_applicable`"
    return harness.faults


def _manager(harness: ConfigHarness, fault: Fault) -> ConfigManager:
    """A manager with a short time limit."""
    return harness.manager(call_timeout=harness.short_timeout if fault is Fault.HANG else None)


def _failing(harness: ConfigHarness, manager: ConfigManager, fault: Fault, operation: Any) -> Exception | None:
    """The error of the operation with this fault, for a registered node."""
    one = begun(harness, harness.manager())
    harness.inject(fault)
    try:
        return raised(lambda: perform(manager, operation, one))
    finally:
        harness.clear()


def _changed(harness: ConfigHarness, one: ConfigNode) -> ConfigNode:
    """The same node with another configuration, whose job succeeds."""
    return node(harness, variant=1, infra_id=one.infra_id, node_id=one.node_id)


def _as_templates(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section with a template in place of each text."""
    return {key: "{{ variables.x }}" if isinstance(value, str) else value for key, value in section.items()}
