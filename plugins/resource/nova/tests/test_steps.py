"""Errors of Nova with their key, and the number of calls to a cloud that does not answer."""

from __future__ import annotations

import pytest

from occopus_core.api import Context, CreateRequest, NotFoundError, Owner, PermanentError, TransientError
from occopus_resource_nova import marks
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
def test_the_key_of_a_refusal_is_named(message, kind, key):
    request = CreateRequest("t-1", Owner("us"), RESOURCE, Context())
    named = _naming(TransientError(message, request_id="req-1"), request)
    assert type(named) is kind
    assert str(named) == f"{message} (resource.{key}) (request req-1)"


@pytest.mark.parametrize("message", ["Unexpected API Error.", "Flavor's disk is too small for requested image."])
def test_other_refusals_are_unchanged(message):
    error = PermanentError(message)
    assert _naming(error, CreateRequest("t-1", Owner("us"), RESOURCE, Context())) is error


class Silent:
    """A cloud that returns its lists, and then stops answering."""

    def __init__(self):
        self.asked = 0

    def servers(self, ids):
        return {id: Parts([{"id": f"server-{id}", "metadata": {}, "status": "ACTIVE"}]) for id in ids}

    def helpers(self, ids):
        return {id: Parts() for id in ids}

    def delete(self, _service, _path):
        self.asked += 1
        raise TransientError("no answer within 30 s") from TimeoutError()


def test_after_a_timeout_no_other_call_is_made():
    cloud = Silent()
    results = Steps(cloud, cloud).remove(["a", "b", "c"])
    assert cloud.asked == 1
    assert list(results) == ["a", "b", "c"]
    assert all(isinstance(error, TransientError) for error in results.values())


class Attached:
    """A cloud with a volume of ours attached to a server with this metadata, or already deleted if None."""

    OURS = marks.metadata(Owner("us"), "t-1")

    def __init__(self, server):
        self.server = server

    def servers(self, ids):
        return {id: Parts() for id in ids}

    def helpers(self, ids):
        volume = {"id": "v-1", "status": "in-use", "metadata": self.OURS, "attachments": [{"server_id": "s-9"}]}
        return {id: Parts(volumes=[volume]) for id in ids}

    def get(self, _service, path, key):
        assert (path, key) == ("/servers/s-9", "volume_size")
        if self.server is None:
            raise NotFoundError("Instance s-9 could not be found.")
        return {"server": {"metadata": self.server}}


def test_a_volume_of_another_server_is_reported_and_not_waited_for():
    taken = Attached({})
    error = Steps(taken, taken).remove(["t-1"])["t-1"]
    assert type(error) is PermanentError
    assert str(error) == "its volume v-1 is in use by s-9: detach it, and it can be deleted"


@pytest.mark.parametrize("server", [None, marks.metadata(Owner("us"), "t-1")])
def test_a_volume_that_its_own_server_is_detaching_is_waited_for(server):
    leaving = Attached(server)
    assert Steps(leaving, leaving).remove(["t-1"]) == {"t-1": None}


class Unreached:
    """A cloud that answers a number of requests before it is unreachable."""

    def __init__(self, answers):
        self.answers = answers

    def ask(self):
        self.answers -= 1
        if self.answers < 0:
            raise TransientError("it cannot be reached", unreached=True)

    def servers(self, ids):
        self.ask()
        return {id: Parts() for id in ids}

    def find(self, _service, _path, _name, wanted, _key):
        self.ask()
        return {"id": wanted, "disk": 1}

    def send(self, *_):
        self.ask()


@pytest.mark.parametrize(("answers", "unreached"), [(0, True), (1, False), (2, False), (4, False), (5, False)])
def test_only_a_failed_first_request_made_nothing(answers, unreached):
    """A cloud that has answered may have made something, now or earlier."""
    cloud = Unreached(answers)
    with pytest.raises(TransientError) as raised:
        Steps(cloud, cloud).next(CreateRequest("t-1", Owner("us"), RESOURCE, Context()))
    assert raised.value.unreached is unreached
