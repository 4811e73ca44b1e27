"""The commands send notifications to a web service, which cannot block them."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from contextlib import contextmanager

import pytest

from occopus_core.testing.web import answering

pytestmark = pytest.mark.integration

SECRET = "hush-hush-hush"


class Receiver:
    """Accepts requests with a valid signature while it is `well`; `hangs` until it is released."""

    def __init__(self):
        self.url = ""
        self.well = True
        self.let_go = threading.Event()
        self.let_go.set()
        self.received = []

    def take(self, signature, body):
        expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        self.let_go.wait()
        if signature != f"sha256={expected}":
            return 403
        if self.well:
            self.received += json.loads(body)["notifications"]
        return 200 if self.well else 503

    @property
    def names(self):
        return [one["name"] for one in self.received]


@contextmanager
def serving():
    receiver = Receiver()

    def answer(_path, headers, body):
        return receiver.take(headers["X-Occopus-Signature"], body), {}, b""

    with answering(answer) as url:
        receiver.url = f"{url}/T0P-{SECRET}"
        try:
            yield receiver
        finally:
            receiver.let_go.set()


@pytest.fixture
def receiver(ready):
    with serving() as receiver:
        settings = ready.home / ".occopus"
        settings.mkdir()
        entry = {"type": "webhook", "url": receiver.url}
        (settings / "occopus_config.yaml").write_text(json.dumps({"notify": [entry]}))
        (settings / "auth_data.yaml").write_text(json.dumps({"notify": [{**entry, "auth_data": {"secret": SECRET}}]}))
        (settings / "auth_data.yaml").chmod(0o600)
        yield receiver


def recorded(workspace):
    return [id for (id,) in workspace.query("SELECT id FROM events ORDER BY id")]


def test_everything_arrives_in_order(ready, receiver):
    ready.ready("build", "-i", "shop", "trial.yaml")
    ready.ready("destroy", "-i", "shop")
    assert [one["id"] for one in receiver.received] == recorded(ready)
    names = [name for name in receiver.names if name]
    assert (names[0], names[-1]) == ("infrastart", "infradrop")
    assert names.index("infraready") < names.index("nodedropping")
    assert [names.count(f"node{what}") for what in ("creating", "created", "dropping", "dropped")] == [3, 3, 3, 3]


def test_undelivered_notifications_are_delivered_by_the_next_command(ready, receiver):
    receiver.well = False
    ended = ready.ready("build", "-i", "shop", "trial.yaml")
    assert receiver.received == []
    (warning,) = [line for line in ended.complaint if line.startswith("warning")]
    assert warning.endswith("answered 503")
    assert SECRET not in ended.stderr
    receiver.well = True
    ready.ready("destroy", "-i", "shop")
    assert [one["id"] for one in receiver.received] == recorded(ready)


def test_one_that_hangs_does_not_keep_a_command_from_its_end(ready, receiver):
    """It takes nothing until the test has ended: a command that waited for it to do so would never end."""
    receiver.let_go.clear()
    ready.ready("build", "-i", "shop", "trial.yaml")
    assert receiver.received == []


def test_a_notifier_that_is_not_installed_holds_up_nothing(ready, receiver):
    file = ready.write("config.yaml", "notify:\n- type: webhok\n")
    why = "there is no notifier 'webhok' (did you mean 'webhook'?); installed are: fcm, webhook"
    warning = f"warning: notifications to 'webhok' are late: {why}"
    for command in (("build", "-i", "shop", "trial.yaml"), ("maintain", "-i", "shop"), ("destroy", "-i", "shop")):
        ended = ready.ready(*command, "--cfg", file)
        assert ended.complaint.count(warning) == 1
    assert ready.ready("maintain", "-l", "--cfg", file).complaint == []
