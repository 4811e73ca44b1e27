"""The simulated cloud's rules, in memory and on a clock of the test's own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.api import (
    AuthError,
    Connection,
    Context,
    CreateRequest,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.memory import MemoryCloud, MemoryHandler
from occopus_core.testing.simcloud.inventory import digest


class World:
    """A cloud whose time is `now`."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.cloud = MemoryCloud(lambda: self.now, seed=seed)
        self.handler = MemoryHandler(Connection("memory", {}, {}), self.cloud)

    def create(self, token: str = "t-1", node: str = "web", context: Context | None = None, **resource: object):
        owner = Owner("us", "i-1", node, f"n-{token}")
        return self.handler.create(CreateRequest(token, owner, resource, context or Context()))

    def state(self, id: InstanceId) -> InstanceState:
        return self.handler.describe([id])[id].state

    def listed(self, **owner: str) -> list[str]:
        return [instance.token for instance in self.handler.list_owned(Owner("us", **owner))]


@pytest.fixture
def world() -> World:
    return World()


def test_an_instance_boots_and_goes_in_its_time(world):
    id = world.create(boot_seconds="2.5", delete_seconds=4).id
    assert world.state(id) is InstanceState.PENDING
    world.now = 2.4
    assert world.state(id) is InstanceState.PENDING
    world.now = 2.5
    assert world.state(id) is InstanceState.READY
    assert world.handler.delete([id]) == {id: None}
    assert world.state(id) is InstanceState.DELETING
    world.now = 6.4
    world.handler.delete([id])
    world.now = 6.5
    assert world.state(id) is InstanceState.ABSENT
    assert world.cloud.inventory() == []


def test_an_instance_that_fails_says_why_after_its_boot(world):
    id = world.create(boot_seconds=1, fail="no bootable device").id
    assert world.state(id) is InstanceState.PENDING
    world.now = 1.0
    instance = world.handler.describe([id])[id]
    assert (instance.state, instance.reason) == (InstanceState.FAILED, "no bootable device")


def test_steps_are_counted_and_the_boot_starts_with_the_last(world):
    states = []
    for world.now in (0.0, 10.0, 20.0, 20.5):
        states.append(world.create(steps=3, boot_seconds=1).state.value)
    assert states == ["provisioning", "provisioning", "pending", "pending"]
    assert len(world.cloud.inventory()) == 1
    world.now = 21.0
    assert world.create(steps=3).state is InstanceState.READY


def test_each_instance_has_two_loopback_addresses_of_its_own(world):
    made = [world.create(f"t-{number}") for number in range(200)]
    addresses = {address.value for instance in made for address in instance.addresses}
    assert len(addresses) == 400
    assert all(address.startswith("127.64.") for address in addresses)


def test_a_quota_counts_by_project_and_frees_with_the_instance(world):
    world.cloud.set_limits({"small": 1})
    id = world.create("t-1", project="small", delete_seconds=5).id
    world.create("t-2", project="other")
    assert world.create("t-1", project="small").id == id
    with pytest.raises(QuotaError, match="'small' may have no more than 1"):
        world.create("t-3", project="small")
    world.handler.delete([id])
    with pytest.raises(QuotaError):
        world.create("t-3", project="small")
    world.now = 5.0
    world.create("t-3", project="small")


def test_images(world):
    with pytest.raises(NotFoundError, match="'unknown-7' does not exist"):
        world.create(image="unknown-7")
    world.cloud.set_limits(images=["debian"])
    world.create(image="debian")
    with pytest.raises(NotFoundError, match="'fedora'"):
        world.create("t-2", image="fedora")


def test_what_arrived_can_be_compared_without_being_kept(world):
    world.create(context=Context(user_data="hush-hush", env=("A=1",), command=("run", "it")))
    (machine,) = world.cloud.inventory()
    assert machine["order"]["user_data"] == digest("hush-hush")
    assert machine["order"]["user_data"]["length"] == 9
    assert machine["order"]["env"] == digest(["A=1"])
    assert machine["order"]["command"] == digest(["run", "it"])
    assert "hush" not in repr(machine)


@pytest.mark.parametrize("resource", [{"boot_seconds": "soon"}, {"steps": -1}, {"delete_seconds": "nan"}])
def test_an_order_that_makes_no_sense_is_refused(world, resource):
    with pytest.raises(PermanentError, match=next(iter(resource))):
        world.create(**resource)


@pytest.mark.parametrize(
    ("action", "state"),
    [("stop", InstanceState.STOPPED), ("fail", InstanceState.FAILED), ("lose", InstanceState.ABSENT)],
)
def test_changes_from_outside(world, action, state):
    id = world.create().id
    world.cloud.change(id, action, "lightning")
    instance = world.handler.describe([id])[id]
    assert instance.state is state
    assert instance.reason == ("" if action == "lose" else "lightning")


def test_a_stopped_instance_can_be_started(world):
    id = world.create().id
    world.cloud.change(id, "stop")
    world.cloud.change(id, "start")
    assert world.state(id) is InstanceState.READY


def test_a_change_of_nothing_is_an_error(world):
    with pytest.raises(ValueError, match="no instance 'sim-9'"):
        world.cloud.change("sim-9", "stop")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("auth", AuthError),
        ("error_500", TransientError),
        ("hang", TransientError),
        ("not_found", NotFoundError),
        ("permanent", PermanentError),
        ("quota", QuotaError),
    ],
)
def test_a_refused_call_has_no_effect(world, kind, error):
    world.cloud.set_faults([{"kind": kind, "operation": "create"}])
    with pytest.raises(error) as caught:
        world.create()
    assert type(caught.value) is error
    assert world.cloud.inventory() == []
    assert world.listed() == []


def test_throttling_says_when_to_come_back(world):
    world.cloud.set_faults([{"kind": "throttle", "seconds": 7}])
    with pytest.raises(ThrottledError) as caught:
        world.create()
    assert caught.value.retry_after == 7


def test_a_lost_reply_has_taken_effect(world):
    world.cloud.set_faults([{"kind": "lost_reply", "operation": "create", "count": 1}])
    with pytest.raises(TransientError):
        world.create()
    assert world.listed() == ["t-1"]
    world.create()
    assert world.listed() == ["t-1"]


def test_a_cloud_can_forget_tokens(world):
    world.cloud.set_faults([{"kind": "forget_tokens"}])
    assert world.create().id != world.create().id


def test_eventual_consistency(world):
    world.cloud.set_faults([{"kind": "invisible_seconds", "seconds": 3}])
    id = world.create().id
    assert world.create().id == id
    assert (world.state(id), world.listed()) == (InstanceState.ABSENT, [])
    assert [machine["id"] for machine in world.cloud.inventory()] == [id]
    world.now = 3.0
    assert (world.state(id), world.listed()) == (InstanceState.READY, ["t-1"])


@pytest.mark.parametrize("match", [{"node_name": "db"}, {"token": "t-2"}])
def test_a_rule_selects_instances(world, match):
    world.cloud.set_faults([{"kind": "permanent", "reason": "no disks", **match}])
    web = world.create("t-1", "web").id
    with pytest.raises(PermanentError, match="no disks"):
        world.create("t-2", "db")
    world.cloud.set_faults([])
    db = world.create("t-2", "db").id
    world.cloud.set_faults([{"kind": "permanent", "reason": "no disks", **match}])
    with pytest.raises(PermanentError):
        world.handler.describe([web, db])
    answers = world.handler.delete([db, web])
    assert answers[web] is None
    assert "no disks" in str(answers[db])


def test_a_rule_fires_on_the_nth_and_so_many_times(world):
    world.cloud.set_faults(
        [
            {"kind": "quota", "operation": "create", "nth": 2},
            {"kind": "error_500", "operation": "list", "count": 2},
        ]
    )
    world.create("t-1")
    with pytest.raises(QuotaError):
        world.create("t-2")
    world.create("t-2")
    for _ in range(2):
        with pytest.raises(TransientError):
            world.listed()
    assert world.listed() == ["t-1", "t-2"]


def fates(seed: int, nodes: list[str]) -> dict[str, list[bool]]:
    world = World(seed)
    world.cloud.set_faults([{"kind": "error_500", "operation": "create", "probability": 0.5}])
    found: dict[str, list[bool]] = {}
    for number, node in enumerate(nodes):
        try:
            world.create(f"t-{number}", node)
        except TransientError:
            found.setdefault(node, []).append(False)
        else:
            found.setdefault(node, []).append(True)
    return found


def test_chance_depends_on_the_seed_and_not_on_how_calls_interleave():
    ordered = fates(1, ["web"] * 40 + ["db"] * 40)
    assert fates(1, ["db", "web"] * 40) == ordered
    assert fates(2, ["db", "web"] * 40) != ordered
    assert 10 < sum(ordered["web"]) < 30


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"kind": "earthquake"}, "'earthquake' is not one of error_500"),
        ({"kind": "hang", "operation": "reboot"}, "'reboot' is not one of create"),
        ({"kind": "hang", "odds": 0.5}, "has no odds"),
        ({"kind": "latency"}, "use SimulatedCloud"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(world, rule, named):
    with pytest.raises(ValueError, match=named):
        world.cloud.set_faults([rule])


def test_calls_are_counted_and_logged(world):
    world.cloud.set_faults([{"kind": "hang", "operation": "list"}])
    id = world.create().id
    world.now = 5.0
    world.handler.describe([id])
    with pytest.raises(TransientError):
        world.listed()
    calls = world.cloud.calls()
    assert calls["total"] == {"create": 1, "describe": 1, "list": 1, "delete": 0, "stop": 0, "logs": 0, "ensure": 0}
    assert calls["most_at_once"] == 1
    log = world.cloud.log()
    assert log[0] == {"at": 0.0, "operation": "create", "tokens": ["t-1"], "instances": 1, "outcome": "ok"}
    assert (log[2]["at"], log[2]["outcome"]) == (5.0, "hang")


def test_calls_side_by_side_are_counted():
    together = threading.Barrier(4)
    cloud = MemoryCloud(lambda: 0.0, during=lambda _operation: together.wait(600) and None)
    handler = MemoryHandler(Connection("memory", {}, {}), cloud)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: handler.describe([InstanceId("sim-1")]), range(4)))
    assert cloud.calls()["most_at_once"] == 4


def test_an_instance_lost_in_the_middle_of_its_deletion_stays_lost():
    cloud = MemoryCloud(lambda: 0.0, during=lambda op: op == "delete" and cloud.change("sim-00000001", "lose"))
    handler = MemoryHandler(Connection("memory", {}, {}), cloud)
    id = handler.create(CreateRequest("t-1", Owner("us"), {}, Context())).id
    assert handler.delete([id]) == {id: None}
    assert cloud.inventory() == []


def test_reset_leaves_nothing(world):
    world.cloud.set_limits({"default": 1})
    world.create()
    world.cloud.set_faults([{"kind": "auth"}])
    world.cloud.reset()
    assert world.cloud.inventory() == []
    assert world.cloud.calls()["total"]["create"] == 0
    world.create("t-2")
    world.create("t-3")
