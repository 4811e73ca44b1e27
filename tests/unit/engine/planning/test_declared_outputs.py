"""The values of the outputs of a description."""

import dataclasses

import pytest

from occopus_core import redaction
from occopus_core.api.resource import Address, AddressKind
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.engine.planning.declared_outputs import OutputValue, output_faults, output_values
from occopus_core.store.records import Condition, InstanceRecord, Stage

DESCRIPTION = """\
user_id: me
infra_name: shop
nodes:
  - {name: web, type: web}
  - {name: db, type: db}
variables: {port: 0800, db_password: hunter2, login: {user: app, api_key: 4711, private: true}}
outputs:
"""


def described(outputs):
    lines = "".join(f"  {name}: {template}\n" for name, template in outputs.items())
    return load_infrastructure(DESCRIPTION + lines, name="i.yaml")


def record(node, position, *addresses, stage=Stage.READY, provisional=False, **fields):
    return InstanceRecord(
        *(f"id-{node}-{position}", "infra", node, position, "token", "digest", "{}", "print", stage, 2.0, 1.0),
        provisional=provisional,
        addresses=addresses,
        **fields,
    )


WEB = [
    record("web", 2, Address("10.0.0.2")),
    record("web", 1, Address("10.0.0.1"), Address("192.168.0.1", AddressKind.PRIVATE)),
    record("web", 0, Address("10.0.0.9"), stage=Stage.DROPPING),
    record("gone", 1, Address("10.0.0.8")),
]


def values(outputs, instances=WEB):
    return {one.name: one.value for one in output_values("infra", described(outputs), instances)}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain text", "plain text"),
        ("8080", "8080"),
        ("\"http://{{ getip('web') }}:{{ variables.port }}/\"", "http://10.0.0.1:0800/"),
        ("\"{{ getprivip('web') }}\"", "192.168.0.1"),
        ("\"{{ getipall('web') | join(' ') }}\"", "10.0.0.1 10.0.0.2"),
        ('"{{ getip(web) }}"', "10.0.0.1"),
        ("\"{{ find_node_id('web') }}\"", "id-web-1"),
        ('"{{ infra_name }} {{ infra_id }} {{ user_id }}"', "shop infra me"),
    ],
)
def test_a_value_is_rendered_as_in_node_definitions(template, value):
    assert values({"it": template}) == {"it": value}


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.CONFIGURING])
def test_only_instances_in_service_count(stage):
    """One that is being made has an address as soon as its provider gives one."""
    made = record("web", 1, Address("10.0.0.3"), stage=stage, provisional=True)
    former, going = record("web", 1, Address("10.0.0.1")), record("web", 2, Address("10.0.0.2"), condemned=True)
    ready = dataclasses.replace(made, stage=Stage.READY)
    servers = {"it": "\"{{ getipall('web') | join(' ') }}\""}
    for instances, value in (
        ([made, former], "10.0.0.1"),
        ([ready, former], "10.0.0.1"),
        ([dataclasses.replace(ready, provisional=False), going], "10.0.0.3"),
        ([made], ""),
        ([ready], "10.0.0.3"),
    ):
        assert values(servers, instances) == {"it": value}


@pytest.mark.parametrize("condition", [Condition.AILING, Condition.FAILED])
def test_ill_instances_do_not_count(condition):
    ill, well = record("web", 1, Address("10.0.0.1"), condition=condition), record("web", 2, Address("10.0.0.2"))
    unclear = dataclasses.replace(well, condition=Condition.UNKNOWN)
    first, servers = "\"{{ getip('web') }}\"", "\"{{ getipall('web') | join(' ') }}\""
    for others in ([well], [unclear]):
        assert values({"first": first, "all": servers}, [ill, *others]) == {"first": "10.0.0.2", "all": "10.0.0.2"}
    (made,) = output_values("infra", described({"first": first}), [ill])
    assert made == OutputValue("first", None, "node 'web' has no instance in service with an address")


def test_an_output_without_a_value_says_why_and_spoils_no_other():
    made = output_values("infra", described({"db": "\"{{ getip('db') }}\"", "name": '"{{ infra_name }}"'}), WEB)
    assert made == (
        OutputValue("db", None, "node 'db' has no instance in service with an address"),
        OutputValue("name", "shop"),
    )


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ('"mysql://app:{{ variables.db_password }}@db"', "mysql://***@db"),
        ('"{{ variables.db_password | b64encode }}"', "***g=="),  # the end says nothing of the secret
        ('"{{ variables.login }}"', "{'user': 'app', 'api_key': ***, 'private': true}"),
        ("https://app:sesame@db/", "https://***@db/"),
        ("https://app:ses@me@db/", "https://***@db/"),
        ("https://ghp_token@db/", "https://***@db/"),
        ("ssh://ubuntu:sesame@10.0.0.1", "ssh://***@10.0.0.1"),
        ("ssh://ubuntu@10.0.0.1", "ssh://ubuntu@10.0.0.1"),
    ],
)
def test_no_output_has_a_secret(template, value):
    assert values({"it": template}) == {"it": value}


def test_no_reason_has_a_secret():
    (made,) = output_values("infra", described({"it": '"{{ getip(variables.db_password) }}"'}), [])
    assert (made.value, made.problem) == (None, "there is no node '***'; the nodes are: db, web")


def test_no_program_is_run(tmp_path):
    (made,) = output_values("infra", described({"it": f"\"{{{{ cmd('touch {tmp_path}/made') }}}}\""}), [])
    assert "cmd() runs a program" in made.problem
    assert not (tmp_path / "made").exists()


def test_all_outputs_together_have_one_budget():
    loop = '"{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}"'
    made = output_values("infra", described({"long": loop, "short": '"{{ infra_name }}"'}), [])
    assert [one.value for one in made] == [None, None]
    assert all(one.problem.endswith("all templates together take too long") for one in made)


def test_faults_are_found_without_instances():
    faults = output_faults(described({"good": "\"{{ getip('db') }}\"", "bad": '"{{ nope }}"'}))
    assert [fault.partition(" is undefined")[0] for fault in faults] == ["i.yaml:9:8: outputs.bad: 'nope'"]


def secret_lines(count, outputs):
    passwords = [f"secret-{number}-abcdef" for number in range(count)]
    text = described(outputs)
    return dataclasses.replace(text, variables={"passwords": passwords})


def test_secrets_that_no_output_shows_cost_next_to_nothing(monkeypatch):
    patterns = []
    made = redaction._pattern
    monkeypatch.setattr(redaction, "_pattern", lambda secrets: patterns.append(len(secrets)) or made(secrets))
    infrastructure = secret_lines(10_000, {"it": '"at {{ variables.passwords[77] }}"', "other": "x"})
    assert [one.value for one in output_values("infra", infrastructure, [])] == ["at ***", "x"]
    assert sum(patterns) < 10


def test_a_text_of_very_many_secrets_is_hidden_as_a_whole():
    infrastructure = secret_lines(2_000, {"it": '"{{ variables.passwords }}"'})
    assert [one.value for one in output_values("infra", infrastructure, [])] == ["***"]
