"""The requests for a section and a context, and descriptions that are refused without a call."""

from __future__ import annotations

import base64

import jsonschema
import pytest

from occopus_core.api import PermanentError
from occopus_resource_cloudsigma import CloudSigmaHandler
from occopus_resource_cloudsigma.order import clone_body, server_body

DRIVE = {"uuid": "a-drive", "media": "disk"}


def server(request, drive=DRIVE):
    (body,) = server_body(request, drive)["objects"]
    return body


def test_the_server_of_a_minimal_description(order):
    body = server(order())
    meta = body.pop("meta")
    assert body == {
        "name": "occopus-1",
        "cpu": 2000,
        "mem": 2**30,
        "vnc_password": "a-vnc-password",
        "nics": [{"ip_v4_conf": {"conf": "dhcp"}, "model": "virtio"}],
        "drives": [{"drive": "a-drive", "dev_channel": "0:0", "device": "virtio", "boot_order": 1}],
    }
    assert base64.b64decode(meta["cloudinit-user-data"]).decode().startswith("#cloud-config")
    assert meta["base64_fields"] == "cloudinit-user-data"
    assert meta["occopus-token"] == "occopus-1"


def test_owner_and_token_fit_the_meta(order):
    request = order("t" * 63, infra="i" * 63, node="n" * 63)
    for meta in (server(request)["meta"], clone_body(request)["meta"]):
        assert all(len(key) <= 32 and isinstance(value, str) for key, value in meta.items())
        assert (meta["occopus-infra_id"], meta["occopus-node_name"]) == ("i" * 63, "n" * 63)


def test_unknown_fields_are_passed_on(order):
    body = server(order(host_name="web", hv_relaxed=False, hv_tsc=False, future={"field": [1]}))
    assert (body["host_name"], body["future"]) == ("web", {"field": [1]})


def test_an_endpoint_in_the_description_is_not_sent(order):
    assert "endpoint" not in server(order(endpoint="https://zrh.cloudsigma.com/api/2.0"))


def test_rendered_texts_become_numbers_and_booleans(order):
    body = server(order(cpu="1500", smp="2", hv_tsc="True", context="yes"))
    assert (body["cpu"], body["smp"], body["hv_tsc"], body["context"]) == (1500, 2, True, True)


def test_a_server_without_interfaces(order):
    assert server(order(nics=[]))["nics"] == []


def test_the_user_s_own_meta_are_kept(order):
    meta = server(order(meta={"project": "shop", "number": 7}))["meta"]
    assert (meta["project"], meta["number"], meta["occopus-token"]) == ("shop", "7", "occopus-1")


def test_an_installation_medium_is_attached_as_one(order):
    (drive,) = server(order(), {"uuid": "x", "media": "cdrom"})["drives"]
    assert drive["device"] == "ide"


def test_without_a_contextualisation_there_is_no_user_data(order):
    assert not {"cloudinit-user-data", "base64_fields"} & set(server(order(user_data=None))["meta"])


def test_the_clone_has_the_token_as_name_and_the_requested_size(order):
    assert clone_body(order())["name"] == "occopus-1"
    assert "size" not in clone_body(order())
    assert clone_body(order(resource={"drive_size": "21474836480"}))["size"] == 21474836480


MISTAKES = {
    "drives": ({"drives": []}, "resource.description.drives cannot be given: the server gets the clone"),
    "status": ({"status": "running"}, "resource.description.status cannot be given: CloudSigma sets it"),
    "cpu": ({"cpu": "fast"}, "resource.description.cpu must be a whole number from 1 to 9223372036854775807"),
    "mem": ({"mem": 0}, "resource.description.mem must be a whole number"),
    "digits": ({"mem": "9" * 5000}, "resource.description.mem must be a whole number"),
    "truth": ({"hv_tsc": "perhaps"}, "resource.description.hv_tsc must be true or false, not 'perhaps'"),
    "context": ({"context": False}, "resource.description.context is false, and the contextualisation needs it"),
    "meta": ({"meta": {"cloudinit-user-data": "x"}}, "meta.cloudinit-user-data cannot be given: Occopus sets it"),
    "marks": ({"meta": {"occopus-token": "x"}}, "meta.occopus-token cannot be given: Occopus sets it"),
    "long key": ({"meta": {"k" * 33: "x"}}, "meta: a key has at most 32 characters, not 33"),
    "no meta": ({"meta": "x"}, "resource.description.meta must be a mapping"),
    "size": ({"resource": {"drive_size": "-1"}}, "resource.drive_size must be a whole number"),
}


@pytest.mark.parametrize(("given", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_refused_before_any_call(given, words, order, connect, cloud):
    with pytest.raises(PermanentError) as caught:
        connect().check(order(**given))
    assert words in caught.value.message
    assert len(caught.value.message) < 200
    assert cloud.log == []


def test_the_schema_refuses_what_is_set_elsewhere(order):
    validator = jsonschema.Draft7Validator(CloudSigmaHandler.schema())
    assert validator.is_valid(order(future=1, host_name="x", endpoint="https://x").resource)
    for field in ("drives", "uuid", "runtime"):
        assert not validator.is_valid(order(**{field: []}).resource)
    assert not validator.is_valid({**order().resource, "image": "x"})
