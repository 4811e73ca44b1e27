"""The check of a folder of 1.x: each difference is a line."""

from __future__ import annotations

import pytest

from occopus_core.cli import import_
from occopus_core.manager.checking import check_folder

CONFIG = """\
plugins: !python_import [occo.infobroker]
components:
  rest: {host: 0.0.0.0, port: 5000}
  infobroker: !InfoRouter {sub_providers: [!SynchronizationProvider ]}
"""
AUTH = """\
pre_authentication: [{type: openid, auth_data: {url: }}]
resource:
- {type: sim, auth_data: {api_key: secret-of-the-cloud}}
- {type: nova, auth_data: {type: voms, proxy: /tmp/x509}}
"""
NODES = """\
'node_def:web':
- resource: {type: sim, endpoint: "http://127.0.0.1:1"}
  contextualisation:
    type: cloudinit
    context_template: !yaml_import {url: file://init.yaml}
'node_def:worker':
- resource: {type: nova, endpoint: "https://k.example.org", project_id: p, image_id: i, flavor_name: f}
"""
INIT = """\
#cloud-config
write_files:
- {path: /etc/app, permissions: 0644}
- {path: /etc/key, content: '{{variables.key}}'}
runcmd:
- echo {{variables.debug}} {{nothing}}
- echo {{getip(web)}}
"""
INFRA = """\
user_id: me
infra_name: shop
nodes:
- name: web
  type: web
  scaling: {min: 0}
  variables:
    debug: true
    release: 1.10
    key: |
      first-line-of-a-key
      second-line-of-a-key
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCCOPUS_STORE", f"sqlite:///{tmp_path}/store.db")
    texts = {"config": CONFIG, "auth": AUTH, "nodes": NODES, "init": INIT, "infra": INFRA}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        (tmp_path / f"{name}.yaml").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_difference_is_a_line(folder):
    found = check_folder(".")
    place = "infra.yaml: node 'web'"
    assert [line for line in found.lines if not line.startswith(place)] == [
        "auth.yaml: these sections are not used and were ignored: pre_authentication",
        "config.yaml: these settings are not used and were ignored: plugins, components.infobroker",
        "config.yaml: components.rest.host: the service asks for a token at 0.0.0.0",
        "infra.yaml:6:18: nodes[0].scaling.min: 'min' is 0 and is raised to 1",
        (
            "infra.yaml:9:14: nodes[0].variables.release: '1.10' stays as it is written; in 1.x it was 1.1: "
            "write the intended text"
        ),
        (
            "infra.yaml:8:12: nodes[0].variables.debug: templates print 'true'; in 1.x they printed 'True'; "
            "'compatibility: 1.x' brings it back"
        ),
        (
            "init.yaml:3:33: node_def:web[0].contextualisation.context_template.write_files[0].permissions: '0644' "
            "stays as it is written; in 1.x it was 644: write the intended text"
        ),
        (
            "the node definition 'worker' cannot be built with its credentials: auth_data of type voms: OpenStack "
            "no longer supports VOMS proxies; use an application_credential; the credentials are those at "
            "auth.yaml:4:3 (refused)"
        ),
    ]
    templates = [line.removeprefix(f"{place}") for line in found.lines if line.startswith(place)]
    back = "; 'compatibility: 1.x' brings it back"
    assert all(line.endswith(back) for line in templates)
    assert any("'nothing' is undefined" in line for line in templates)
    assert any("getip(web)" in line or "'web'" in line for line in templates)
    assert (found.files, found.refused) == (4, 1)


def test_values_are_not_printed(folder):
    printed = "\n".join(check_folder(".").lines)
    assert "secret-of-the-cloud" not in printed
    assert "line-of-a-key" not in printed


def test_lines_that_1_x_folded(folder):
    (folder / "init.yaml").write_text("runcmd: ['echo {{variables.key}}']\n")
    at = "contextualisation.context_template.runcmd[0]"
    line = f"infra.yaml: node 'web': {at} renders to another text; 'compatibility: 1.x' brings it back"
    assert line in check_folder(".").lines


def test_a_file_that_is_refused(folder):
    (folder / "infra.yaml").write_text("infra_name: a.b\nnodes: [{name: web, type: web, pool: 3}]\n")
    found = check_folder(".")
    assert [line for line in found.lines if line.startswith("infra.yaml")] == [
        (
            "infra.yaml:1:13: infra_name: 'a.b' is not a host-name label: 1 to 63 letters, digits and hyphens are "
            "allowed (refused)"
        ),
        next(line for line in found.lines if "pool" in line),
    ]


def test_a_file_that_is_not_yaml(folder):
    (folder / "infra.yaml").write_text("infra_name: [\n")
    (folder / "other.yaml").write_text("{{ a }}: [\n")
    assert next(line for line in check_folder(".").lines if "not valid YAML" in line).startswith("infra.yaml:2:1: ")
    assert not any(line.startswith("other.yaml") for line in check_folder(".").lines)


def test_the_command(folder, capsys):
    assert import_.main(["--check-1x", "."]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("auth.yaml: these sections")
    assert said.err.endswith("of them refused\n")
    assert not (folder / "store.db").exists()


def test_a_folder_without_differences(folder, capsys):
    for name in ("config", "auth", "nodes"):
        (folder / f"{name}.yaml").unlink()
    (folder / "infra.yaml").write_text("{user_id: me, infra_name: shop, nodes: [{name: web, type: web}]}\n")
    (folder / "nodes.yaml").write_text("'node_def:web': [{resource: {type: sim, endpoint: 'http://127.0.0.1:1'}}]\n")
    assert import_.main(["--check-1x", "."]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "2 files of Occopus read: 0 differences\n")


def test_a_folder_that_is_not_there(folder, capsys):
    assert import_.main(["--check-1x", "nowhere"]) == 2
    assert "there is no such file" in capsys.readouterr().out


def test_a_notifier_that_is_not_installed_is_listed(tmp_path):
    (tmp_path / "occopus_config.yaml").write_text("components: {}\nnotify: [{type: webhok}]\n")
    (line,) = check_folder(str(tmp_path)).lines
    assert "occopus_config.yaml: notify: there is no notifier 'webhok' (did you mean 'webhook'?)" in line
