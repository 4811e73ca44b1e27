"""The parameters of RunInstances, and requests that are refused before the call."""

from __future__ import annotations

import jsonschema
import pytest

from occopus_core.api import PermanentError
from occopus_resource_ec2 import Ec2Handler
from occopus_resource_ec2 import order as module

SPOT = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
INTERFACE = {"DeviceIndex": 0, "DeleteOnTermination": True}


def test_a_minimal_request(order):
    asked = module.order(order())
    tags = asked.pop("TagSpecifications")
    assert asked == {
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "t3.micro",
        "UserData": "#cloud-config\n",
        "ClientToken": "t-1",
        "MinCount": 1,
        "MaxCount": 1,
    }
    assert [each["ResourceType"] for each in tags] == ["instance", "volume"]
    assert {tag["Key"]: tag["Value"] for tag in tags[1]["Tags"]} == {
        "Name": "shop-web",
        "occopus:installation": "here",
        "occopus:infra_id": "shop",
        "occopus:node_name": "web",
        "occopus:node_id": "id-t-1",
        "occopus:token": "t-1",
    }


@pytest.mark.parametrize(
    ("resource", "asked"),
    [
        ({"key_name": "k"}, {"KeyName": "k"}),
        (
            {"subnet_id": "s", "security_group_ids": ["g", "h"]},
            {"SubnetId": "s", "SecurityGroupIds": ["g", "h"]},
        ),
        (
            {"subnet_id": "s", "security_group_ids": ["g"], "associate_public_ip_address": True},
            {"NetworkInterfaces": [{**INTERFACE, "AssociatePublicIpAddress": True, "SubnetId": "s", "Groups": ["g"]}]},
        ),
        (
            {"associate_public_ip_address": "False"},
            {"NetworkInterfaces": [{**INTERFACE, "AssociatePublicIpAddress": False}]},
        ),
        ({"iam_instance_profile": "p"}, {"IamInstanceProfile": {"Name": "p"}}),
        ({"iam_instance_profile": "arn:aws:x"}, {"IamInstanceProfile": {"Arn": "arn:aws:x"}}),
        ({"market_type": "spot"}, {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": SPOT}}),
        (
            {"market_type": "spot", "max_price": "0.05"},
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {**SPOT, "MaxPrice": "0.05"}}},
        ),
        (
            {"market_type": "spot", "max_price": 0.00005},
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {**SPOT, "MaxPrice": "0.00005"}}},
        ),
        (
            {"http_tokens": "required", "http_put_response_hop_limit": "2"},
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}},
        ),
    ],
)
def test_every_key_becomes_a_parameter(order, resource, asked):
    assert set(resource) <= set(Ec2Handler.schema()["properties"])
    least, found = module.order(order()), module.order(order(**resource))
    assert {key: value for key, value in found.items() if least.get(key) != value} == asked


def test_the_root_volume():
    assert module.root_volume({}) == {}
    assert module.root_volume({"volume_size": "20", "volume_type": "gp3"}) == {
        "VolumeSize": 20,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
    }


@pytest.mark.parametrize(
    "tags",
    [["Name=mine", "cost=7=8"], [{"Name": "mine"}, {"cost": "7=8"}], [{"Key": "Name", "Value": "mine"}, "cost=7=8"]],
)
def test_tags_as_a_list(order, tags):
    given = module.order(order(tags=tags))["TagSpecifications"][0]["Tags"]
    found = {tag["Key"]: tag["Value"] for tag in given}
    assert (found["Name"], found["cost"]) == ("mine", "7=8")


@pytest.mark.parametrize(
    ("tags", "message"), [(["cost"], "'cost' is not of the form KEY=VALUE"), (["a=1", {"a": 2}], "'a' is there twice")]
)
def test_an_invalid_list_of_tags(order, tags, message):
    with pytest.raises(PermanentError, match=message):
        module.order(order(tags=tags))


def test_the_users_tags_go_with_ours(order):
    tags = module.order(order(tags={"Name": "mine", "cost": 7}))["TagSpecifications"][0]["Tags"]
    found = {tag["Key"]: tag["Value"] for tag in tags}
    assert (found["Name"], found["cost"], found["occopus:token"]) == ("mine", "7", "t-1")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"volume_size": "big"}, "resource.volume_size must be a whole number from 1 to 2147483647, not 'big'"),
        ({"volume_size": 0}, "resource.volume_size must be a whole number from 1 to 2147483647, not 0"),
        ({"volume_size": "9" * 5000}, "resource.volume_size must be a whole number from 1 to 2147483647, not '999"),
        ({"volume_size": 10**30}, "resource.volume_size must be a whole number from 1 to 2147483647, not 1000"),
        ({"http_put_response_hop_limit": "9" * 5000}, "must be a whole number from 1 to 64, not '999"),
        ({"http_put_response_hop_limit": 65}, "must be a whole number from 1 to 64, not 65"),
        ({"market_type": "spot", "max_price": "nan"}, "resource.max_price must be a number above 0, not 'nan'"),
        ({"associate_public_ip_address": "maybe"}, "must be true or false, not 'maybe'"),
        ({"tags": {"occopus:token": "x"}}, "'occopus:token' begins with 'occopus:', which is reserved"),
        ({"tags": {"aws:x": "x"}}, "begins with 'aws:', which is reserved"),
        ({"tags": {"AWS:x": "x"}}, "'AWS:x' begins with 'AWS:', which is reserved"),
        ({"tags": {"": "x"}}, "resource.tags: a key has at least one character"),
        ({"tags": {"a": "x" * 257}}, "resource.tags.a: a value has at most 256 characters"),
        ({"tags": {"a" * 129: "x"}}, "a key has at most 128 characters"),
        ({"tags": {f"t{number}": "x" for number in range(45)}}, "these are 51, and EC2 takes 50"),
    ],
)
def test_invalid_values_are_refused_before_the_call(order, resource, words):
    with pytest.raises(PermanentError) as refused:
        Ec2Handler.check(object.__new__(Ec2Handler), order(**resource))
    assert words in str(refused.value)


def test_the_tags_of_occopus_count_too(order):
    with pytest.raises(PermanentError, match="the tag 'Name' of Occopus: a value has at most 256 characters"):
        module.order(order(infra="i" * 250, node="n" * 63))
    with pytest.raises(PermanentError, match="the tag 'occopus:infra_id' of Occopus"):
        module.order(order(infra="i" * 257, tags={"Name": "mine"}))


def test_the_limit_of_user_data_counts_bytes(order):
    most = module.USER_DATA_LIMIT
    module.order(order(user_data="x" * most))
    for text in ("x" * (most + 1), "é" * (most // 2 + 1)):
        with pytest.raises(PermanentError, match=f"bytes of user data, and EC2 takes at most {most}"):
            module.order(order(user_data=text))


def test_a_maximum_price_is_for_spot_only():
    section = {"endpoint": "https://x", "regionname": "r", "image_id": "i", "instance_type": "t"}
    accepts = jsonschema.Draft7Validator(Ec2Handler.schema()).is_valid
    assert accepts(section)
    assert not accepts({**section, "max_price": 1})
    assert accepts({**section, "max_price": 1, "market_type": "spot"})


def test_a_role_of_the_account_is_a_power():
    assert not Ec2Handler.powers({"image_id": "ami-1"})
    assert Ec2Handler.powers({"image_id": "ami-1", "iam_instance_profile": "{{ variables.profile }}"})
