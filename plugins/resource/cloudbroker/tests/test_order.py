"""The body of a creation."""

from __future__ import annotations

import base64
from xml.etree.ElementTree import fromstring

import jsonschema
import pytest

from occopus_core.api import Context, CreateRequest, PermanentError
from occopus_resource_cloudbroker import CloudBrokerHandler
from occopus_resource_cloudbroker.order import order as body

MICADO = {
    "deployment_id": "e7491688-599d-4344-95ef-aff79a60890e",
    "instance_type_id": "9b2028be-9287-4bf6-bbfe-bcbc92f065c0",
    "key_pair_id": "d865f75f-d32b-4444-9fbb-3332bcedeb75",
    "opened_port": "22,80,443",
    "infrastructure_component_id": "4a3f7f0e-0000-4000-8000-000000000001",
    "firewall_rule_set_id": "4a3f7f0e-0000-4000-8000-000000000002",
    "dynamic_domain_names": "web.example.org",
}
"""The keys that the MiCADO adaptor writes."""


def sent(request):
    root = fromstring(body(request))
    assert root.tag == "instance"
    return {each.tag: each.text or "" for each in root}


def test_the_description_is_sent_unchanged(order):
    found = sent(order(user_data=None, **MICADO))
    name = found.pop("name")
    assert name == "occopus_t-1_here_id-t-1_web_shop"
    assert found == {**MICADO, "disable_autostop": "true", "isolated": "true"}


def test_the_schema_accepts_it_and_more():
    validator = jsonschema.Draft7Validator(CloudBrokerHandler.schema())
    section = {"endpoint": "https://platform.example.org", "description": {**MICADO, "something_new": ["a", {"b": 1}]}}
    validator.validate(section)
    for wrong in (
        {**section, "endpoint": "https://me:secret@platform.example.org"},
        {**section, "description": {"deployment_id": "x"}},
        {**section, "image": "x"},
    ):
        assert not validator.is_valid(wrong)


def test_the_defaults_can_be_changed_in_either_spelling(order):
    found = sent(order(**{"disable-autostop": False, "isolated": "false"}))
    assert (found["disable_autostop"], found["isolated"]) == ("false", "false")
    assert "disable-autostop" not in found


def test_user_data_is_sent_in_base64(order):
    text = "#cloud-config\npassword: zażółć\n"
    found = sent(order(user_data=text))
    assert base64.b64decode(found["cloud-init"]).decode() == text
    assert found["cloud-init-b64"] == "true"
    assert not {"cloud-init", "cloud-init-b64"} & set(sent(order(user_data=None)))


def test_a_name_of_the_user_follows_the_name_of_occopus(order):
    assert sent(order(name="my web & more"))["name"] == "occopus_t-1_here_id-t-1_web_shop my web & more"


def test_lists_and_mappings_become_elements(order):
    root = fromstring(body(order(names=["a", 2], options={"fast": True, "none": None})))
    names = root.find("names")
    assert names.get("type") == "array"
    assert [each.text for each in names] == ["a", "2"]
    assert {each.tag: each.text for each in root.find("options")} == {"fast": "true", "none": None}


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"deployment_id": ""}, r"resource\.description\.deployment_id is missing"),
        ({"instance_type_id": None}, r"resource\.description\.instance_type_id is missing"),
        ({"cloud-init": "x"}, r"resource\.description\.cloud-init: the contextualisation gives it"),
        ({"cloud_init_b64": True}, r"cloud_init_b64: the contextualisation gives it"),
        ({"key_pair_id": "a", "key-pair-id": "b"}, "key-pair-id is given twice"),
        ({"two words": "x"}, "'two words' cannot be the name of a field"),
        ({"options": {"<": "x"}}, r"resource\.description\.options: '<' cannot be the name of an element"),
        ({"opened_port": "22\0"}, r"resource\.description\.opened_port has a character that XML cannot hold"),
        ({"name": ["x"]}, r"resource\.description\.name must be a text"),
        ({"name": "x" * 250}, "the name that marks the instance has 283 characters"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_a_call(cloud, connect, order, description, words):
    handler = connect()
    for act in (handler.check, handler.create):
        with pytest.raises(PermanentError, match=words):
            act(order(**description))
    assert not cloud.calls()


def test_a_description_that_is_not_a_mapping(order):
    request = order()
    with pytest.raises(PermanentError, match="must be a mapping"):
        body(CreateRequest(request.token, request.owner, {"description": "x"}, Context()))
