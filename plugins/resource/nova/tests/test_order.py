"""Request bodies, computed from a request alone."""

from __future__ import annotations

import base64

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner, PermanentError
from occopus_resource_nova import NovaHandler, order

FOUND = order.Found({"id": "image-1", "size": 3 * 2**30 + 1, "min_disk": 2}, {"id": "flavor-1", "disk": 0}, None)


def request(context=None, **resource):
    return CreateRequest("occopus-1", Owner("us", "i-1", "web", "n-1"), resource, context or Context())


def check(request):
    NovaHandler(Connection("nova", {"endpoint": "http://127.0.0.1:9"}, {})).check(request)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"volume_size": "big"}, "volume_size must be a whole number of GiB, at most 2147483647, not 'big'"),
        ({"volume_size": "9" * 5000}, "volume_size must be a whole number of GiB, at most 2147483647, not '999"),
        ({"volume_size": 2**31}, "volume_size must be a whole number of GiB, at most 2147483647"),
        ({"volume_size": "-1"}, "volume_size"),
        ({"volume_persist": "perhaps"}, "volume_persist must be true or false, not 'perhaps'"),
        ({"server_name": " "}, "server_name must have 1 to 255"),
        ({"server_name": "x" * 256}, "server_name must have 1 to 255"),
    ],
)
def test_invalid_values_are_refused(resource, message):
    with pytest.raises(PermanentError, match=message):
        check(request(**resource))


def test_user_data_has_a_limit():
    check(request(Context(user_data="x" * 49149)))
    with pytest.raises(PermanentError, match="Nova takes at most 65535"):
        check(request(Context(user_data="x" * 49150)))


def test_an_owner_must_fit_a_floating_ip():
    long = CreateRequest("occopus-1", Owner("us", "i" * 128, "w" * 63, "n" * 63), {"floating_ip": "yes"}, Context())
    with pytest.raises(PermanentError, match="too long"):
        check(long)


@pytest.mark.parametrize(("wanted", "size"), [(0, 4), ("0", 4), (7, 7), ("7", 7)])
def test_the_size_of_a_volume(wanted, size):
    assert order.volume_body(request(volume_size=wanted), FOUND)["volume"]["size"] == size


def test_one_call_creates_a_server_with_everything():
    wanted = request(Context(user_data="hello"), server_name="mine", key_name="k", security_groups=["a", "b"])
    server = order.server_body(wanted, FOUND, None)["server"]
    assert (server["name"], server["key_name"], server["imageRef"]) == ("mine", "k", "image-1")
    assert server["security_groups"] == [{"name": "a"}, {"name": "b"}]
    assert server["networks"] == "auto"
    assert base64.b64decode(server["user_data"]) == b"hello"
    assert server["metadata"]["occopus:token"] == "occopus-1"
    assert len(server["tags"]) == 6


@pytest.mark.parametrize("persist", [True, "true", False, "no"])
def test_a_volume_is_deleted_with_its_server_unless_it_persists(persist):
    server = order.server_body(request(volume_size=1, volume_persist=persist), FOUND, "v-1")["server"]
    (disk,) = server["block_device_mapping_v2"]
    assert disk["delete_on_termination"] is (persist in (False, "no"))
    assert "imageRef" not in server


@pytest.mark.parametrize("resource", [{"floating_ip": "yes"}, {"floating_ip": False}, {"floating_ip_pool": "public"}])
def test_any_value_requests_a_floating_ip(resource):
    assert order.wants_floating_ip(resource)
    assert not order.wants_floating_ip({})
