"""Host keys that are generated with the user data are pinned before their instance is created."""

from __future__ import annotations

import pytest
import yaml

from occopus_core.contextualisers.cloudinit import CloudInit

from ..conftest import infrastructure
from ..fakes import KilledError

GENERATING = {"type": "cloudinit", "context_template": {"runcmd": ["true"]}, "ssh": {"host_key": "generate"}}


@pytest.fixture
def sent(world):
    """The public host keys of the user data that reached the provider, in their order."""
    found = []

    class Handler(world.handler):
        def create(self, request):
            found.append(yaml.safe_load(request.context.user_data)["ssh_keys"]["ed25519_public"])
            assert found[-1] in world.store.host_keys.known(request.owner.node_id)
            return super().create(request)

    world.install("resource", "memory", Handler)
    world.install("context", "cloudinit", CloudInit)
    world.define("web", implementations=[{"contextualisation": GENERATING}])
    return found


def test_the_key_is_pinned_before_the_instance_is_created(world, sent):
    world.build(infrastructure("web"))
    (record,) = world.store.instances("infra")
    assert world.store.host_keys.known(record.node_id) == tuple(sent)


def test_a_creation_that_is_repeated_after_a_crash_may_show_either_key(world, sent):
    def die(operation):
        if operation == "create":
            world.answered = lambda _operation: None
            raise KilledError

    world.answered = die
    with pytest.raises(KilledError):
        world.build(infrastructure("web"))
    world.clock.time += 60.0
    world.build(infrastructure("web"))
    (record,) = world.store.instances("infra")
    assert len(set(sent)) == 2
    assert world.store.host_keys.known(record.node_id) == tuple(sent)
    assert world.store.host_keys.pin(record.node_id, sent[0]) == (sent[0],)


def test_the_private_half_is_in_no_row(world, sent, tmp_path):
    world.build(infrastructure("web"))
    world.store.close()
    content = b"".join(file.read_bytes() for file in tmp_path.glob("occopus.db*"))
    assert sent[0].encode() in content
    assert b"OPENSSH PRIVATE KEY" not in content


def test_they_go_with_the_instance(world, sent):
    world.build(infrastructure("web"))
    (record,) = world.store.instances("infra")
    world.destroy()
    assert world.store.host_keys.known(record.node_id) == ()


def test_a_build_that_changes_nothing_replaces_nothing(world, sent):
    world.build(infrastructure("web"))
    before = [record.node_id for record in world.store.instances("infra")]
    world.build(infrastructure("web"))
    assert [record.node_id for record in world.store.instances("infra")] == before
    assert len(sent) == 1
