"""Clauses about instances of a working provider."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

from occopus_core.api import Feature, InstanceState, Owner, TransientError
from occopus_core.testing.conformance.base import (
    calls,
    injector,
    listed,
    make,
    order,
    patiently,
    remove,
    state,
    until,
)
from occopus_core.testing.conformance.harness import ResourceHarness
from occopus_core.testing.suite import never_sleeping

_MANY = 50


class CreateClauses:
    """Clauses about `create`."""

    def test_create_repeated_is_the_same_instance(self, harness: ResourceHarness) -> None:
        """`create` is idempotent by token: a repeat returns the same instance."""
        handler, request = harness.handler(), order(harness)
        assert make(harness, handler, request).id == handler.create(request).id, "a repeat made another instance"
        listed(harness, handler, request.owner, 1)

    def test_create_by_another_handler_is_the_same_instance(self, harness: ResourceHarness) -> None:
        """A handler keeps no state per instance: another object recognises the token too."""
        request = order(harness)
        first = make(harness, harness.handler(), request)
        assert harness.handler().create(request).id == first.id, "another handler object made another instance"

    def test_create_concurrently_is_the_same_instance(self, harness: ResourceHarness) -> None:
        """A token repeated before the first call was answered makes only one instance."""
        handler, request, barrier = harness.handler(), order(harness), threading.Barrier(harness.crowd)

        def create(_number: int) -> str:
            barrier.wait()
            try:
                return handler.create(request).id
            except TransientError:  # the core repeats the call, too
                return handler.create(request).id

        with ThreadPoolExecutor(harness.crowd) as threads:
            ids = set(threads.map(create, range(harness.crowd)))
        assert len(ids) == 1, f"one token made {len(ids)} instances"
        listed(harness, handler, request.owner, 1)

    def test_create_side_by_side(self, harness: ResourceHarness) -> None:
        """A handler is thread-safe: concurrent calls do not mix up their instances."""
        handler = harness.handler()
        requests = {request.token: request for request in (order(harness) for _ in range(harness.crowd))}
        with ThreadPoolExecutor(harness.crowd) as threads:
            made = dict(threads.map(lambda each: (each.token, make(harness, handler, each).id), requests.values()))
        found = listed(harness, handler, Owner(harness.installation), harness.crowd)
        assert made == {token: instance.id for token, instance in found.items()}, "ids and tokens are mixed up"
        mixed = [token for token, instance in found.items() if instance.owner != requests[token].owner]
        assert not mixed, "tokens and owners are mixed up"

    def test_create_and_delete_never_sleep(self, harness: ResourceHarness) -> None:
        """A handler never sleeps: waiting belongs to the core."""
        handler, request = harness.handler(), order(harness)
        with never_sleeping("the handler called time.sleep"):
            instance = handler.create(request)
            handler.delete([instance.id])

    def test_half_made_is_listed(self, harness: ResourceHarness) -> None:
        """`create` leaves a step that needs waiting to the next call, and unfinished instances are listed."""
        handler, request = harness.handler(), order(harness, "stepwise")
        instance = handler.create(request)
        assert instance.state is InstanceState.PROVISIONING, f"after one step it is {instance.state}"
        found = listed(harness, handler, request.owner, 1)
        assert found[request.token].owner == request.owner, "a half-made instance has another owner"

    def test_half_made_is_continued(self, harness: ResourceHarness) -> None:
        """`PROVISIONING` means: call `create` again with the same request."""
        handler, request = harness.handler(), order(harness, "stepwise")
        first = handler.create(request)
        done = make(harness, handler, request)
        assert done.id == first.id, "continuing changed the id"
        until(harness, handler, done.id, InstanceState.READY)
        listed(harness, handler, request.owner, 1)

    def test_half_made_can_be_deleted(self, harness: ResourceHarness) -> None:
        """An unfinished instance can be deleted with all its parts."""
        handler, request = harness.handler(), order(harness, "stepwise")
        remove(harness, handler, handler.create(request).id)
        patiently(harness, lambda: not list(handler.list_owned(request.owner)), "nothing is left of it")


class ListClauses:
    """Clauses about `list_owned`."""

    def test_listed_with_token_and_owner(self, harness: ResourceHarness) -> None:
        """Each listed instance has its token and its complete owner, written by the call that created it."""
        handler, request = harness.handler(), order(harness)
        made = handler.create(request)
        found = listed(harness, handler, Owner(harness.installation), 1)
        assert request.token in found, "the listed instance has another token"
        assert found[request.token].owner == request.owner, "the listed instance has another owner"
        assert found[request.token].id == made.id, "the listed instance has another id"

    def test_listed_by_owner(self, harness: ResourceHarness) -> None:
        """A query finds instances that match all its fields: by infrastructure, by node, by node id."""
        handler = harness.handler()
        requests = [order(harness, infra=infra, node=node) for infra in ("i-1", "i-2") for node in ("web", "db")]
        for request in requests:
            make(harness, handler, request)
        whose = Owner(harness.installation)
        queries = {whose: 4, Owner(whose.installation, "i-1"): 2, Owner(whose.installation, "i-1", "web"): 1}
        for query, count in {**queries, requests[3].owner: 1}.items():
            found = listed(harness, handler, query, count)
            expected = {request.token for request in requests if query.matches(request.owner)}
            assert set(found) == expected, f"{query} finds others"

    def test_foreign_is_not_listed(self, harness: ResourceHarness) -> None:
        """Instances of another installation are not listed, whatever the names of its infrastructures."""
        handler, ours, theirs = harness.handler(), order(harness), order(harness, foreign=True)
        for request in (ours, theirs):
            make(harness, handler, request)
        assert set(listed(harness, handler, Owner(harness.installation), 1)) == {ours.token}, "a foreign one is listed"
        assert set(listed(harness, handler, Owner(theirs.owner.installation), 1)) == {theirs.token}, "as foreign"


class DescribeClauses:
    """Clauses about `describe`."""

    def test_ready_in_the_end(self, harness: ResourceHarness) -> None:
        """An instance becomes `READY`, under the id that `create` returned, and has an address."""
        handler = harness.handler()
        instance = make(harness, handler, order(harness))
        until(harness, handler, instance.id, InstanceState.READY)
        described = handler.describe([instance.id])[instance.id]
        assert described.id == instance.id, "it is described under another id"
        assert described.addresses, "a ready instance has no address"
        assert described.addresses[0].value, "its first address is empty"

    def test_describe_answers_every_id(self, harness: ResourceHarness) -> None:
        """`describe` has a key for every id, `ABSENT` for an unknown one, and never raises `NotFoundError`."""
        handler = harness.handler()
        instance = make(harness, handler, order(harness))
        until(harness, handler, instance.id, InstanceState.READY)
        absent = harness.absent_ids(2)
        described = handler.describe([absent[0], instance.id, absent[1]])
        assert set(described) == {instance.id, *absent}, "the keys are not the ids"
        assert {described[id].state for id in absent} == {InstanceState.ABSENT}, "unknown ids are not ABSENT"
        assert described[instance.id].state is InstanceState.READY, "an existing one is lost among unknown ids"
        assert all(id == value.id for id, value in described.items()), "ids are mixed up"

    def test_describe_costs_pages(self, harness: ResourceHarness) -> None:
        """`describe` takes many ids in O(pages) calls."""
        handler = harness.handler()
        ids = [make(harness, handler, order(harness)).id for _ in range(2)]
        before = calls(harness)
        handler.describe(ids[:1])
        one = calls(harness) - before
        described = handler.describe([*ids, *harness.absent_ids(_MANY - len(ids))])
        many = calls(harness) - before - one
        assert len(described) == _MANY, "a key is missing"
        pages = math.ceil(_MANY / (harness.page_size or _MANY))
        assert many <= one * pages, f"{_MANY} ids cost {many} calls, one id {one}"

    def test_no_ids_call_nobody(self, harness: ResourceHarness) -> None:
        """An empty list of ids needs no call."""
        handler, before = harness.handler(), calls(harness)
        assert not handler.describe([]), "describing nothing answered something"
        assert not handler.delete([]), "deleting nothing answered something"
        assert not handler.cost([]), "pricing nothing answered something"
        if Feature.STOP in handler.features:
            assert not handler.stop([]), "stopping nothing answered something"
        if Feature.LOGS in handler.features:
            assert not handler.logs([], 1), "the logs of nothing answered something"
        assert calls(harness) == before, "an empty list of ids called the provider"

    def test_cost_answers_every_id(self, harness: ResourceHarness) -> None:
        """`cost` has a key for every id, None if the provider reports no cost."""
        handler = harness.handler()
        ids = [make(harness, handler, order(harness)).id, *harness.absent_ids(1)]
        assert set(handler.cost(ids)) == set(ids), "the keys are not the ids"


class DeleteClauses:
    """Clauses about `delete`."""

    def test_deleted_becomes_absent(self, harness: ResourceHarness) -> None:
        """A deletion repeated until `describe` returns `ABSENT` ends, and leaves nothing."""
        handler, request = harness.handler(), order(harness)
        instance = make(harness, handler, request)
        until(harness, handler, instance.id, InstanceState.READY)
        remove(harness, harness.handler(), instance.id)
        patiently(harness, lambda: not list(handler.list_owned(request.owner)), "nothing is left of it")

    def test_delete_answers_every_id(self, harness: ResourceHarness) -> None:
        """`delete` has a key for every id, None for success, and deletes nothing else."""
        handler = harness.handler()
        first, second, other = (make(harness, handler, order(harness)).id for _ in range(3))
        assert handler.delete([first, second]) == {first: None, second: None}, "not every id is answered with None"
        for id in (first, second):
            remove(harness, handler, id)
        until(harness, handler, other, InstanceState.READY)

    def test_delete_absent_is_success(self, harness: ResourceHarness) -> None:
        """Deleting an absent id is a success, also among others, and when repeated."""
        handler = harness.handler()
        instance, absent = make(harness, handler, order(harness)).id, harness.absent_ids(1)[0]
        assert handler.delete([absent]) == {absent: None}, "an absent id is no success"
        assert handler.delete([absent, instance]) == {absent: None, instance: None}, "absent before an existing one"
        remove(harness, handler, instance)
        assert handler.delete([instance]) == {instance: None}, "deleting again is no success"

    def test_delete_goes_on_past_a_failure(self, harness: ResourceHarness) -> None:
        """A failure of one id does not stop the others, and is its result."""
        handler, faults = harness.handler(), injector(harness)
        first, stuck, last = (make(harness, handler, order(harness)).id for _ in range(3))
        until(harness, handler, stuck, InstanceState.READY)
        faults.refuse_deletion(stuck)
        answers = handler.delete([first, stuck, last])
        assert set(answers) == {first, stuck, last}, "the keys are not the ids"
        assert (answers[first], answers[last]) == (None, None), "another one's failure is answered for these"
        assert answers[stuck] is not None, "the failure is not reported"
        for id in (first, last):
            remove(harness, handler, id)
        assert state(handler, stuck) is not InstanceState.ABSENT, "the one that failed is absent"
        faults.clear()
        remove(harness, handler, stuck)
