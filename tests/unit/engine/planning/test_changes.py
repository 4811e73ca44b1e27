"""The changes that a plan lists, key by key, and values that it never shows."""

from __future__ import annotations

from occopus_core.api.written import WrittenMap
from occopus_core.descriptions.model import (
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDefinition,
    NodeDescription,
    Scaling,
)
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.report.changes import HIDDEN, Change, changes_of, lines_of_changes
from occopus_core.report.plans import lines_of

SECRET = "open-sesame"
RESOURCE = {"type": "ec2", "image_id": "ami-1", "key_name": "mine", "tags": {"a": "1"}, "groups": ["x", "y"]}
CONTEXT = {"type": "cloudinit", "context_template": {"runcmd": ["start one"], "packages": []}}


def infrastructure(*nodes):
    return Infrastructure("shop", nodes)


def node(name="web", type="web", **fields):
    return NodeDescription(name, type, **fields)


def compared(before, after, old=None, new=None, type="web"):
    old = old or Implementation(RESOURCE, CONTEXT)
    definitions = {type: NodeDefinition(type, (new or old,))}
    return changes_of(infrastructure(before), {"web": old}, infrastructure(after), definitions)


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


def test_a_secret_that_changes_is_a_change_all_the_same():
    found = compared(node(variables={"password": "a"}), node(variables={"password": "b"}))
    assert found == {"web": [Change("variables.password", "(hidden)", "(hidden)")]}


def test_the_implementation_of_the_same_name_is_compared():
    one, two = (Implementation({"type": "ec2", "name": name, "image_id": name}) for name in ("one", "two"))
    changed = Implementation({"type": "ec2", "name": "two", "image_id": "other"})
    definitions = {"web": NodeDefinition("web", (one, changed))}
    found = changes_of(infrastructure(node()), {"web": two}, infrastructure(node()), definitions)
    assert found == {"web": [Change("resource.image_id", "'two'", "'other'")]}


def test_an_undefined_type_and_added_and_removed_nodes():
    old = Implementation({"type": "ec2"})
    found = changes_of(
        infrastructure(node(), node("gone")), {"web": old}, infrastructure(node(type="x"), node("new")), {}
    )
    assert list(found) == ["web"]
    assert Change("type", "'web'", "'x'") in found["web"]


def test_lines_stand_below_the_first_step_of_their_node():
    steps = (
        Step(Verb.REPLACE, "web", "changed", "1"),
        Step(Verb.DESTROY, "web", "too many", "2"),
        Step(Verb.KEEP, "db", ""),
    )
    changes = {"web": [Change("resource.image_id", "'a'", None)]}
    assert list(lines_of(Plan(steps), changes)) == [
        "~ replace 1 x web: changed",
        "    resource.image_id: 'a' -> (absent)",
        "- destroy 1 x web: too many",
        "= keep 1 x db",
        "0 to create, 1 to replace, 1 to destroy, 1 to keep",
    ]


def test_a_line_for_a_secret_says_that_it_has_changed():
    secret, added = Change("variables.password", HIDDEN, HIDDEN), Change("variables.token", None, HIDDEN)
    assert list(lines_of_changes([secret, added])) == [
        "    variables.password: changed (hidden)",
        "    variables.token: (absent) -> (hidden)",
    ]


def test_a_variable_that_replaces_nothing_is_marked_where_all_instances_stay():
    greeting, limit = Change("variables.greeting", "'hello'", "'moin'"), Change("scaling.max", "'2'", "'3'")
    steps = [("web", Verb.REPLACE), ("web", Verb.KEEP), ("db", Verb.KEEP)]
    plan = Plan(tuple(Step(verb, name, "", f"{name}-{verb.value}") for name, verb in steps))
    lines = list(lines_of(plan, {"web": [greeting], "db": [greeting, limit]}))
    assert lines[1] == "    variables.greeting: 'hello' -> 'moin'"
    assert lines[-3:-1] == [
        "    variables.greeting: 'hello' -> 'moin' (replaces nothing)",
        "    scaling.max: '2' -> '3'",
    ]
