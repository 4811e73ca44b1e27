"""What files of 1.x have in them, from the file to what plugins are given."""

from __future__ import annotations

import pytest

from occopus_core.contextualisers.basic import Basic
from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.manager.auth import auth_faults
from occopus_core.registry import Registry
from occopus_core.render import Renderer, expander
from occopus_core.templates_1x import Templates1x
from tests.unit.compatibility import reference


@pytest.fixture(scope="module")
def registry():
    return Registry()


def definitions(registry, text, warnings=None):
    kept = [] if warnings is None else warnings
    return load_node_definitions(text, registry, name="nodes.yaml", warn=lambda one: kept.append(str(one)))


def test_a_contextualisation_without_context(registry):
    text = """\
'node_def:plain':
- resource: {type: ec2, endpoint: "https://ec2.example.org", regionname: r, image_id: ami-7, instance_type: small}
  contextualisation: {type: basic, attributes: {role: front}}
- resource: {type: docker, endpoint: "tcp://engine.example.org:2375", image: nginx}
  contextualisation: {type: basic}
"""
    (definition,) = definitions(registry, text)
    for implementation in definition.implementations:
        made = Basic().contextualise(implementation.contextualisation, Renderer({}, {}, ""))
        assert (made.user_data, made.env, made.command) == (None, (), None)


@pytest.mark.parametrize("section", ["tags: [{Key: team, Value: shop}]", "tags: [team=shop]", "tags: [team: shop]"])
def test_tags_as_a_list(registry, section):
    text = f"""\
'node_def:tagged':
- resource:
    {{type: ec2, endpoint: "https://ec2.example.org", regionname: r, image_id: ami-7, instance_type: small, {section}}}
"""
    (definition,) = definitions(registry, text)
    assert definition.implementations[0].resource["tags"]


def test_tags_that_are_none(registry):
    text = """\
'node_def:tagged':
- resource: {type: ec2, endpoint: "https://e.example.org", regionname: r, image_id: a, instance_type: s, tags: [team]}
"""
    with pytest.raises(DescriptionError, match="'team' is not of the form KEY=VALUE"):
        definitions(registry, text)


def test_numbers_and_blanks_where_text_is_wanted(registry):
    text = """\
'node_def:worker':
- resource:
    type: nova
    endpoint: https://keystone.example.org:5000/v3
    project_id: 0042
    image_id: 24.04
    flavor_name: 8
    network_id:
    key_name: ~
    security_groups:
"""
    (definition,) = definitions(registry, text)
    resource = definition.implementations[0].resource
    assert (resource["project_id"], resource["image_id"], resource["flavor_name"]) == ("0042", "24.04", "8")
    assert not resource.keys() & {"network_id", "key_name", "security_groups"}


def test_limits_as_text_and_as_templates():
    text = """\
user_id: me
infra_name: farm
variables: {FEW: 2}
nodes:
- {name: a, type: t, scaling: {min: '2', max: '{{ FEW + 3 }}'}}
- {name: b, type: t, scaling: {min: 0, max: 0}}
"""
    warnings = []
    found = load_infrastructure(text, name="infra.yaml", warn=lambda one: warnings.append(str(one)), render=expander())
    assert [(node.scaling.min, node.scaling.max) for node in found.nodes] == [(2, 5), (1, 1)]
    assert warnings == [
        "infra.yaml:6:37: nodes[1].scaling.min: 'min' is 0 and is raised to 1",
        "infra.yaml:6:45: nodes[1].scaling.max: 'max' is 0 and is raised to 'min', which is 1",
    ]


def test_words_that_yaml_1_1_took_for_something_else():
    text = """\
infra_name: shop
user_id: me
nodes:
- {name: web, type: web, variables: {ssl: yes, night: no, begin: 23:59, mask: 0022, release: 2.10}}
"""
    template = (
        "a={{variables.ssl}} b={{variables.night}} c={{variables.begin}} d={{variables.mask}} e={{variables.release}}"
    )
    for former in (False, True):
        node = load_infrastructure(text, name="infra.yaml").nodes[0]
        render = Renderer({"variables": node.variables}, {}, "", manners=Templates1x(former=former))
        version = "2.1" if former else "2.10"
        assert render(template, at="") == f"a=yes b=no c=23:59 d=0022 e={version}"


def test_scalars_of_a_context_template_arrive_as_they_were_written(registry):
    text = """\
'node_def:web':
- resource: {type: sim, endpoint: "http://127.0.0.1:1"}
  contextualisation:
    type: cloudinit
    context_template:
      write_files: [{path: /etc/x, permissions: 0600, owner: ~, defer: on}]
      runcmd: [[sleep, 1e1], [at, 04:05]]
"""
    (definition,) = definitions(registry, text)
    made = CloudInit().contextualise(definition.implementations[0].contextualisation, Renderer({}, {}, ""))
    for written in ("permissions: 0600", "owner: ~", "defer: on", "- 1e1", "- 04:05"):
        assert written in made.user_data
    assert reference.read(made.user_data)["write_files"][0]["defer"] == "on"


AUTH = """\
pre_authentication:
- {type: openid, auth_data: &TOKEN {url: , refresh_token: }}
resource:
- {type: ec2, auth_data: {accesskey: key-of-mine, secretkey: 0123456789}}
- {type: cloudsigma, auth_data: {email: , password: }}
- {type: nova, auth_data: {username: , password: 12345, identity_provider: *TOKEN}}
- {type: elsewhere, auth_data: {user: }}
"""


@pytest.fixture
def credentials(tmp_path):
    def load(text):
        file = tmp_path / "auth_data.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return Credentials.load(str(file), {})

    return load


def test_a_file_of_credentials_that_is_filled_in_here_and_there(credentials):
    found = credentials(AUTH)
    assert dict(found.find("resource", {"type": "ec2"})) == {"accesskey": "key-of-mine", "secretkey": "0123456789"}
    (warning,) = found.warnings
    assert warning.endswith("these sections are not used and were ignored: pre_authentication")


NOVA = """\
'node_def:worker':
- resource: {type: nova, endpoint: "https://keystone.example.org", project_id: p, image_id: i, flavor_name: f}
"""


def test_credentials_that_are_not_filled_in_are_reported_at_import(credentials, registry):
    (fault,) = auth_faults(definitions(registry, NOVA), credentials(AUTH), registry)
    assert fault.startswith("the node definition 'worker' cannot be built with its credentials: ")
    assert "auth_data.identity_provider" in fault
    assert "12345" not in fault


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        ("{type: voms, proxy: /tmp/x509}", "OpenStack no longer supports VOMS proxies"),
        ("{proxy: /tmp/x509}", "OpenStack no longer supports VOMS proxies"),
        ("{type: openid, url: x}", "OpenID providers are not supported"),
    ],
)
def test_credentials_of_a_kind_that_cannot_work_are_reported_at_import(credentials, registry, auth, reason):
    found = credentials(f"resource: [{{type: nova, auth_data: {auth}}}]\n")
    (fault,) = auth_faults(definitions(registry, NOVA), found, registry)
    assert reason in fault


def test_credentials_that_may_work_are_not_reported(credentials, registry):
    for auth in ("{username: u, password: p}", "{application_credential_id: i, application_credential_secret: s}"):
        found = credentials(f"resource: [{{type: nova, auth_data: {auth}}}]\n")
        assert list(auth_faults(definitions(registry, NOVA), found, registry)) == []
