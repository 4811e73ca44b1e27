"""What is made of a refusal, and how much is asked of a cloud that does not answer."""

from __future__ import annotations

import pytest

from occopus_core.api import Context, CreateRequest, NotFoundError, Owner, PermanentError, TransientError
from occopus_resource_nova.steps import Steps, _naming
from occopus_resource_nova.view import Parts

RESOURCE = {"image_id": "i", "flavor_name": "f", "network_id": "n", "key_name": "k", "security_groups": ["g"]}


@pytest.mark.parametrize(
    ("message", "kind", "key"),
    [
        ("Invalid key_name provided.", NotFoundError, "key_name"),
        ("Security group g not found for project p.", NotFoundError, "security_groups"),
        ("Network n could not be found.", NotFoundError, "network_id"),
        ("Image i could not be found.", NotFoundError, "image_id"),
        (
            "Multiple security groups found matching 'g'. Use an ID to be more specific.",
            PermanentError,
            "security_groups",
        ),
        ("Multiple possible networks found, use a Network ID to be more specific.", PermanentError, "network_id"),
    ],
)
def test_the_key_that_is_meant_is_named(message, kind, key):
    request = CreateRequest("t-1", Owner("us"), RESOURCE, Context())
    named = _naming(TransientError(message, request_id="req-1"), request)
    assert type(named) is kind
    assert str(named) == f"{message} (resource.{key}) (request req-1)"


@pytest.mark.parametrize("message", ["Unexpected API Error.", "Flavor's disk is too small for requested image."])
def test_other_refusals_are_left_as_they_are(message):
    error = PermanentError(message)
    assert _naming(error, CreateRequest("t-1", Owner("us"), RESOURCE, Context())) is error


class Silent:
    """A cloud that lists what there is, and then answers no more."""

    def __init__(self):
        self.asked = 0

    def servers(self, ids):
        return {id: Parts([{"id": f"server-{id}", "metadata": {}, "status": "ACTIVE"}]) for id in ids}

    def helpers(self, ids):
        return {id: Parts() for id in ids}

    def delete(self, _service, _path):
        self.asked += 1
        raise TransientError("no answer within 30 s") from TimeoutError()


def test_a_cloud_that_does_not_answer_is_not_asked_for_each():
    cloud = Silent()
    results = Steps(cloud, cloud).remove(["a", "b", "c"])
    assert cloud.asked == 1
    assert list(results) == ["a", "b", "c"]
    assert all(isinstance(error, TransientError) for error in results.values())
