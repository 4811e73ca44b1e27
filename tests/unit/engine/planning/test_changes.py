"""The changes that a plan lists, key by key, and values that it never shows."""

from __future__ import annotations

import pytest

from occopus_core.api.written import WrittenMap
from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDescription,
    OutputTemplate,
    Scaling,
)
from occopus_core.engine.planning.changes import HIDDEN, Change, Changes, changes_of
from occopus_core.engine.planning.plan import MovedEnd, Plan, Step, Verb
from occopus_core.report.plans import lines_of, plan_as_json

SECRET = "open-sesame"
RESOURCE = {"type": "ec2", "image_id": "ami-1", "key_name": "mine", "tags": {"a": "1"}, "groups": ["x", "y"]}
CONTEXT = {"type": "cloudinit", "context_template": {"runcmd": ["start one"], "packages": []}}


def infrastructure(*nodes):
    return Infrastructure("shop", nodes)


def node(name="web", type="web", **fields):
    return NodeDescription(name, type, **fields)


def compared(before, after, old=None, new=None):
    old = old or Implementation(RESOURCE, CONTEXT)
    return changes_of(infrastructure(before), {"web": [old]}, infrastructure(after), {"web": [new or old]}).nodes


def test_nothing_has_changed():
    assert compared(node(), node()) == {}


def test_keys_of_the_node():
    mode = WrittenMap({"mode": 644})
    mode.texts["mode"] = "0644"
    before = node(scaling=Scaling(1, 2), variables={"color": "red", "gone": True, "mode": 644}, filter={"type": "ec2"})
    after = node(scaling=Scaling(1, 3), variables={"color": "blue", "new": {"a": None}}, filter={})
    assert compared(before, after)["web"] == [
        Change("filter.type", "'ec2'", None),
        Change("scaling.max", "'2'", "'3'"),
        Change("variables.color", "'red'", "'blue'"),
        Change("variables.gone", "'true'", None),
        Change("variables.mode", "'644'", None),
        Change("variables.new.a", None, "'null'"),
    ]
    assert compared(node(variables={"mode": 644}), node(variables=mode))["web"] == [
        Change("variables.mode", "'644'", "'0644'")
    ]


def test_keys_of_the_implementation():
    new = Implementation(
        {**RESOURCE, "image_id": "ami-2", "tags": {}, "groups": ["y"]},
        CONTEXT,
        health_check=HealthCheck({"ports": [80]}),
    )
    assert compared(node(), node(), new=new)["web"] == [
        Change("resource.image_id", "'ami-1'", "'ami-2'"),
        Change("resource.tags.a", "'1'", None),
        Change("resource.groups[0]", "'x'", "'y'"),
        Change("resource.groups[1]", "'y'", None),
        Change("health_check.ping", "'true'", None),
        Change("resource.tags", None, "'{}'"),
        Change("health_check.ports[0]", None, "'80'"),
    ]


def test_what_may_be_secret_is_not_shown():
    old = Implementation(
        {"type": "azure_vm", "password": SECRET, "endpoint": f"https://me:{SECRET}@there", "text": f"{SECRET}\nx"},
        {"type": "cloudinit", "context_template": {"write_files": [{"content": SECRET}]}},
        {"type": "chef", "attributes": [SECRET]},
        HealthCheck({"mysqldbs": [{"user": "u", "pass": SECRET}]}),
    )
    new = Implementation({"type": "azure_vm"}, {"type": "docker"}, {"type": "ssh"}, HealthCheck({}))
    names = ("password", "db_pw", "apikey", "access_key", "auth_token", "private_pem")
    before = node(variables={**dict.fromkeys(names, SECRET), "nested": {"secrets": {"a": SECRET}}, "long": SECRET * 9})
    found = compared(before, node(), old, new)["web"]
    assert SECRET not in repr(found)
    shown = {change.path: change.before for change in found}
    assert {shown[f"variables.{name}"] for name in names} == {"(hidden)"}
    assert shown["variables.nested.secrets.a"] == shown["health_check.mysqldbs[0].pass"] == "(hidden)"
    assert (
        shown["resource.endpoint"] == shown["contextualisation.context_template.write_files[0].content"] == "(hidden)"
    )
    assert shown["variables.long"] == "(99 characters)"
    assert shown["contextualisation.type"] == "'cloudinit'"
    every = changes_of(infrastructure(before), {"web": [old]}, infrastructure(node()), {"web": [new]})
    hidden = [one for one in every.without_values.nodes["web"] if {one.before, one.after} <= {HIDDEN, None}]
    assert [one.path for one in hidden] == list(dict.fromkeys(change.path for change in found))


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("DB_PASSWORD=s3cret", False),
        ("host=h password = s3cret", False),
        ("http://h/?access_token=s3cret", False),
        ('{"client_secret": "s3cret"}', False),
        ("api_key: s3cret", False),
        ("http://h/?page=2", True),
        ("registry.example.org/token-service:2", True),
        ("the password is kept elsewhere", True),
    ],
)
def test_a_secret_within_a_value_is_never_shown(text, is_shown):
    found = compared(node(variables={"x": "a"}), node(variables={"x": text}))
    assert found == {"web": [Change("variables.x", "'a'", f"'{text}'" if is_shown else HIDDEN)]}


def test_a_secret_that_changes_is_a_change_all_the_same():
    found = compared(node(variables={"password": "a"}), node(variables={"password": "b"}))
    assert found == {"web": [Change("variables.password", "(hidden)", "(hidden)")]}


def test_the_implementation_of_the_same_name_is_compared():
    one, two = (Implementation({"type": "ec2", "name": name, "image_id": name}) for name in ("one", "two"))
    changed = Implementation({"type": "ec2", "name": "two", "image_id": "other"})
    found = changes_of(infrastructure(node()), {"web": [two]}, infrastructure(node()), {"web": [one, changed]})
    assert found == Changes([], {"web": [Change("resource.image_id", "'two'", "'other'")]})


def test_every_implementation_that_is_used_is_compared():
    def both(seconds):
        return [
            Implementation(
                {"type": "ec2", "name": name}, health_check=HealthCheck(timeout=seconds if name == "b" else 9.0)
            )
            for name in "abc"
        ]

    found = changes_of(infrastructure(node()), {"web": both(1.0)[:2]}, infrastructure(node()), {"web": both(2.0)})
    assert found.nodes == {"web": [Change("health_check.timeout", "'1'", "'2'")]}


def test_an_undefined_type_and_added_and_removed_nodes():
    old = Implementation({"type": "ec2"})
    found = changes_of(
        infrastructure(node(), node("gone")),
        {"web": [old], "gone": [old]},
        infrastructure(node(type="x"), node("new")),
        {},
    )
    assert list(found.nodes) == ["web"]
    assert Change("type", "'web'", "'x'") in found.nodes["web"]
    assert found.infrastructure == []


def test_lines_stand_below_the_first_step_of_their_node():
    steps = (
        Step(Verb.REPLACE, "web", "changed", "1"),
        Step(Verb.DESTROY, "web", "too many", "2"),
        Step(Verb.KEEP, "db", ""),
    )
    changes = {"web": [Change("resource.image_id", "'a'", None)]}
    assert list(lines_of(Plan(steps, changes=Changes(nodes=changes)))) == [
        "~ replace 1 x web: changed",
        "    resource.image_id: 'a' -> (absent)",
        "- destroy 1 x web: too many",
        "= keep 1 x db",
        "0 to create, 1 to replace, 1 to destroy, 1 to keep, 1 key to change",
    ]


def test_a_line_for_a_secret_says_that_it_has_changed():
    secret, added = Change("variables.password", HIDDEN, HIDDEN), Change("variables.token", None, HIDDEN)
    assert list(lines_of(Plan((), changes=Changes([secret, added])))) == [
        "infrastructure:",
        "    variables.password: changed (hidden)",
        "    variables.token: (absent) -> (hidden)",
        "0 to create, 0 to replace, 0 to destroy, 0 to keep, 2 keys to change",
    ]


def test_another_end_of_the_life_time_has_a_line():
    until = {0.0: "1970-01-01T00:00:00+00:00", 60.0: "1970-01-01T00:01:00+00:00"}
    for before, after, line, sooner in (
        (None, 60.0, f"it will be destroyed at {until[60.0]} (was: never)", True),
        (60.0, 0.0, f"it will be destroyed at {until[0.0]} (was: {until[60.0]})", True),
        (0.0, 60.0, f"it will be destroyed at {until[60.0]} (was: {until[0.0]})", False),
        (60.0, None, f"it will not be destroyed by itself (was: {until[60.0]})", False),
    ):
        moved = MovedEnd(before, after)
        plan = Plan((), moved_end=moved)
        assert next(lines_of(plan)) == line
        assert moved.is_sooner == sooner
        assert not plan.changes_nothing
        assert plan_as_json(plan)["life_time"] == {"before": until.get(before), "after": until.get(after)}
    assert plan_as_json(Plan(()))["life_time"] is None


def test_keys_of_the_infrastructure():
    before = Infrastructure(
        "shop",
        (node(variables={"a": "1"}), node("db"), node("gone", "old")),
        (Dependency("web", "db"), Dependency("gone", "db")),
        variables={"a": "1", "title": "x", "token": "secret-a"},
        outputs=(OutputTemplate("url", "http://{{ getip('web') }}/"),),
    )
    mapped = Dependency("web", "db", (AttributeMapping("port", "db_port"),))
    after = Infrastructure(
        "shop",
        (node("db"), node(variables={"a": "2"}), node("new")),
        (mapped, Dependency("new", "db")),
        "me",
        {"a": "2", "title": "y", "token": "secret-b"},
        "8h",
    )
    found = changes_of(before, {}, after, {})
    assert found.nodes == {"web": [Change("variables.a", "'1'", "'2'")]}
    assert set(found.infrastructure) == {
        Change("dependencies.web.db", "'[]'", None),
        Change("dependencies.web.db[0].source", None, "'port'"),
        Change("dependencies.web.db[0].target", None, "'db_port'"),
        Change("dependencies.web.db[0].synch", None, "'false'"),
        Change("variables.title", "'x'", "'y'"),
        Change("variables.token", HIDDEN, HIDDEN),
        Change("outputs.url", "'http://{{ getip('web') }}/'", None),
        Change("nodes.gone", "'old'", None),
        Change("order of nodes", "'web, db'", "'db, web'"),
        Change("user_id", None, "'me'"),
        Change("expires", None, "'8h'"),
    }
    assert found.count == 12


def test_a_variable_that_several_nodes_inherit_counts_as_one_key():
    before, after = (
        Infrastructure("shop", (node("a", variables=own), node("b", variables=own)), variables=own)
        for own in ({"color": "red", "token": "1"}, {"color": "blue", "token": "2"})
    )
    found = changes_of(before, {}, after, {})
    assert [len(changes) for changes in found.nodes.values()] == [2, 2]
    assert found.count == found.without_values.count == 2
    alone, others = (
        Infrastructure("shop", (node("a", variables={"color": color}), node("b", variables={"color": color})))
        for color in ("red", "blue")
    )
    assert changes_of(alone, {}, others, {}).count == 2


@pytest.mark.parametrize(
    ("command", "is_shown"),
    [
        ("python3 -m http.server 8000 --directory /srv/shop/public --bind 0.0.0.0", True),
        (["sh", "-c", "/root/start.sh"], True),
        ("docker run -p 80:80 shop", True),
        ("server --api-token abcdef", False),
        ("mysql -uroot -phunter2", False),
        (["curl", "-u", "me:hunter2", "https://there"], False),
        (["server", "--password", "hunter2"], False),
        ("sign --key hunter2", False),
        ("fetch https://me:hunter2@there", False),
    ],
)
def test_commands_without_a_secret_are_shown(command, is_shown):
    for section in (
        {"contextualisation": {"type": "docker", "command": command}},
        {"contextualisation": {"type": "cloudinit", "context_template": {"runcmd": [command]}}},
        {"config_management": {"type": "ssh", "commands": [{"run": command}]}},
    ):
        found = compared(node(), node(), Implementation({"type": "x"}, **section), Implementation({"type": "x"}))["web"]
        values = {one.before for one in found if not one.path.endswith(".type")}
        words = [command] if isinstance(command, str) else command
        assert values == ({f"'{word}'" for word in words} if is_shown else {HIDDEN})


def test_a_secret_in_one_command_hides_no_other():
    both = ([f"start {name}", f"x -p{name}"] for name in ("one", "two"))
    old, new = (
        Implementation(RESOURCE, {"type": "cloudinit", "context_template": {"runcmd": commands}}) for commands in both
    )
    path = "contextualisation.context_template.runcmd"
    assert compared(node(), node(), old, new)["web"] == [
        Change(f"{path}[0]", "'start one'", "'start two'"),
        Change(f"{path}[1]", HIDDEN, HIDDEN),
    ]


def test_a_variable_that_replaces_nothing_is_marked_where_all_instances_stay():
    greeting, limit = Change("variables.greeting", "'hello'", "'moin'"), Change("scaling.max", "'2'", "'3'")
    steps = [("web", Verb.REPLACE), ("web", Verb.KEEP), ("db", Verb.KEEP)]
    changes = Changes(nodes={"web": [greeting], "db": [greeting, limit]})
    plan = Plan(tuple(Step(verb, name, "", f"{name}-{verb.value}") for name, verb in steps), changes=changes)
    lines = list(lines_of(plan))
    assert lines[1] == "    variables.greeting: 'hello' -> 'moin'"
    assert lines[-3:-1] == [
        "    variables.greeting: 'hello' -> 'moin' (replaces nothing)",
        "    scaling.max: '2' -> '3'",
    ]
