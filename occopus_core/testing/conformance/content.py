"""Clauses about the contents and tags of instances, and about more instances than one answer has."""

from __future__ import annotations

import itertools
import shlex
import uuid
from dataclasses import replace

from occopus_core.api import ContextForm, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance.base import (
    declares,
    listed,
    make,
    order,
    patiently,
    settled,
    state,
    until,
)
from occopus_core.testing.conformance.harness import ResourceHarness
from occopus_core.testing.suite import able

_TRICKY = "# \"double\" 'single' `back` \\ $HOME ${x} %s %25 &amp; <b> {{x}} {% x %} \t; | \u00e4 \u20ac \U0001f600  "
USER_DATA = f"#cloud-config\n{_TRICKY}\r\n#\n\n# {'x' * 1500}\n#  the last line ends in spaces and no newline  "
"""Valid cloud-config in which every byte matters."""
ENVIRONMENT = ("PLAIN=value", "EMPTY=", f"TRICKY={_TRICKY}", "LINES=one\ntwo", "EQUALS=a=b")
COMMAND = ("sh", "-c", f"while :; do sleep 1; done {_TRICKY}", "a b", "")
"""A command that keeps running; the rest of it tests that bytes are unchanged."""
_LABEL = 63
_NAME = "a-0bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ123456789"
_INFRA = "0.A_b-CdEfGhIjKlMnOpQrStUvWxYzaBcDeFgHiJkLmNoPqRsTuVwXyZ12345678"[:_LABEL]
_LONG = "-zyxwvutsrqponmlkjihgfedcba9876543210"
_MORE_THAN_A_PAGE = 3
"""The number of instances if the provider has no pages."""


class ContentClauses:
    """Clauses about what reaches the instance."""

    @declares(ContextForm.USER_DATA)
    def test_user_data_arrives(self, harness: ResourceHarness) -> None:
        """The user data reaches the instance byte for byte."""
        handler, asked = harness.handler(), order(harness)
        request = replace(asked, context=replace(asked.context, user_data=USER_DATA))
        id = make(harness, handler, request).id
        until(harness, handler, id, InstanceState.READY)
        arrived = able(lambda: harness.received(id, request.context)).user_data
        assert arrived is not None, "the instance was given no user data"
        assert arrived.encode() == USER_DATA.encode(), f"the user data arrived changed: {_change(USER_DATA, arrived)}"

    @declares(ContextForm.PROCESS)
    def test_environment_and_command_arrive(self, harness: ResourceHarness) -> None:
        """Environment and command reach the instance byte for byte; a command that is a text is split into words."""
        handler, asked = harness.handler(), order(harness)
        for command in (COMMAND, shlex.join(COMMAND)):
            context = replace(asked.context, user_data=None, env=ENVIRONMENT, command=command)
            request = replace(order(harness), resource=asked.resource, context=context)
            id = make(harness, handler, request).id
            until(harness, handler, id, InstanceState.READY)
            arrived = able(lambda: harness.received(id, context))  # noqa: B023 - it is called at once
            lost = [entry for entry in ENVIRONMENT if entry not in arrived.env]
            assert not lost, f"the environment arrived without, or with others than, {lost}"
            assert arrived.command == COMMAND, f"the command arrived as {arrived.command!r}, not {COMMAND!r}"

    def test_longest_owner(self, harness: ResourceHarness) -> None:
        """The longest owner fields and the longest token are returned unchanged, and case distinguishes owners."""
        handler, installation = harness.handler(), harness.longest_installation
        requests = []
        for infra, node in ((_INFRA, _NAME), (_INFRA.swapcase(), _NAME.swapcase())):
            token = f"t-{uuid.uuid4().hex}{_LONG}"[:_LABEL]
            requests.append(harness.request(token, Owner(installation, infra, node, str(uuid.uuid4()))))
            make(harness, handler, requests[-1])
        listed(harness, handler, Owner(installation), len(requests))
        for request in requests:
            found = list(handler.list_owned(replace(request.owner, node_name=None, node_id=None)))
            tokens = [each.token for each in found]
            assert tokens == [request.token], f"an infra_id of {_LABEL} characters finds the tokens {tokens}"
            assert found[0].owner == request.owner, f"{request.owner} came back as {found[0].owner}"


class PageClauses:
    """More instances than one answer of the provider has, and than one call accepts."""

    def test_describe_reads_every_page(self, harness: ResourceHarness) -> None:
        """`describe` finds one instance more than a page has."""
        handler = harness.handler()
        ids = [request_id for request_id, _ in _crowd(harness, handler)]

        def missing() -> list[InstanceId]:
            found = handler.describe(ids)
            return [id for id in ids if id not in found or found[id].state is not InstanceState.READY]

        complete = settled(harness, lambda: not missing())
        assert complete, f"describe misses {len(missing())} of {len(ids)} instances{_pages(harness)}"

    def test_list_reads_every_page(self, harness: ResourceHarness) -> None:
        """`list_owned` finds one instance more than a page has."""
        handler = harness.handler()
        first = _crowd(harness, handler, 1)
        alone = _calls_to_list(harness, handler)
        made = first + _crowd(harness, handler, _MORE_THAN_A_PAGE if harness.page_size is None else harness.page_size)

        def tokens() -> list[str]:
            return [instance.token for instance in handler.list_owned(Owner(harness.installation))]

        complete = settled(harness, lambda: {token for _, token in made} <= set(tokens()))
        found = tokens()
        assert complete, f"list_owned finds {len(found)} of {len(made)} instances{_pages(harness)}"
        assert len(found) == len(set(found)), "list_owned finds an instance more than once"
        together = _calls_to_list(harness, handler)
        assert alone is None or together is None or together > alone, (
            f"the harness says that a page has {harness.page_size} instances, and one more cost no more calls than one "
            "instance: lower the provider's page size, or say `page_size = None` where it has no pages"
        )

    def test_delete_reaches_every_page(self, harness: ResourceHarness) -> None:
        """`delete` deletes one instance more than one call accepts or a page has."""
        handler = harness.handler()
        ids = [id for id, _ in _crowd(harness, handler)]

        def left() -> list[InstanceId]:
            return [id for id, each in handler.describe(ids).items() if each.state is not InstanceState.ABSENT]

        def deleted() -> bool:
            answers = handler.delete(ids)
            assert answers == dict.fromkeys(ids), "not every id is answered with None"
            return not left()

        complete = settled(harness, deleted)
        assert complete, f"delete leaves {len(left())} of {len(ids)} instances{_pages(harness)}"


def _crowd(
    harness: ResourceHarness, handler: ResourceHandler, count: int | None = None
) -> list[tuple[InstanceId, str]]:
    """Id and token of this many instances, by default one more than a page has, all of them created."""
    if count is None:
        count = _MORE_THAN_A_PAGE if harness.page_size is None else harness.page_size + 1
    requests = [order(harness) for _ in range(count)]
    made = [(make(harness, handler, request).id, request.token) for request in requests]
    patiently(harness, lambda: all(state(handler, id) is InstanceState.READY for id, _ in made), "each becomes READY")
    return made


def _pages(harness: ResourceHarness) -> str:
    return "" if harness.page_size is None else f", and a page has {harness.page_size}: it must read every page"


def _calls_to_list(harness: ResourceHarness, handler: ResourceHandler) -> int | None:
    """The number of calls to list all; None without pages, or without a count."""
    before = harness.provider_calls()
    if harness.page_size is None or before is None:
        return None
    list(handler.list_owned(Owner(harness.installation)))
    return (harness.provider_calls() or 0) - before


def _change(sent: str, arrived: str) -> str:
    """The first difference between two texts."""
    if not arrived or sent == arrived:
        return "there is nothing in it"
    at = next(n for n, pair in enumerate(itertools.zip_longest(sent, arrived)) if pair[0] != pair[1])
    return f"from character {at} on it is {arrived[at : at + 20]!r}, not {sent[at : at + 20]!r}"
