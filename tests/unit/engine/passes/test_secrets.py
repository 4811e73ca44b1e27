import pytest

from occopus_core.api import AuthError
from occopus_core.credentials import Credentials
from occopus_core.engine.instance import proving
from occopus_core.engine.passes.errors import BuildError
from occopus_core.events import EventKind

from ..conftest import infrastructure, node, userdata
from ..fakes import config_manager, health_checker, healthy_after

SECRET = "hunter2-and-more"


@pytest.fixture
def world(world, tmp_path):
    path = tmp_path / "auth_data.yaml"
    path.write_text(f"resource:\n- type: memory\n  auth_data: {{username: me, password: {SECRET}}}\n")
    path.chmod(0o600)
    world.credentials = Credentials.load(str(path))
    world.install("health", "well", health_checker(healthy_after(1)))
    world.install("config", "fake", config_manager())
    world.define(
        "web",
        boot_seconds=1,
        implementations=[
            {
                "contextualisation": userdata(f"password {SECRET}"),
                "checks": {"well": SECRET},
                "config": {"type": "fake", "endpoint": "chef", "key": SECRET},
                "resource": {"image": SECRET},
            }
        ],
    )
    return world


def test_no_secret_in_events_records_or_what_is_under_way(world, monkeypatch):
    seen = []
    judge = proving.Proving._judge

    def spy(self, work):
        seen.extend(
            [repr(work), repr(work.prepared), repr(work.proof), repr(work.link.plugin.connection), repr(self._runtime)]
        )
        judge(self, work)

    monkeypatch.setattr(proving.Proving, "_judge", spy)
    world.build(infrastructure("web"))
    assert len(seen) >= 4
    seen += [repr(event) for event in world.events]
    seen += [repr(row) for row in world.store.instances("infra")]
    world.destroy()
    seen += [repr(event) for event in world.events]
    assert not [text for text in seen if SECRET in text]


def test_the_handler_is_given_the_credentials(world):
    given = []

    class Curious(world.handler):
        def create(self, request):
            given.append(dict(self.connection.auth))
            return super().create(request)

    world.install("resource", "memory", Curious)
    world.build(infrastructure("web"))
    assert given == [{"username": "me", "password": SECRET}]


def test_no_secret_in_an_error(world):
    class Refusing(world.handler):
        def create(self, request):
            raise AuthError("the user 'me' was refused")

    world.install("resource", "memory", Refusing)
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(world.events)


def test_events_come_in_their_order(world):
    world.define("db", boot_seconds=1)
    world.build(infrastructure("web", node("db", min=1), edges=[("web", "db")]))
    lasting = [event for event in world.events if event.kind is not EventKind.NODE_WAITING]
    web = [event.kind for event in lasting if event.node_name == "web"]
    assert web == [
        EventKind.NODE_CREATING,
        EventKind.NODE_BOOTING,
        EventKind.NODE_CONFIGURING,
        EventKind.NODE_READY,
    ]
    rows = {row.node_id for row in world.store.instances("infra")}
    assert {event.node_id for event in world.events if event.node_name} == rows
    whole = [event.kind for event in world.events if not event.node_name]
    assert whole == [EventKind.INFRA_CREATED, EventKind.INFRA_READY]
    assert {event.infra_id for event in world.events} == {"infra"}
    world.events.clear()
    world.destroy()
    kinds = [event.kind for event in world.events if event.kind is not EventKind.NODE_WAITING]
    assert kinds == [EventKind.NODE_DROPPING, EventKind.NODE_DROPPED] * 2 + [EventKind.INFRA_DROPPED]
