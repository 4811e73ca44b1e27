"""The handler on a platform that counts calls and injects faults: cases that the conformance suite does not cover."""

from __future__ import annotations

import dataclasses
import logging
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import trustme

from occopus_core.api import (
    AuthError,
    Context,
    CreateRequest,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    QuotaError,
    TransientError,
)
from occopus_core.testing.web import PAGE, answering
from occopus_resource_cloudbroker import label
from occopus_resource_cloudbroker.testing import DEPLOYMENT, EMAIL, INSTANCE_TYPE, KEY_PAIR, PASSWORD, Fault
from occopus_resource_cloudbroker.testing.platform import refused
from occopus_resource_cloudbroker.tokens import Tokens

pytestmark = pytest.mark.integration

OWNER = Owner("here", "shop")
UNKNOWN = "ffffffff-0000-4000-8000-00000000000"


def calls(cloud, act):
    """The number of calls of each operation that `act` makes."""
    before = cloud.calls()
    act()
    return dict(cloud.calls() - before)


def listed(handler, owner=OWNER):
    return [instance.id for instance in handler.list_owned(owner)]


def state(handler, id):
    return handler.describe([id])[id].state


# Creation


def test_a_creation_lists_before_and_after(cloud, connect, order):
    handler = connect()
    assert calls(cloud, lambda: handler.create(order())) == {"list": 3, "create": 1}
    assert calls(cloud, lambda: handler.create(order())) == {"list": 2}
    (machine,) = cloud.platform.running()
    assert label.read(machine.name) == (Owner("here", "shop", "web", "id-t-1"), "t-1")


def test_concurrent_creations_share_their_lists(cloud, connect, order):
    """Each needs two lists of two or three pages, including the empty one at the end."""
    handler = connect()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: handler.create(order(f"t-{number}")).id, range(50)))
    counted = cloud.calls()
    assert len(set(made)) == len(cloud.platform.running()) == counted["create"] == 50
    assert counted["list"] < 50 * 2 * 2.5 * 0.75


def test_the_description_reaches_the_platform(cloud, connect, order):
    text = "#cloud-config\nhostname: żółw\n"
    connect().create(order(user_data=text, key_pair_id=KEY_PAIR, opened_port="22,80", name="my web"))
    (machine,) = cloud.platform.running()
    assert machine.user_data == text
    assert machine.name.endswith("_shop my web")
    assert (machine.fields["opened-port"], machine.fields["key-pair-id"]) == ("22,80", KEY_PAIR)
    assert (machine.fields["disable-autostop"], machine.fields["isolated"]) == ("true", "true")


def test_the_longest_possible_request(cloud, connect):
    """All fields have their greatest length, and the token is one of the core."""
    node_id = "0f7c1bb9-8a51-4d40-9f3c-4b3f2b6e8b33"
    owner, token = Owner("I" * 63, f"a{'._-Z' * 15}bc", "n" * 63, node_id), f"occopus-{node_id}"
    handler = connect()
    description = {"deployment_id": DEPLOYMENT, "instance_type_id": INSTANCE_TYPE}
    made = handler.create(CreateRequest(token, owner, {"description": description}, Context()))
    (found,) = handler.list_owned(owner)
    assert (found.id, found.owner, found.token) == (made.id, owner, token)


def test_two_concurrent_handlers_leave_one_instance(cloud, connect, order):
    """Two processes with one token: neither sees the instance of the other while it creates, both see it afterwards."""
    both = threading.Barrier(2)

    def meet(operation, moment):
        if (operation, moment) == ("create", "before"):
            both.wait(600)

    cloud.during = meet
    with ThreadPoolExecutor(2) as pool:
        ended = [one.exception() for one in [pool.submit(connect().create, order()) for _ in range(2)]]
    late = [str(error) for error in ended if error is not None]  # both stop the surplus instance
    assert all("wrong status: The instance is halted" in error for error in late)
    assert cloud.calls()["create"] == 2
    (machine,) = cloud.platform.running()
    assert connect().create(order()).id == machine.id
    assert listed(connect()) == [machine.id]


def test_an_unanswered_creation_is_searched_for_before_another_call(cloud, connect, order, monkeypatch):
    """The answer is lost and the list does not show the instance yet: the platform must not make a second one."""
    handler = connect()
    now = [0.0]
    cloud.platform.clock = lambda: now[0]
    monkeypatch.setattr("occopus_resource_cloudbroker.tokens.time.monotonic", lambda: now[0])
    cloud.platform.hidden_seconds = 20.0
    cloud.set_faults(Fault("lost_reply", "create", count=1))
    with pytest.raises(TransientError, match="the connection broke"):
        handler.create(order())
    with pytest.raises(TransientError, match="an earlier creation was not answered; it is looked for"):
        handler.create(order())
    now[0] = 25.0
    assert handler.create(order()).id == cloud.platform.running()[0].id
    assert cloud.calls()["create"] == 1


def test_an_unanswered_creation_without_effect_is_repeated_after_the_window(cloud, connect, order, monkeypatch):
    handler = connect()
    now = [0.0]
    monkeypatch.setattr("occopus_resource_cloudbroker.tokens.time.monotonic", lambda: now[0])
    cloud.set_faults(Fault("html", "create", count=1, status=502))
    with pytest.raises(TransientError, match="HTTP 502"):
        handler.create(order())
    now[0] = handler.consistency_window - 0.1
    with pytest.raises(TransientError, match="not answered"):
        handler.create(order())
    handler.create(order("t-2"))
    now[0] = handler.consistency_window + 0.1
    handler.create(order())
    assert len(cloud.platform.running()) == 2


def test_a_refused_creation_can_be_repeated_at_once(cloud, connect, order):
    handler = connect()
    cloud.set_faults(Fault("refuse", "create", count=1, status=429, retry_after=3))
    with pytest.raises(TransientError):
        handler.create(order())
    handler.create(order())
    assert len(cloud.platform.running()) == 1


def test_a_token_whose_instance_was_deleted_makes_no_other(cloud, connect, order):
    handler = connect()
    made = handler.create(order()).id
    cloud.platform.lose(made)
    again = handler.create(order())
    assert (again.id, again.state, again.raw_state) == (made, InstanceState.ABSENT, "halted")
    assert cloud.calls()["create"] == 1


def test_a_platform_that_changes_names_is_refused_and_nothing_is_left(cloud, connect, order):
    cloud.platform.keeps_names = False
    with pytest.raises(PermanentError, match=r"has not kept the name of a new instance.*was stopped"):
        connect().create(order())
    assert cloud.platform.running() == []


def test_an_answer_without_the_name_is_enough(cloud, connect, order):
    cloud.platform.echoes_names, cloud.platform.hidden_seconds = False, 60.0
    made = connect().create(order())
    assert (made.token, made.owner) == ("t-1", order().owner)


def test_an_instance_missing_from_the_list_is_known_by_its_id(cloud, connect, order):
    cloud.set_faults(Fault("html", "list", after=2, status=503))
    made = connect().create(order())
    assert made.id == cloud.platform.running()[0].id


@pytest.mark.parametrize(
    ("description", "kind", "words"),
    [
        (
            {"deployment_id": "x"},
            NotFoundError,
            r"Deployment could not be found \(resource\.description\.deployment_id\)",
        ),
        ({"instance_type_id": "x"}, NotFoundError, r"\(resource\.description\.instance_type_id\)"),
        ({"key_pair_id": "x"}, NotFoundError, r"\(resource\.description\.key_pair_id\)"),
    ],
)
def test_a_missing_resource_is_named_with_its_key(cloud, connect, order, description, kind, words):
    with pytest.raises(kind, match=words) as caught:
        connect().create(order(**description))
    assert caught.value.unreached, "the list shows that nothing was made"
    assert cloud.platform.running() == []


def test_a_refusal_that_left_an_instance_is_not_without_effect(cloud, connect, order, monkeypatch):
    """The platform has made the instance, but reports an error."""
    create = cloud.platform.create

    def fail(body):
        create(body)
        return refused(422, ["Launching failed"])

    monkeypatch.setattr(cloud.platform, "create", fail)
    with pytest.raises(PermanentError, match="Launching failed") as caught:
        connect().create(order())
    assert not caught.value.unreached


def test_a_full_account_is_a_quota_error(cloud, connect, order):
    cloud.platform.quota = 1
    handler = connect()
    handler.create(order())
    with pytest.raises(QuotaError, match="maximum number of instances"):
        handler.create(order("t-2"))


def test_a_token_locked_for_too_long():
    tokens = Tokens(30.0)
    with tokens.held("t-1", 1.0), pytest.raises(TransientError, match="is under way"), tokens.held("t-1", 0.0):
        raise AssertionError("two at once")
    with tokens.held("t-1", 0.0), tokens.held("t-2", 0.0):
        pass


# Description and lists


@pytest.fixture
def crowd(cloud, connect, order):
    """Twelve instances on pages of five."""
    cloud.platform.most_per_page = 5
    handler = connect()
    return [handler.create(order(f"t-{number}")).id for number in range(12)]


def test_pages_are_read_to_the_last(cloud, connect, crowd):
    handler = connect()
    found = []
    assert calls(cloud, lambda: found.extend(listed(handler))) == {"list": 4}
    assert sorted(found) == sorted(crowd)
    assert calls(cloud, lambda: handler.describe(crowd)) == {"list": 3}
    assert calls(cloud, lambda: handler.describe(crowd[:5])) == {"list": 1}


def test_few_instances_on_many_pages_are_requested_by_id(cloud, connect, crowd):
    handler = connect()
    listed(handler)
    found = {}
    assert calls(cloud, lambda: found.update(handler.describe(crowd[-2:]))) == {"get": 2}
    assert {each.state for each in found.values()} == {InstanceState.READY}
    cloud.platform.lose(crowd[-1])
    assert calls(cloud, lambda: found.update(handler.describe(crowd[-2:]))) == {"get": 2, "list": 4}
    assert [found[id].state for id in crowd[-2:]] == [InstanceState.READY, InstanceState.ABSENT]


def test_an_instance_that_moves_between_pages_is_not_absent(cloud, connect, crowd):
    """Deleting a record during the list moves later records to pages that were already read."""
    handler = connect()
    pages = Counter()

    def remove(operation, moment):
        if (operation, moment) == ("list", "after"):
            pages["read"] += 1
            if pages["read"] == 1:
                cloud.platform.remove(crowd[0])

    cloud.during = remove
    found = handler.describe(crowd)
    assert found[crowd[5]].state is InstanceState.READY
    assert [id for id, each in found.items() if each.state is InstanceState.ABSENT] == []
    assert state(handler, crowd[0]) is InstanceState.ABSENT


def test_newest_instances_first(cloud, connect, crowd):
    cloud.platform.newest_first = True
    assert sorted(listed(connect())) == sorted(crowd)


def test_endless_pages_are_an_error(cloud, connect, crowd, monkeypatch):
    everything = cloud.platform.list(1, 5)
    monkeypatch.setattr(cloud.platform, "list", lambda _page, _size: everything)
    found = []
    assert calls(cloud, lambda: found.extend(listed(connect()))) == {"list": 2}
    assert len(found) == 5


@pytest.mark.parametrize("operation", ["list", "get"])
def test_an_instance_without_an_id_is_requested_again(cloud, connect, crowd, operation):
    handler = connect()
    if operation == "get":
        listed(handler)
    cloud.set_faults(Fault("no_id", operation, count=1))
    with pytest.raises(TransientError, match="something is missing"):
        handler.describe(crowd[:1])
    assert state(handler, crowd[0]) is InstanceState.READY


def test_the_life_cycle_of_an_instance(cloud, connect, order):
    now = [0.0]
    cloud.platform.clock = lambda: now[0]
    cloud.platform.boot_seconds, cloud.platform.stop_seconds = 30.0, 10.0
    handler = connect()
    id = handler.create(order()).id
    seen = []
    for now[0] in (0.0, 10.0, 20.0, 30.0):
        seen.append(handler.describe([id])[id])
    assert [each.raw_state for each in seen] == ["starting", "initializing", "preparing", "running"]
    assert [bool(each.addresses) for each in seen] == [False, False, False, True]
    assert handler.delete([id]) == {id: None}
    assert [each.state for each in handler.list_owned(OWNER)] == [InstanceState.DELETING]
    now[0] = 40.0
    gone = handler.describe([id])[id]
    assert (gone.state, gone.raw_state, gone.may_be_hidden) == (InstanceState.ABSENT, "halted", False)
    assert listed(handler) == []


def test_errors_count_with_any_status(cloud, connect, order):
    handler = connect()
    id = handler.create(order()).id
    cloud.set_faults(Fault("refuse", status=200, type="missing rights", message="You may not do this"))
    for act in (lambda: handler.describe([id]), lambda: listed(handler), lambda: handler.create(order("t-2"))):
        with pytest.raises(AuthError, match="missing rights: You may not do this"):
            act()
    with pytest.raises(AuthError):
        handler.delete([id])
    assert len(cloud.platform.running()) == 1


# Deletion


def test_a_stopping_instance_is_not_stopped_again(cloud, connect, order):
    cloud.platform.stop_seconds = 3600
    handler = connect()
    ids = [handler.create(order(f"t-{number}")).id for number in range(3)]
    assert calls(cloud, lambda: handler.delete(ids)) == {"list": 2, "stop": 3}
    assert calls(cloud, lambda: handler.delete(ids)) == {"list": 2}


def test_an_instance_that_cannot_be_stopped_before_it_runs(cloud, connect, order):
    now = [0.0]
    cloud.platform.clock = lambda: now[0]
    cloud.platform.boot_seconds, cloud.platform.stops_while_starting = 30.0, False
    handler = connect()
    id = handler.create(order()).id
    assert handler.delete([id]) == {id: None}
    assert state(handler, id) is InstanceState.PENDING
    now[0] = 30.0
    assert handler.delete([id]) == {id: None}
    assert state(handler, id) is InstanceState.ABSENT


def test_a_stop_refused_for_a_wrong_status_is_repeated(cloud, connect, order):
    handler = connect()
    ids = [handler.create(order(f"t-{number}")).id for number in range(6)]
    cloud.set_faults(Fault("refuse", "stop", id=ids[0], status=200, type="wrong status", message="It is resizing"))
    results = handler.delete(ids)
    assert isinstance(results[ids[0]], TransientError)
    assert "wrong status: It is resizing" in str(results[ids[0]])
    assert [results[id] for id in ids[1:]] == [None] * 5
    assert [machine.id for machine in cloud.platform.running()] == ids[:1]


def test_an_instance_missing_from_the_list_can_be_stopped(cloud, connect, order):
    cloud.platform.hidden_seconds = 3600
    handler = connect()
    id = handler.create(order()).id
    assert handler.delete([id, UNKNOWN]) == {id: None, UNKNOWN: None}
    assert cloud.platform.running() == []


def test_a_second_instance_of_a_token_is_stopped_by_create_but_not_by_delete(cloud, connect, order):
    """A creation took effect after another one had been made: each can be deleted without the other."""
    handler = connect()
    first = handler.create(order()).id
    machine = cloud.platform.machines[first]
    late = dataclasses.replace(machine, id=f"{first[:-1]}x", created=machine.created + 60)
    cloud.platform.machines[late.id] = late
    assert sorted(listed(handler)) == sorted([first, late.id])
    assert handler.delete([late.id]) == {late.id: None}
    assert listed(handler) == [first]
    late.stopped = None
    assert handler.create(order()).id == first
    assert listed(handler) == [first], "the one that counts is the first"
    late.stopped = None
    assert handler.delete([first]) == {first: None}
    assert listed(handler) == [late.id]
    assert handler.create(order()).id == late.id, "the token has made this one, too"


def test_after_one_timeout_no_other_call_is_made(cloud, connect, order):
    handler = connect()
    ids = [handler.create(order(f"t-{number}")).id for number in range(12)]
    cloud.set_faults(Fault("hang", "stop"))
    with pytest.raises(TransientError, match=r"no answer within 0\.5 s"):
        connect(timeout=0.5).delete(ids)
    assert cloud.calls()["stop"] <= 8


def test_one_timeout_does_not_block_other_deletions(cloud, connect, order):
    handler = connect(timeout=15.0)
    ids = [connect().create(order(f"t-{number}")).id for number in range(8)]
    cloud.set_faults(Fault("hang", "stop", id=ids[0]))
    results = handler.delete(ids)
    assert [results[id] for id in ids[1:]] == [None] * 7
    assert isinstance(results[ids[0]], TransientError)


# Costs


def test_cost_is_the_total(cloud, connect, order):
    handler = connect()
    id = handler.create(order()).id
    assert handler.cost([id, UNKNOWN]) == {id: Decimal("0.30"), UNKNOWN: None}
    handler.delete([id])
    assert handler.cost([id]) == {id: Decimal("0.30")}, "the record stays, and with it what it has cost"


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (b"<fees/>", None),
        (b'<nil-classes type="array"/>', None),
        (b"<fees><fee><name>VAT</name><total_cost>1</total_cost></fee></fees>", None),
        (b"<fees><fee><name>Total</name><total_cost></total_cost></fee></fees>", None),
        (b"<fees><fee><name>Total</name><total_cost>NaN</total_cost></fee></fees>", None),
        (b"<x><fee><name>total</name><total-cost> 1.25 </total-cost></fee></x>", Decimal("1.25")),
    ],
)
def test_costs_of_every_shape(connect, body, cost):
    with answering(lambda *_: (200, {}, body)) as endpoint:
        assert connect(endpoint=endpoint).cost(["i-1"]) == {"i-1": cost}


# Credentials, endpoints and secrets


def test_wrong_credentials_are_one_clear_line(cloud, connect, order):
    for auth, words in (
        ({"email": EMAIL, "password": "wrong"}, "the e-mail address or the password is wrong"),
        ({"email": EMAIL}, "auth_data has no password"),
        ({}, "auth_data has no email and no password"),
    ):
        with pytest.raises(AuthError, match=words) as caught:
            connect(auth=auth).create(order())
        assert len(str(caught.value).splitlines()) == 1
        assert caught.value.unreached
    cloud.credentials = "zoë@example.org:pässwörd"
    connect(auth={"email": "zoë@example.org", "password": "pässwörd"}).create(order())


def test_an_endpoint_may_have_a_path_and_a_slash(cloud, connect, order):
    connect(endpoint=f"{cloud.endpoint}/").create(order())
    with pytest.raises(PermanentError, match=r"HTTP 404, not as CloudBroker does") as caught:
        connect(endpoint=f"{cloud.endpoint}/elsewhere").create(order("t-2"))
    assert caught.value.unreached


@pytest.mark.parametrize(
    ("status", "headers"), [(200, {}), (404, {}), (301, {"Location": "https://elsewhere.example.org/"})]
)
def test_an_endpoint_that_is_not_cloudbroker_gets_no_creation(connect, order, status, headers):
    asked = []

    def answer(path, _headers, body):
        asked.append((path.partition("?")[0], body))
        return status, headers, PAGE

    refusal = pytest.raises(PermanentError, match=f"answered HTTP {status}, not as CloudBroker does")
    with answering(answer) as endpoint, refusal as caught:
        connect(endpoint=endpoint).create(order())
    assert caught.value.unreached
    assert asked == [("/instances.xml", b"")]


def test_a_certificate_must_be_trusted(connect, monkeypatch, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    empty = b'<nil-classes type="array"/>'
    with answering(lambda *_: (200, {}, empty), context) as endpoint:
        with pytest.raises(PermanentError, match="its certificate is not trusted"):
            listed(connect(endpoint=endpoint))
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert listed(connect(endpoint=endpoint)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html><body>Welcome</body></html>",
        b"<instances>",
        b"<instance/>",
        b'<instances type="array"><user/></instances>',
        b'{"instances": []}',
        b'<!DOCTYPE x [<!ENTITY a "b">]><instances type="array"/>',
        b'<?xml version="1.0" encoding="no-such"?><instances type="array"/>',
        b"\xff\xfe<",
    ],
)
def test_an_unreadable_answer_leaves_the_outcome_unknown(cloud, connect, order, body, monkeypatch):
    handler = connect()
    id = handler.create(order()).id
    answer = dataclasses.replace(cloud.platform.list(1, 1), body=body)
    monkeypatch.setattr(cloud.platform, "list", lambda *_: answer)
    for act in (lambda: listed(handler), lambda: handler.describe([id]), lambda: handler.create(order("t-2"))):
        with pytest.raises(TransientError) as caught:
            act()
        assert not caught.value.unreached
    assert len(cloud.platform.running()) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_an_incomplete_answer_to_a_creation_makes_no_second_one(cloud, connect, order, share):
    handler = connect()
    listed(handler)
    cloud.set_faults(Fault("cut_reply", "create", share=share, count=1))
    with pytest.raises(TransientError):
        handler.create(order())
    assert handler.create(order()).id == cloud.platform.running()[0].id
    assert cloud.calls()["create"] == 1


def test_an_answer_that_drips_ends_in_time(cloud, connect, order):
    cloud.set_faults(Fault("drip"))
    with pytest.raises(TransientError, match=r"no answer within 0\.5 s"):
        listed(connect(timeout=0.5))


def test_no_secret_is_logged_or_shown(cloud, connect, order, caplog):
    with caplog.at_level(logging.DEBUG):
        request = order(user_data="#cloud-config\npassword: hush-hush\n")
        handler = connect()
        handler.create(request)
        listed(handler)
    assert "hush-hush" not in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(vars(handler)) + repr(handler)
