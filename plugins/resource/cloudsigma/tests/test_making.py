"""The steps that make an instance, one call of `create` after another."""

from __future__ import annotations

import contextlib

import pytest

from occopus_core.api import InstanceState, NotFoundError, Owner, PermanentError, QuotaError, TransientError
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.testing import Fault


def changes(cloud):
    """The calls that changed something: method, kind of resource, action."""
    return [
        " ".join([call.split(" ")[0], call.split("/")[1], *call.partition("do=")[2:]]).strip()
        for call in cloud.log
        if not call.startswith("GET")
    ]


def test_the_life_cycle_of_an_instance(connect, cloud, order, clock):
    for name in ("clone_seconds", "start_lag", "start_seconds", "address_lag", "stop_seconds"):
        setattr(cloud.behaviour, name, 2.0)
    handler, request = connect(), order()
    states = []
    while len(states) < 40 and (not states or states[-1][0] is not InstanceState.PENDING):
        instance = handler.create(request)
        states.append((instance.state, instance.reason))
        clock.time += 0.5
    assert list(dict.fromkeys(states)) == [
        (InstanceState.PROVISIONING, "its drive is being cloned"),
        (InstanceState.PROVISIONING, "its server was asked to start"),
        (InstanceState.PENDING, "the server is starting"),
    ]
    assert changes(cloud) == ["POST drives clone", "PUT drives", "POST servers", "POST servers start"] + [
        "POST servers start"
    ] * (changes(cloud).count("POST servers start") - 1)
    clock.time += 2
    assert handler.describe(["occopus-1"])["occopus-1"].reason == "the server runs and has no address yet"
    clock.time += 2
    instance = handler.describe(["occopus-1"])["occopus-1"]
    assert instance.state is InstanceState.READY
    assert instance.addresses[0].value.startswith("127.")
    assert instance.owner == request.owner
    (server,), (drive,) = cloud.servers(), cloud.drives()
    assert server["meta"]["occopus-token"] == drive["meta"]["occopus-token"] == drive["name"] == "occopus-1"


def test_each_look_at_a_clone_of_ten_minutes_is_one_call(connect, cloud, order, clock):
    cloud.behaviour.clone_seconds = 600.0
    handler, request = connect(), order()
    handler.create(request)
    for _ in range(39):
        clock.time += 15
        before = cloud.calls()
        instance = handler.create(request)
        assert (instance.state, instance.reason) == (InstanceState.PROVISIONING, "its drive is being cloned")
        assert cloud.calls() - before == 1
    clock.time += 15
    handler.create(request)
    assert handler.create(request).state is InstanceState.READY
    assert len(cloud.inventory()) == 2


def test_the_server_has_the_name_of_the_description(connect, cloud, order, made):
    request = order(name="shop, web")
    instance = made(connect(), request)
    assert instance.id == "occopus-1"
    assert cloud.servers()[0]["name"] == "shop, web"
    assert made(connect(), request).id == "occopus-1"
    assert len(cloud.inventory()) == 2


def test_a_changing_rendered_name_makes_no_second_server(connect, cloud, order, made):
    made(connect(), order(name="one"))
    made(connect(), order(name="another"))
    assert [server["name"] for server in cloud.servers()] == ["one"]


def test_a_clone_without_meta_gets_it_before_its_server_is_made(connect, cloud, order, made):
    cloud.behaviour.clone_takes_meta = False
    handler, request = connect(), order()
    handler.create(request)
    assert "occopus-token" not in cloud.drives()[0]["meta"]
    assert handler.describe(["occopus-1"])["occopus-1"].state is InstanceState.PROVISIONING
    made(handler, request)
    (drive,) = cloud.drives()
    assert drive["meta"]["os"] == "linux"
    assert drive["meta"]["occopus-installation"] == "here"
    assert [instance.id for instance in handler.list_owned(Owner("here"))] == ["occopus-1"]


@pytest.mark.parametrize("at_once", [True, False], ids=["by the clone", "by a step of its own"])
def test_a_larger_drive(at_once, connect, cloud, order, clock, made):
    cloud.behaviour.clone_takes_size = at_once
    cloud.behaviour.resize_seconds = 5.0
    size = 20 * 2**30 + 1
    made(connect(), order(resource={"drive_size": size}))
    assert cloud.drives()[0]["size"] >= size
    assert ("POST drives resize" in changes(cloud)) is not at_once


def test_a_drive_cannot_shrink(connect, order):
    with pytest.raises(PermanentError, match=r"Cannot clone to a smaller drive \(size\)"):
        connect().create(order(resource={"drive_size": 1}))


def test_a_missing_library_drive_is_named(connect, cloud, order):
    with pytest.raises(NotFoundError, match=r"does not exist \(resource\.libdrive_id\)") as caught:
        connect().create(order(resource={"libdrive_id": "../servers/x?y"}))
    assert not caught.value.unreached
    assert cloud.log[-1] == "POST /drives/..%2Fservers%2Fx%3Fy/action/?do=clone"


def test_an_invalid_field_is_named(connect, order, made):
    nics = [{"ip_v4_conf": {"conf": "dhcp", "ip": "94.26.101.149"}}]
    with pytest.raises(PermanentError, match=r"\(resource\.description\.nics\)"):
        made(connect(), order(nics=nics))


def test_older_names_of_the_state_running(connect, cloud, order, made):
    cloud.behaviour.running = "started"
    assert made(connect(), order()).state is InstanceState.READY


# Refusals


def test_a_start_refused_for_credit(connect, cloud, order, made):
    cloud.behaviour.credit = False
    with pytest.raises(QuotaError, match="needs burst credit for 5 days") as caught:
        made(connect(), order())
    assert not caught.value.unreached
    cloud.behaviour.credit = True
    assert made(connect(), order()).state is InstanceState.READY


def test_a_start_without_capacity(connect, cloud, order, made):
    cloud.behaviour.capacity = 0
    with pytest.raises(QuotaError, match="cannot provide enough resources"):
        made(connect(), order())


STORM = Fault("refuse", "", status=503, error_type="concurrency", message="The object is being modified")


def test_many_503_answers(connect, cloud, order, clock):
    """Half of all calls are refused, and still everything is made once and deleted."""
    cloud.fail(Fault(**{**vars(STORM), "probability": 0.5}))
    handler, reasons = connect(), set()
    requests = [order(f"occopus-{number}") for number in range(5)]
    ready = set()
    while len(ready) < len(requests) and clock.time < 200:
        for request in requests:
            with suppress(TransientError, reasons):
                if handler.create(request).state is InstanceState.READY:
                    ready.add(request.token)
        clock.time += 1
    assert (len(ready), len(cloud.servers()), len(cloud.drives())) == (5, 5, 5)
    while cloud.inventory() and clock.time < 400:
        with suppress(TransientError, reasons):
            handler.delete(sorted(ready))
        clock.time += 1
    assert cloud.inventory() == []
    assert {reason.partition(": ")[2] for reason in reasons} == {"The object is being modified"}


@contextlib.contextmanager
def suppress(kind, reasons):
    """Continue after an error of this class, and record its message."""
    try:
        yield
    except kind as error:
        reasons.add(error.message)


def test_a_start_that_another_call_has_begun_is_no_error(connect, cloud, order, made, clock):
    cloud.behaviour.start_lag = 3.0
    handler, request = connect(), order()
    handler.create(request)
    for _ in range(3):
        assert handler.create(request).reason == "its server was asked to start"
    assert cloud.calls("do=start") == 3
    clock.time += 3
    assert made(handler, request).state is InstanceState.READY


def test_a_server_deleted_before_its_start_is_made_again(connect, cloud, order, made):
    cloud.fail(Fault("refuse", "do=start", count=1, status=404, error_type="notexist", message="gone"))
    with pytest.raises(TransientError, match="went away before it was started"):
        made(connect(), order())


# Two resources of one token


def test_a_call_whose_answer_was_lost_makes_no_second_drive(connect, cloud, order, made):
    for call in ("do=clone", "^PUT", "^POST /servers/ ?$", "do=start"):
        cloud.fail(Fault("lost_reply", call, count=1))
        request = order(f"occopus-{len(cloud.log)}")
        with pytest.raises(TransientError) as caught:
            made(connect(), request)
        assert not caught.value.unreached
        made(connect(), request)
    assert (len(cloud.servers()), len(cloud.drives())) == (4, 4)


@pytest.mark.parametrize("change", ["PUT", "POST"])
def test_a_call_overtaken_by_another_is_no_error(connect, cloud, order, made, monkeypatch, change):
    request, real = order(), Client.send
    made(connect(), order("occopus-0"))

    def overtaken(client, method, path, *rest, **more):
        if method == change and ("servers" in path or method == "PUT"):
            monkeypatch.setattr(Client, "send", real)
            made(connect(), request)
            if method == "PUT":
                raise NotFoundError("gone")
        return real(client, method, path, *rest, **more)

    handler = connect()
    while len(cloud.drives()) < 2:
        handler.create(request)
    monkeypatch.setattr(Client, "send", overtaken)
    late = handler.create(request)
    assert (late.state, late.reason) == (InstanceState.PROVISIONING, "another call used or deleted its drive")
    assert late.id == "occopus-1"
    assert (len(cloud.servers()), len(cloud.drives())) == (2, 2)


def test_an_unusable_drive_is_an_error(connect, cloud, order, made):
    cloud.fail(Fault("refuse", "^POST /servers/ ?$", status=403, error_type="permission", message="cannot be mounted"))
    with pytest.raises(PermanentError, match="cannot be mounted"):
        made(connect(), order())


def test_a_second_drive_is_deleted_before_the_server_is_made(connect, cloud, order, made, clock):
    cloud.behaviour.clone_seconds = 5.0
    request = order()
    body = {"name": request.token}
    first = cloud.model.clone_drive(cloud.model.library["6fe24a6b-b5c5-40ba-8860-771044d2500d"], body)
    made(connect(), request)
    assert [drive["uuid"] for drive in cloud.drives()] == [first["uuid"]]
    clock.time += 1
    other = cloud.model.clone_drive(cloud.model.library["6fe24a6b-b5c5-40ba-8860-771044d2500d"], body)
    assert other["uuid"] in [drive["uuid"] for drive in cloud.drives()]
    clock.time += 5
    connect().create(request)
    assert [drive["uuid"] for drive in cloud.drives()] == [first["uuid"]]


def test_a_second_server_is_deleted_without_the_shared_drive(connect, cloud, order, made):
    cloud.behaviour.shares_drives = True
    request = order()
    made(connect(), request)
    (first,), (drive,) = cloud.servers(), cloud.drives()
    late = {"name": first["name"], "cpu": 1, "mem": 1, "vnc_password": "x"}
    marks = {**first["meta"], "occopus-asked": "0"}
    disk = {"drive": drive["uuid"], "dev_channel": "0:0", "device": "virtio"}
    cloud.model.create_server({**late, "meta": marks, "drives": [disk]})
    assert connect().create(request).reason == "another server of a lost call is deleted"
    assert connect().create(request).state is InstanceState.READY
    assert [one["uuid"] for one in cloud.inventory()] == [first["uuid"], drive["uuid"]]


# Resources deleted by a user


def test_a_server_deleted_by_a_user_leaves_a_failed_instance(connect, cloud, order, made):
    handler = connect()
    made(handler, order())
    (server,) = cloud.servers()
    cloud.model.stop(server)
    cloud.model.delete_server(server, "")
    described = handler.describe(["occopus-1"])["occopus-1"]
    assert (described.state, described.reason) == (InstanceState.FAILED, "its server is gone, its drive is left")
    handler.delete(["occopus-1"])
    assert cloud.inventory() == []
    assert handler.describe(["occopus-1"])["occopus-1"].state is InstanceState.ABSENT
