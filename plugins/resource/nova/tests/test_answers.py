"""Handling of answers: incomplete ones, those of a proxy, and paged lists."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from occopus_core.api import (
    AuthError,
    Connection,
    Context,
    CreateRequest,
    Owner,
    PermanentError,
    TransientError,
)
from occopus_core.testing.web import PAGE, answering
from occopus_resource_nova import NovaHandler
from occopus_resource_nova.cloud import Cloud

AUTH = {"username": "me", "password": "hush-hush"}
SPOILT = [
    PAGE,
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"servers": [{"i',
    b'{"servers": {}}',
    b'{"servers": [{}]}',
    b'{"volume": {}}',
]


class Openstack:
    """Issues tokens; `compute` maps each other path to status and body."""

    def __init__(self):
        self.url = ""
        self.tokens = 0
        self.asked = []
        self.logins = []
        self.identity = None
        self.compute = lambda _path: (200, b'{"servers": []}')

    def answer(self, path, _headers, body):
        if path.endswith("/auth/tokens"):
            self.tokens += 1
            self.logins.append(body)
            status, said = self.identity or (201, self._token())
            return status, {"X-Subject-Token": f"token-{self.tokens}", "Content-Type": "application/json"}, said
        self.asked.append(path)
        status, said = self.compute(path)
        return status, {"Content-Type": "application/json"}, said

    def _token(self):
        services = ("compute", "network", "image")
        endpoint = {"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "id": "e", "url": self.url}
        catalog = [{"type": service, "name": service, "id": service, "endpoints": [endpoint]} for service in services]
        times = {"expires_at": "2999-01-01T00:00:00.000000Z", "issued_at": "2020-01-01T00:00:00.000000Z"}
        project = {"id": "p-1", "name": "p", "domain": {"id": "default", "name": "Default"}}
        user = {"id": "u-1", "name": "me", "domain": {"id": "default", "name": "Default"}}
        token = {"methods": ["password"], "user": user, "project": project, "roles": [], "catalog": catalog, **times}
        return json.dumps({"token": token}).encode()

    def connection(self):
        return Connection("nova", {"endpoint": self.url, "project_id": "p-1"}, AUTH, 10.0)


@pytest.fixture
def openstack():
    openstack = Openstack()
    with answering(openstack.answer) as openstack.url:
        yield openstack


@contextmanager
def transient():
    with pytest.raises(TransientError) as caught:
        yield
    assert type(caught.value) is TransientError
    assert not caught.value.unreached
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("body", SPOILT)
def test_an_unreadable_answer_does_not_mean_absent(openstack, body):
    openstack.compute = lambda _path: (200, body)
    handler = NovaHandler(openstack.connection())
    resource = {"endpoint": openstack.url, "project_id": "p-1", "image_id": "i", "flavor_name": "f"}
    for act in (
        lambda: handler.describe(["t-1"]),
        lambda: list(handler.list_owned(Owner("us"))),
        lambda: handler.delete(["t-1"]),
        lambda: handler.create(CreateRequest("t-1", Owner("us"), resource, Context())),
    ):
        with transient():
            act()


@pytest.mark.parametrize("body", [b'{"forbidden": {"message": "Quota exc', b'{"conflictingRequest": {"mess'])
@pytest.mark.parametrize("status", [400, 403, 404, 409, 413])
def test_an_incomplete_refusal_leaves_the_outcome_unknown(openstack, status, body):
    openstack.compute = lambda _path: (status, body)
    with transient():
        Cloud(openstack.connection()).send("compute", "POST", "/servers", {})


@pytest.mark.parametrize("body", SPOILT)
def test_an_endpoint_without_a_token_is_wrong_at_first_and_a_proxy_later(openstack, body):
    stranger = Cloud(openstack.connection())
    openstack.identity = 201, body
    with pytest.raises(PermanentError, match="Identity URL"):
        stranger.get("compute", "/servers/detail")
    openstack.identity = None
    stranger.get("compute", "/servers/detail")
    openstack.identity = 201, body
    openstack.compute = lambda _path: (401, b'{"error": {"message": "The token has been revoked."}}')
    with transient():
        stranger.get("compute", "/servers/detail")


def test_a_revoked_token_is_renewed_between_calls(openstack):
    cloud = Cloud(openstack.connection())
    cloud.get("compute", "/servers/detail")
    refused = iter([(401, b'{"error": {"message": "The token has been revoked."}}')])
    openstack.compute = lambda _path: next(refused, (200, b'{"servers": []}'))
    assert cloud.get("compute", "/servers/detail") == {"servers": []}
    assert openstack.tokens == 2


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "The request you have made requires authentication."), (404, "Could not find Application Credential: a-1.")],
)
def test_credentials_withdrawn_between_calls_are_reported(openstack, status, message):
    cloud = Cloud(openstack.connection())
    cloud.get("compute", "/servers/detail")
    openstack.compute = lambda _path: (401, b'{"error": {"message": "The token has been revoked."}}')
    openstack.identity = status, json.dumps({"error": {"code": status, "message": message}}).encode()
    with pytest.raises(AuthError, match=rf"{message} \(see auth_data"):
        cloud.get("compute", "/servers/detail")
    openstack.compute, openstack.identity = lambda _path: (200, b'{"servers": []}'), None
    assert cloud.get("compute", "/servers/detail") == {"servers": []}, "they may be good again"


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")  # openstacksdk raises it in any configuration
def test_clouds_yaml_is_read_again_after_a_refusal(openstack, tmp_path, monkeypatch):
    file = tmp_path / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    monkeypatch.delenv("OS_CLOUD", raising=False)

    def write(password):
        auth = {"auth_url": f"{openstack.url}/v3", "username": "me", "password": password, "project_name": "p"}
        auth |= {"user_domain_name": "Default", "project_domain_name": "Default"}
        file.write_text(json.dumps({"clouds": {"here": {"auth": auth, "auth_type": "v3password"}}}))

    write("old")
    cloud = Cloud(Connection("nova", {"endpoint": openstack.url}, {}, 10.0))
    openstack.identity = 401, json.dumps({"error": {"code": 401, "message": "It has expired."}}).encode()
    with pytest.raises(AuthError):
        cloud.get("compute", "/servers/detail")
    write("new")
    openstack.identity = None
    assert cloud.get("compute", "/servers/detail") == {"servers": []}
    assert [json.loads(body)["auth"]["identity"]["password"]["user"]["password"] for body in openstack.logins] == [
        "old",
        "new",
    ]


# Consoles


def on_console(openstack, status, answer):
    """Two servers with the tokens t-1 and t-2, and these answers of their consoles."""
    servers = [{"id": f"s-{token}", "metadata": {"occopus:token": token}} for token in ("t-1", "t-2")]

    def compute(path):
        if path.endswith("/action"):
            return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return 200, json.dumps({"servers": servers}).encode()

    openstack.compute = compute
    return NovaHandler(openstack.connection())


def test_a_console_is_read_with_its_last_line(openstack):
    handler = on_console(openstack, 200, {"output": "first\r\nsecond\r\nthird\r\n"})
    assert handler.logs(["t-1", "absent"], 2) == {"t-1": "second\nthird", "absent": None}
    assert openstack.asked[-1].endswith("/servers/s-t-1/action")


@pytest.mark.parametrize("status", [404, 409, 501])
def test_a_server_without_a_console_has_no_output(openstack, status):
    handler = on_console(openstack, status, {"error": {"message": "no console"}})
    assert handler.logs(["t-1", "t-2"], 5) == {"t-1": None, "t-2": None}


def test_a_refused_console_is_an_error(openstack):
    with pytest.raises(AuthError):
        on_console(openstack, 403, {"forbidden": {"message": "not allowed"}}).logs(["t-1"], 5)


@pytest.mark.parametrize("answer", [b"{}", b'{"output": null}', b"[]"])
def test_a_console_without_output_is_empty(openstack, answer):
    assert on_console(openstack, 200, answer).logs(["t-1"], 5) == {"t-1": None}


# Lists in pages


def server(number):
    return {"id": f"s-{number}"}


def paged(openstack, pages):
    """A list with a page for each marker, given as the keys."""

    def answer(path):
        marker = path.partition("marker=")[2].partition("&")[0]
        if marker not in pages:
            return 400, json.dumps({"badRequest": {"message": f"marker [{marker}] not found"}}).encode()
        servers = [server(number) for number in pages[marker]]
        return 200, json.dumps({"servers": servers, "servers_links": [{"rel": "next"}] if servers else []}).encode()

    openstack.compute = answer
    return Cloud(openstack.connection()).pages("compute", "/servers/detail", "servers", {})


def test_pages_are_followed_to_the_last(openstack):
    found = list(paged(openstack, {"": [1, 2], "s-2": [3, 4], "s-4": [5], "s-5": []}))
    assert found == [server(number) for number in (1, 2, 3, 4, 5)]
    assert len(openstack.asked) == 4


def test_a_server_deleted_between_two_pages_does_not_end_the_list(openstack):
    pages = paged(openstack, {"": [1, 2]})
    assert next(pages) == server(1)
    assert next(pages) == server(2)
    with transient():
        next(pages)
    assert len(list(paged(openstack, {"": [1], "s-1": []}))) == 1, "the list is started again"


def test_an_error_on_the_first_page_is_raised(openstack):
    with pytest.raises(PermanentError, match="marker"):
        next(paged(openstack, {}))


def test_endless_pages_are_an_error(openstack):
    pages = paged(openstack, {"": [1, 2], "s-2": [1, 2]})
    found = []
    with transient():
        found.extend(pages)
    assert len(openstack.asked) == 2


def test_a_repeated_entry_is_returned_once(openstack):
    """Servers created during the list push others to later pages."""
    found = list(paged(openstack, {"": [1, 2], "s-2": [2, 3], "s-3": []}))
    assert found == [server(number) for number in (1, 2, 3)]
