"""HTTP calls: their URLs and credentials, valid answers, and secrets that stay out of messages."""

from __future__ import annotations

import json
import threading

import pytest

from occopus_core.api import AuthError, Connection, PermanentError, TransientError
from occopus_core.testing.web import answering
from occopus_resource_cloudsigma.client import Client, base_url
from occopus_resource_cloudsigma.testing import EMAIL, PASSWORD, Fault

FORMS = ("", "/", "/api/2.0", "/api/2.0/")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_endpoint_is_equivalent(form, connect, cloud):
    assert base_url(f"https://zrh.cloudsigma.com{form}") == "https://zrh.cloudsigma.com/api/2.0"
    assert list(connect(endpoint=f"{cloud.url}{form}").list_owned(owner())) == []
    assert cloud.log[0] == "GET /servers/detail/?limit=0"


def test_an_endpoint_behind_a_path():
    assert base_url("https://example.org/proxy/api/2.0/") == "https://example.org/proxy/api/2.0"


@pytest.mark.parametrize("endpoint", ["", "zrh", "ftp://zrh.cloudsigma.com", "https://me:a-secret@zrh.cloudsigma.com"])
def test_an_endpoint_that_is_not_a_url(endpoint, connect):
    with pytest.raises(PermanentError) as caught:
        base_url(endpoint)
    assert "resource.endpoint" in caught.value.message
    assert "a-secret" not in caught.value.message


def owner():
    from occopus_core.api import Owner  # noqa: PLC0415

    return Owner("here")


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({}, "auth_data has no email and no password"),
        ({"email": EMAIL}, "auth_data has no password"),
        ({"email": EMAIL, "password": "not-this-one"}, "the e-mail or the password is refused (auth_data"),
        ({"email": "öö", "password": "ő"}, "the e-mail or the password is refused (auth_data"),
    ],
)
def test_wrong_credentials_are_one_clear_line(auth, words, connect, cloud, order):
    handler = connect(auth=auth)
    for call in (lambda: handler.describe(["x"]), lambda: handler.create(order()), lambda: handler.delete(["x"])):
        with pytest.raises(AuthError) as caught:
            call()
        assert words in caught.value.message
        assert caught.value.unreached
        assert "not-this-one" not in str(caught.value)
    assert cloud.inventory() == []


def test_secrets_in_a_refusal_are_left_out(connect, cloud, order, made):
    message = f"{PASSWORD} and a-vnc-password and {EMAIL} are wrong"
    cloud.fail(Fault("refuse", "^POST /servers/ ?$", status=400, error_type="validation", message=message))
    with pytest.raises(PermanentError) as caught:
        made(connect(), order())
    assert caught.value.message.endswith(": … and … and … are wrong")
    assert "password" not in repr(caught.value.__cause__)


ANSWERS = {
    "no list": {"meta": {"total_count": 1}},
    "no count": {"objects": [], "meta": {}},
    "entries without ids": {"objects": [{"name": "x"}], "meta": {"total_count": 1}},
    "a mapping of entries": {"objects": {"uuid": "x"}, "meta": {"total_count": 1}},
    "strange entries": {"objects": [{"uuid": "x", "name": "x", "meta": [], "nics": 7}], "meta": {"total_count": 1}},
    "strange references": {
        "objects": [{"uuid": "x", "name": "x", "status": "running", "nics": ["y"], "drives": [1]}],
        "meta": {"total_count": 1},
    },
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_of_another_shape_does_not_mean_absent(answer, connect):
    text = json.dumps(answer).encode()
    missing = pytest.raises(TransientError, match="something is missing in its answer")
    with answering(lambda *_: (200, {"Content-Type": "application/json"}, text)) as url, missing:
        connect(endpoint=url).describe(["x"])


def test_a_redirection_is_not_followed(connect):
    with answering(lambda *_: (302, {"Location": "http://127.0.0.1:1/"}, b"")) as url, pytest.raises(PermanentError):
        connect(endpoint=url).describe(["x"])


def test_no_cookie_is_stored(connect):
    cookies = []

    def answer(_path, headers, _body):
        cookies.append(headers.get("Cookie"))
        return 200, {"Set-Cookie": "sessionid=1"}, b'{"objects": [], "meta": {"total_count": 0}}'

    with answering(answer) as url:
        handler = connect(endpoint=url)
        handler.describe(["x"])
    assert cookies == [None, None]


def client(cloud):
    return Client(Connection("cloudsigma", {"endpoint": cloud.url}, {"email": EMAIL, "password": PASSWORD}), 4)


def test_a_paged_list(cloud):
    cloud.behaviour.page_size = 7
    for number in range(20):
        cloud.model.new_drive(f"drive-{number}", 1)
    assert len(list(client(cloud).listed("/drives/detail/"))) == 20
    assert cloud.log == [
        "GET /drives/detail/?limit=0",
        "GET /drives/detail/?limit=0&offset=7",
        "GET /drives/detail/?limit=0&offset=14",
    ]


def test_a_list_that_changes_between_two_pages_is_read_again_later(cloud):
    cloud.behaviour.page_size = 7
    for number in range(20):
        cloud.model.new_drive(f"drive-{number}", 1)
    listed = client(cloud).listed("/drives/detail/")
    first = next(listed)
    del cloud.model.drives[first["uuid"]]  # the eighth takes the place of the seventh, and would be skipped
    with pytest.raises(TransientError, match="changed while it was read"):
        list(listed)


def test_endless_pages(connect):
    page = b'{"objects": [{"uuid": "x", "name": "x"}], "meta": {"total_count": 100}}'
    shown = pytest.raises(TransientError, match="has 100 entries and shows 1")
    with answering(lambda *_: (200, {}, page)) as url, shown:
        connect(endpoint=url).describe(["x"])


def test_an_answer_that_drips_ends_in_time(connect):
    stop = threading.Event()

    def answer(*_):
        stop.wait(60)
        return 200, {}, b"{}"

    with answering(answer) as url:
        with pytest.raises(TransientError, match=r"no answer within 0\.2 s"):
            connect(endpoint=url, timeout=0.2).describe(["x"])
        stop.set()
