"""The handler on a simulated EC2 with counted calls and injected faults: cases that the conformance suite lacks."""

from __future__ import annotations

import dataclasses
import logging

import boto3
import botocore.config
import pytest

from occopus_core.api import (
    AuthError,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    QuotaError,
    TransientError,
)
from occopus_resource_ec2 import Ec2Handler
from occopus_resource_ec2.tags import own_tags

pytestmark = pytest.mark.integration

IMAGE = "ami-0123456789abcdef0"
OWNER = Owner("here", "shop")
TAKEN_BACK = {
    "kind": "take_back",
    "action": "RunInstances",
    "count": 1,
    "code": "Server.InsufficientInstanceCapacity",
    "message": "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy the request.",
}


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """boto3's own credential chain finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return monkeypatch


def ec2_client(ec2):
    """A client of the account, without the handler."""
    from occopus_resource_ec2.testing import ACCESS_KEY, REGION, SECRET_KEY  # noqa: PLC0415

    patient = botocore.config.Config(read_timeout=600, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return boto3.client("ec2", endpoint_url=ec2.endpoint, region_name=REGION, config=patient, **keys)


def ids(count):
    return [f"i-{number:017x}" for number in range(count)]


def calls(ec2, act):
    """The number of calls of each action that `act` makes."""
    before = ec2.calls()
    act()
    return {
        action: count - before.get(action, 0) for action, count in ec2.calls().items() if count != before.get(action)
    }


def test_create_and_its_repeat_are_one_call_each(ec2, connect, order):
    handler = connect()
    handler.describe(ids(1))  # so that `create` does not check the endpoint first
    assert calls(ec2, lambda: handler.create(order())) == {"RunInstances": 1}
    assert calls(ec2, lambda: handler.create(order())) == {"RunInstances": 1}
    (instance, volume) = ec2.inventory()
    assert instance["tags"] == volume["tags"] == {"Name": "shop-web", **instance["tags"]}


def test_a_thousand_instances_are_five_calls(ec2, connect, order):
    handler = connect()
    made = handler.create(order()).id
    asked = [*ids(999), made]
    found = {}
    assert calls(ec2, lambda: found.update(handler.describe(asked))) == {"DescribeInstances": 5}
    assert list(found) == asked
    assert [id for id, instance in found.items() if instance.state is not InstanceState.ABSENT] == [made]


@pytest.fixture
def crowd(connect, order, monkeypatch):
    """Twelve instances on pages of five."""
    monkeypatch.setattr("occopus_resource_ec2.handler._PAGE", 5)
    handler = connect()
    return {handler.create(order(f"t-{number}")).id for number in range(12)}


def listed(handler):
    return [instance.id for instance in handler.list_owned(OWNER)]


def test_pages_are_followed_to_the_last(ec2, connect, crowd):
    handler = connect()
    found = []
    assert calls(ec2, lambda: found.extend(listed(handler))) == {"DescribeInstances": 3}
    assert sorted(found) == sorted(crowd)
    assert calls(ec2, lambda: handler.delete(found)) == {"TerminateInstances": 3}
    assert ec2.inventory() == []


def test_more_than_a_thousand_are_listed(ec2, connect, monkeypatch):
    """Pages of 340 instances: moto puts the instances of one call on one page."""
    tags = [{"Key": key, "Value": value} for key, value in own_tags(OWNER, "t-crowd").items()]
    made = {"ImageId": IMAGE, "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]}
    for _ in range(3):
        ec2_client(ec2).run_instances(**made, MinCount=340, MaxCount=340)
    handler = connect(timeout=600.0)
    found = []
    with monkeypatch.context() as patch:
        patch.setattr("occopus_resource_ec2.handler._PAGE", 1)
        assert calls(ec2, lambda: found.extend(listed(handler))) == {"DescribeInstances": 3}
    assert len(found) == len(set(found)) == 1020


INVALID = {"kind": "refuse", "status": 400, "code": "InvalidNextToken", "message": "The token has expired."}
LATER = {"action": "DescribeInstances", "parameter": "NextToken"}


def test_an_expired_page_token_is_an_error_and_not_the_end_of_the_list(ec2, connect, crowd):
    ec2.set_faults([{**INVALID, **LATER, "count": 1}])
    handler = connect()
    with pytest.raises(TransientError, match=r"InvalidNextToken: The token has expired\. \(on a later page\)"):
        listed(handler)
    assert set(listed(handler)) == crowd, "the list is started again"


def test_endless_pages_are_an_error(ec2, connect, crowd):
    ec2.set_faults([{"kind": "first_page", **LATER}])
    handler = connect()

    def endless():
        with pytest.raises(TransientError, match="the pages of its list have no end"):
            listed(handler)

    assert calls(ec2, endless) == {"DescribeInstances": 101}


def test_a_repeated_page_adds_no_duplicates(ec2, connect, crowd):
    ec2.set_faults([{"kind": "first_page", **LATER, "count": 2}])
    found = listed(connect())
    assert len(found) == len(crowd)
    assert set(found) == crowd


def test_terminated_instances_are_not_listed(ec2, connect, order):
    ec2.set_times(delete_seconds=60)
    handler = connect()
    going, staying = (handler.create(order(token)).id for token in ("t-1", "t-2"))
    assert handler.delete([going]) == {going: None}
    listed = {instance.id: instance.state for instance in handler.list_owned(OWNER)}
    assert listed == {going: InstanceState.DELETING, staying: InstanceState.READY}
    ec2.set_times(delete_seconds=0)
    handler.delete([staying])
    assert [instance.id for instance in handler.list_owned(OWNER)] == [going]


def test_wildcards_in_an_owner_match_nothing(ec2, connect, order):
    handler = connect()
    handler.create(order())
    assert not list(handler.list_owned(Owner("*")))
    assert not list(handler.list_owned(Owner("here", "sh?p")))


def test_many_unknown_ids_do_not_cost_a_call_each(ec2, connect, order):
    handler = connect()
    made = handler.create(order()).id
    asked = [*ids(399), made]
    results = {}
    assert calls(ec2, lambda: results.update(handler.delete(asked))) == {
        "TerminateInstances": 2,
        "DescribeInstances": 2,
    }
    assert results == dict.fromkeys(asked)
    assert ec2.inventory() == []


def test_protected_instances_are_found_by_halving(ec2, connect, order):
    handler = connect()
    made = [handler.create(order(f"t-{number}")).id for number in range(8)]
    refusal = {"kind": "refuse", "status": 400, "code": "OperationNotPermitted", "message": "protected"}
    ec2.set_faults([{**refusal, "action": "TerminateInstances", "value": id} for id in (made[1], made[6])])
    results = handler.delete(made)
    assert {id for id, error in results.items() if error is not None} == {made[1], made[6]}
    assert {thing["id"] for thing in ec2.inventory() if thing["id"].startswith("i-")} == {made[1], made[6]}


def test_the_root_volume_is_looked_up_once_for_an_image(ec2, connect, order):
    handler = connect()
    handler.describe(ids(1))
    big = order(volume_size=30)
    assert calls(ec2, lambda: handler.create(big)) == {"DescribeImages": 1, "RunInstances": 1}
    assert calls(ec2, lambda: handler.create(order("t-2", volume_size=30))) == {"RunInstances": 1}
    assert [thing["size"] for thing in ec2.inventory() if "size" in thing] == [30, 30]
    with pytest.raises(NotFoundError, match=r"resource\.image_id"):
        handler.create(order("t-3", volume_size=30, image_id="ami-00000000"))


def test_every_optional_key_reaches_ec2(ec2, connect, order):
    client = ec2_client(ec2)
    client.create_key_pair(KeyName="my-key")
    group = client.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    subnet = client.describe_subnets()["Subnets"][0]["SubnetId"]
    wanted = {
        "key_name": "my-key",
        "security_group_ids": [group],
        "subnet_id": subnet,
        "associate_public_ip_address": True,
        "volume_size": 30,
        "volume_type": "gp3",
        "market_type": "spot",
        "max_price": 0.05,
        "http_tokens": "required",
        "http_put_response_hop_limit": 2,
        "tags": {"project": "shop"},
    }
    assert {*wanted, "iam_instance_profile"} == {*Ec2Handler.schema()["properties"]} - {
        *Ec2Handler.schema()["required"]
    }
    made = connect().create(order(**wanted))
    (found,) = client.describe_instances(InstanceIds=[made.id])["Reservations"][0]["Instances"]
    assert (found["KeyName"], found["SubnetId"], found["InstanceLifecycle"]) == ("my-key", subnet, "spot")
    assert [each["GroupId"] for each in found["NetworkInterfaces"][0]["Groups"]] == [group]
    assert found["PublicIpAddress"] == made.addresses[0].value
    assert (found["MetadataOptions"]["HttpTokens"], found["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        2,
    )
    (volume,) = client.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"]) == (30, "gp3")
    assert {"Key": "project", "Value": "shop"} in volume["Tags"]


def test_a_token_finds_its_instance_though_the_request_changed(ec2, connect, order):
    """Rendered values may change between two calls: the token's instance is returned."""
    handler = connect()
    made = handler.create(order())
    assert handler.create(order(user_data="#cloud-config\n# later\n")).id == made.id
    assert [each.id for each in handler.list_owned(Owner("here"))] == [made.id]


@pytest.mark.parametrize("later", [{}, {"user_data": "#cloud-config\n# later\n"}])
def test_missing_capacity_reported_after_the_call_was_accepted(ec2, connect, order, later):
    """The first `create` answers "pending", the next one reports the reason; only a deletion removes the instance."""
    ec2.set_faults([TAKEN_BACK])
    handler = connect()
    made = handler.create(order()).id
    assert handler.describe([made])[made].state is InstanceState.PROVISIONING
    with pytest.raises(QuotaError, match="InsufficientInstanceCapacity"):
        handler.create(order(**later))
    assert not list(handler.list_owned(OWNER))
    for process in (handler, connect()):
        assert process.delete([made]) == {made: None}
        gone = process.describe([made])[made]
        assert (gone.state, gone.raw_state) == (InstanceState.ABSENT, "terminated")


def test_a_token_whose_instance_is_not_visible_yet_is_retried(ec2, connect, order, monkeypatch):
    handler = connect()
    handler.create(order())
    monkeypatch.setattr(handler, "_instances", lambda _wanted: iter(()))
    with pytest.raises(TransientError, match="IdempotentParameterMismatch"):
        handler.create(order(instance_type="t3.large"))


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"image_id": "ami-00000000"}, r"InvalidAMIID\.NotFound: .*\(resource\.image_id\)"),
        ({"subnet_id": "subnet-0"}, r"InvalidSubnetID\.NotFound: .*\(resource\.subnet_id\)"),
        ({"security_group_ids": ["sg-0"]}, r"InvalidGroup\.NotFound: .*\(resource\.security_group_ids\)"),
        ({"key_name": "nobody's"}, r"InvalidKeyPair\.NotFound: .*\(resource\.key_name\)"),
    ],
)
def test_a_missing_resource_is_named_with_its_key(ec2, connect, order, resource, words):
    with pytest.raises(NotFoundError, match=words):
        connect().create(order(**resource))
    assert ec2.inventory() == []


def test_too_much_user_data_is_refused_without_a_call(ec2, connect, order):
    big = order(user_data="x" * 16385)
    handler = connect()

    def refused():
        for call in (handler.check, handler.create):
            with pytest.raises(PermanentError, match="user data"):
                call(big)

    assert calls(ec2, refused) == {}


def test_the_keys_are_those_of_auth_data_or_of_boto3s_chain(ec2, connect, order, no_credentials):
    from occopus_resource_ec2.testing import ACCESS_KEY, SECRET_KEY  # noqa: PLC0415

    with pytest.raises(AuthError, match=r"give accesskey and secretkey in auth_data\.yaml"):
        connect(auth={}).create(order())
    with pytest.raises(AuthError, match="auth_data has no secretkey"):
        connect(auth={"accesskey": ACCESS_KEY}).create(order())
    assert Ec2Handler.auth_fault({"acceskey": ACCESS_KEY, "secretkey": SECRET_KEY}) == (
        "auth_data has no accesskey: did you mean 'accesskey'?"
    )
    assert Ec2Handler.auth_fault({}) == ""
    with pytest.raises(AuthError, match="AuthFailure"):
        connect(auth={"accesskey": "AKIANOBODY", "secretkey": SECRET_KEY}).create(order())
    no_credentials.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    no_credentials.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    connect(auth={}).create(order())
    assert len(ec2.inventory()) == 2


def test_changed_credential_files_of_boto3_are_read_again(ec2, connect, order, no_credentials, tmp_path):
    """boto3 reads its files once: after a refusal the handler makes a new client."""
    from occopus_resource_ec2.testing import ACCESS_KEY, SECRET_KEY  # noqa: PLC0415

    def session(name):
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "aws_session_token": name}
        (tmp_path / "none").write_text("[default]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))

    session("first-session")
    handler = connect(auth={})
    made = handler.create(order())
    expired = {"kind": "refuse", "session": "first-session", "status": 400, "code": "ExpiredToken"}
    ec2.set_faults([{**expired, "message": "The security token included in the request is expired"}])
    for _ in range(2):
        with pytest.raises(AuthError, match="ExpiredToken"):
            handler.create(order("t-2"))
    session("second-session")
    assert handler.create(order()).id == made.id
    handler.create(order("t-2"))
    assert len(listed(handler)) == 2


@pytest.mark.parametrize(("status", "kind"), [(200, PermanentError), (404, PermanentError), (502, TransientError)])
def test_a_web_page_is_an_error(ec2, connect, order, status, kind):
    ec2.set_faults([{"kind": "html", "status": status}])
    handler = connect()
    for act in (
        lambda: handler.create(order()),
        lambda: handler.describe(ids(1)),
        lambda: list(handler.list_owned(OWNER)),
    ):
        with pytest.raises(kind, match=f"answered HTTP {status}, not as EC2 does"):
            act()


def test_an_endpoint_that_never_answered_as_ec2_gets_no_run_instances(ec2, connect, order):
    ec2.set_faults([{"kind": "foreign_reply"}])
    handler = connect()

    def strange():
        with pytest.raises(PermanentError, match="not as EC2 does") as caught:
            handler.create(order())
        assert caught.value.unreached

    assert calls(ec2, strange) == {"DescribeInstances": 1}
    ec2.set_faults([])
    handler.create(order())
    ec2.set_faults([{"kind": "foreign_reply"}])
    with pytest.raises(TransientError, match="not as EC2 does") as caught:  # from a proxy in front of EC2
        handler.create(order("t-2"))
    assert not caught.value.unreached
    ec2.set_faults([])
    assert len(listed(handler)) == 2


FOREIGN = [
    "",
    " ",
    "<html><body>Welcome</body></html>",
    "<RunInstancesResponse/>",
    "<DescribeInstancesResponse/>",
    "<TerminateInstancesResponse/>",
    "<Response><Errors/></Response>",
    "<RunInstancesResponse><instancesSet/></RunInstancesResponse>",
    "<RunInstancesResponse><instancesSet><item/></instancesSet></RunInstancesResponse>",
    "<DescribeInstancesResponse><reservationSet><item/></reservationSet></DescribeInstancesResponse>",
    "<TerminateInstancesResponse><instancesSet><item/></instancesSet></TerminateInstancesResponse>",
    "<DescribeRegionsResponse><reservationSet/></DescribeRegionsResponse>",
    '{"Reservations": []}',
]
SPOILT = {
    **{f"foreign {body}": {"kind": "foreign_reply", "message": body or " "} for body in FOREIGN},
    **{f"cut at {share:.0%}": {"kind": "cut_reply", "share": share} for share in (0.0, 0.005, 0.02, 0.2, 0.9, 0.99)},
}


@pytest.mark.parametrize("fault", SPOILT.values(), ids=SPOILT)
def test_an_unreadable_answer_leaves_the_outcome_unknown(ec2, connect, order, fault):
    """The call may have taken effect or not, and the instance may exist or not."""
    handler = connect()
    made = handler.create(order())
    acts = [
        lambda: handler.create(order("t-2")),
        lambda: handler.describe([made.id]),
        lambda: listed(handler),
        lambda: handler.delete([made.id]),
    ]
    ec2.set_faults([fault])
    for act in acts:
        with pytest.raises(TransientError) as caught:
            act()
        assert not caught.value.unreached
    ec2.set_faults([])
    again = handler.create(order("t-2"))
    assert [instance.id for instance in handler.list_owned(OWNER)] == [again.id], "the deletion took effect, too"


def test_an_answer_that_drips_ends_in_time(ec2, connect, order):
    connect().describe(ids(1))  # reading the API description takes time once
    ec2.set_faults([{"kind": "drip"}])
    with pytest.raises(TransientError, match=r"no answer within 0\.5 s"):
        connect(timeout=0.5).create(order())
    ec2.set_faults([])
    assert connect().create(order()).id == next(iter(connect().list_owned(OWNER))).id


def test_an_invalid_endpoint_url(connect, order):
    with pytest.raises(PermanentError, match="Invalid endpoint"):
        connect(endpoint="nonsense").create(order())


def test_user_data_is_in_no_log(connect, order, caplog):
    with caplog.at_level(logging.DEBUG):
        request = order(user_data="#cloud-config\npassword: hush-hush\n")
        connect().create(request)
        connect().describe(ids(1))
    assert "hush-hush" not in caplog.text
    assert "UserData" not in caplog.text
    assert "hush-hush" not in repr(dataclasses.replace(request))


def test_the_console_is_read_without_latest_where_the_type_cannot_give_that(connect, ec2, order):
    handler = connect()
    made = handler.create(order(user_data="#!/bin/sh\necho first\necho last\n"))
    ec2.set_faults([{"kind": "refuse", "parameter": "Latest", "status": 400, "code": "UnsupportedOperation"}])
    assert handler.logs([made.id], 1) == {made.id: "last"}
    assert ec2.calls()["GetConsoleOutput"] == 2


def test_a_console_without_output_is_empty(connect, order):
    handler = connect()
    made = handler.create(order())
    assert not handler.logs([made.id], 5)[made.id]
