"""``--nodes``, ``--var``, ``--var-file``, ``--check`` and the exit codes of plans."""

from __future__ import annotations

import json

import pytest

from occopus_core.api.errors import PermanentError
from occopus_core.cli import build, import_, naming, output
from occopus_core.cli.confirmation import DeclinedError
from occopus_core.descriptions.model import (
    Implementation,
    Infrastructure,
    NodeDefinition,
    NodeDescription,
    OutputTemplate,
)
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError, BusyError
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.manager.unused_variables import unused_variables
from occopus_core.store.database import open_database
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store

DESCRIPTION = """\
user_id: me
infra_name: shop
variables: {size: small, port: 80, most: 1, extra: {a: 1, b: 2}}
nodes:
- {name: web, type: web, variables: {own: here}, scaling: {min: 1, max: '{{most}}'}}
"""
NODES = """\
'node_def:web':
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template: {runcmd: ["serve {{variables.size}} {{variables.port}} {{variables.extra}}"]}
'node_def:other':
- resource: {type: local}
"""


@pytest.fixture(autouse=True)
def files(home, monkeypatch):
    monkeypatch.setattr(output, "_redactors", [])
    (home / "infra.yaml").write_text(DESCRIPTION)
    (home / "nodes.yaml").write_text(NODES)
    return home


@pytest.fixture
def stored(home):
    """The current content of the store."""
    opened = []

    def names():
        database = open_database(f"sqlite:///{home}/store.db")
        opened.append(database)
        return Store(database).definition_names()

    yield names
    for database in opened:
        database.close()


@pytest.fixture
def built(monkeypatch):
    """The descriptions that are built; nothing is made."""
    found = []

    def record(_site, infrastructure, begun, *_how):
        found.append(infrastructure)
        begun()
        raise BuildError(["there is no cloud"])

    monkeypatch.setattr(building, "build", record)
    return found


@pytest.mark.parametrize("more", [[], ["--plan"], ["-i", "infra-1", "-y"]])
def test_a_definition_that_the_file_lacks_is_to_be_added_to_it(more, store, files, capsys):
    (files / "infra.yaml").write_text(DESCRIPTION.replace("type: web", "type: othr"))
    assert build.main([*more, "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    missing = "node 'web': there is no node definition 'othr'"
    where = ", neither in the given file nor stored: add it to the file (did you mean 'other'?)\n"
    assert f"{missing}{where}" in capsys.readouterr().err
    assert build.main([*more, "infra.yaml"]) == 2
    assert f"{missing}: import its file with occopus-import\n" in capsys.readouterr().err


def test_a_build_that_fails_says_nothing_of_an_import(built, capsys):
    assert build.main(["--nodes", "nodes.yaml", "infra.yaml"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("the build failed and was undone\n")
    assert "import" not in said


@pytest.mark.parametrize("error", [BusyError("another process"), PermanentError("no leave"), StoreError("away")])
def test_a_refused_build_says_nothing_of_an_import(error, stored, monkeypatch, capsys):
    def refuse(_site, _infrastructure, begun, *_how):
        begun()
        raise error

    monkeypatch.setattr(building, "build", refuse)
    assert build.main(["--nodes", "nodes.yaml", "infra.yaml"]) != 0
    assert stored() == []
    assert "import" not in capsys.readouterr().err


def test_a_build_that_succeeds_says_what_it_has_imported(monkeypatch, capsys):
    monkeypatch.setattr(building, "build", lambda *_how: iter(()))  # nothing is made
    assert build.main(["--nodes", "nodes.yaml", "infra.yaml"]) == 0
    assert "Node definitions imported with the build: web\n" in capsys.readouterr().err


def test_a_plan_uses_them_and_stores_nothing(stored, capsys):
    assert build.main(["--plan", "--nodes", "nodes.yaml", "infra.yaml"]) == 0
    assert capsys.readouterr().out.startswith("+ create 1 x web")
    assert stored() == []
    assert build.main(["--plan", "infra.yaml"]) == 2
    assert "there is no node definition 'web'" in capsys.readouterr().err


def test_a_plan_of_what_is_there_uses_them(store, stored, capsys):
    described = Infrastructure("farm", (NodeDescription("old", "gone"),))
    store.add_infrastructure("farm-1", described, {"old": 1}, None, 0.0)
    assert build.main(["--plan", "-i", "farm", "-y", "--nodes", "nodes.yaml", "infra.yaml"]) == 0
    assert capsys.readouterr().out.startswith("+ create 1 x web")
    assert stored() == []


FARM = "1234abcd-0000-4000-8000-000000000000"
NEW = "notice: there is no infrastructure 'fram': this is the plan of a new one\n"


@pytest.mark.parametrize("more", [[], ["--nodes", "nodes.yaml"]])
def test_a_plan_for_an_unknown_id_says_so(store, capsys, more):
    assert import_.main(["nodes.yaml"]) == 0
    capsys.readouterr()
    assert build.main(["--plan", "-i", "fram", *more, "infra.yaml"]) == 0
    printed = capsys.readouterr()
    other = (
        "notice: there is already an infrastructure 'shop': this is the plan of another one; -i infra-1 updates it\n"
    )
    assert (printed.out[:14], printed.err) == ("+ create 1 x w", f"{NEW}{other}")


def test_a_plan_in_a_pipe_accepts_a_name_and_a_beginning_of_an_id(store, capsys):
    described = Infrastructure("farm", (NodeDescription("old", "gone"),))
    store.add_infrastructure(FARM, described, {"old": 1}, None, 0.0)
    for name in ("farm", "1234abcd"):
        assert build.main(["--plan", "-i", name, "--nodes", "nodes.yaml", "infra.yaml"]) == 0
        said = f"notice: '{name}' names the infrastructure '{FARM}', of which this is the plan; "
        assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize("mode", ["", "1.x"])
def test_a_build_in_a_pipe_makes_no_second_infrastructure_under_a_name(store, monkeypatch, capsys, mode):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", mode)
    assert import_.main(["nodes.yaml"]) == 0
    store.add_infrastructure(FARM, Infrastructure("farm", ()), {}, None, 0.0)
    for name, other in (("farm", FARM), ("1234abcd", FARM), ("shop", "infra-1")):
        capsys.readouterr()
        assert build.main(["-i", name, "infra.yaml"]) == 3
        said = f"error: '{name}' names the infrastructure '{other}', but only its id counts without a terminal: "
        assert capsys.readouterr().err == f"{said}-i {other}, or -y; for a new infrastructure: another id, or no -i\n"
    store.add_infrastructure("other", Infrastructure("farm", ()), {}, None, 0.0)
    assert build.main(["-i", "farm", "infra.yaml"]) == 3
    assert {one.id for one in store.overview.all()} == {FARM, "infra-1", "other"}


def test_a_build_with_an_unknown_id_makes_a_new_infrastructure(store, built, capsys):
    assert import_.main(["nodes.yaml"]) == 0
    assert build.main(["-i", "farm", "infra.yaml"]) == 1
    assert "Submitted infrastructure: 'farm'" in capsys.readouterr().err


def test_a_second_infrastructure_of_a_name_gets_a_notice(store, built, monkeypatch, capsys):
    assert import_.main(["nodes.yaml"]) == 0
    there = "notice: there is already an infrastructure 'shop': "
    capsys.readouterr()
    assert build.main(["--plan", "infra.yaml"]) == 0
    assert capsys.readouterr().err == f"{there}this is the plan of another one; -i infra-1 updates it\n"
    assert build.main(["infra.yaml"]) == 1
    assert capsys.readouterr().err.startswith(f"{there}this build makes another one; -i infra-1 updates it\nSubmitted ")
    assert build.main(["--plan", "-i", "ifnra-1", "infra.yaml"]) == 0
    assert f"{there}this is the plan of another one; -i infra-1 updates it\n" in capsys.readouterr().err
    assert build.main(["-i", "ifnra-1", "infra.yaml"]) == 1
    assert capsys.readouterr().err.startswith(f"{there}this build makes another one; -i infra-1 updates it\nSubmitted ")
    assert build.main(["-i", "infra-1", "infra.yaml"]) == 1
    assert there not in capsys.readouterr().err
    store.add_infrastructure(FARM, built[0], {"web": 1}, None, 1.0)
    for terminal, named in ((False, FARM), (True, "1234abcd")):
        monkeypatch.setattr(naming, "can_ask", lambda _settings, terminal=terminal: terminal)
        assert build.main(["--plan", "infra.yaml"]) == 0
        assert f"already 2 infrastructures 'shop': this is the plan of another one; -i {named} updates the newest" in (
            capsys.readouterr().err
        )
    for infra_id in ("infra-1", FARM):
        store.request_destroy(infra_id)
    assert build.main(["--plan", "infra.yaml"]) == 0
    assert "notice" not in capsys.readouterr().err


@pytest.fixture
def used(store, files):
    """The stored definition `web` is used by two infrastructures."""
    assert import_.main(["nodes.yaml"]) == 0
    described = Infrastructure("farm", (NodeDescription("one", "web"),))
    store.add_infrastructure("farm-2", described, {"one": 1}, None, 0.0)
    return [{"infraid": "farm-2", "name": "farm"}, {"infraid": "infra-1", "name": "shop"}]


NOTICE = "notice: the node definition 'web' becomes another one, and is used by {}: what runs there stays"


def test_an_import_says_who_uses_what_it_replaces(used, files, capsys):
    capsys.readouterr()
    assert import_.main(["nodes.yaml", "-o", "json"]) == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["replaced_definitions"], printed.err) == ([], "")
    (files / "nodes.yaml").write_text(NODES.replace("serve", "offer"))
    assert import_.main(["nodes.yaml", "-o", "json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "node_definitions": ["web", "other"],
        "replaced_definitions": [{"name": "web", "used_by": used}],
    }
    assert printed.err.startswith(NOTICE.format("farm (farm-2), shop (infra-1)"))
    assert printed.err.endswith("; if it belongs to another project, give it another name in these files\n")
    (files / "nodes.yaml").write_text(NODES)
    assert import_.main(["nodes.yaml"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "Successfully imported nodes: web, other\n"
    assert printed.err.count("notice: ") == 1


def test_a_plan_says_who_else_uses_what_the_build_would_replace(used, files, stored, capsys):
    (files / "nodes.yaml").write_text(NODES.replace("serve", "offer"))
    capsys.readouterr()
    for words, others in ((["-i", "new"], used), (["-i", "farm-2", "-y"], used[1:]), ([], used)):
        assert build.main(["--plan", "-o", "json", *words, "--nodes", "nodes.yaml", "infra.yaml"]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["replaced_definitions"] == [{"name": "web", "used_by": others}]
        assert NOTICE[:40] in printed.err
        assert build.main(["--plan", *words, "--nodes", "nodes.yaml", "infra.yaml"]) == 0
        assert NOTICE[:40] not in capsys.readouterr().out


def test_a_build_says_who_else_uses_what_it_replaces(used, files, built, capsys):
    (files / "nodes.yaml").write_text(NODES.replace("serve", "offer"))
    assert build.main(["-i", "farm-2", "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    assert capsys.readouterr().err.startswith(NOTICE.format("shop (infra-1)"))


def test_a_build_says_that_before_it_asks(used, files, stored, built, monkeypatch, capsys):
    (files / "nodes.yaml").write_text(NODES.replace("serve", "offer"))
    monkeypatch.setattr(build, "can_ask", lambda _settings: True)
    asked = []

    def ask(*_how):
        asked.append(capsys.readouterr().err)
        raise DeclinedError

    monkeypatch.setattr(build, "_ask", ask)
    assert build.main(["-i", "farm-2", "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    assert NOTICE.format("shop (infra-1)") in asked[0]


def test_variables(built):
    words = ["--var", "size=large", "--var", "port=0644", "--var", "most=3", "--var", "most=4", "--var", "url=a=b"]
    assert build.main([*words, "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    (infrastructure,) = built
    (node,) = infrastructure.nodes
    assert node.variables == {
        "size": "large",
        "port": 644,
        "most": 4,
        "own": "here",
        "url": "a=b",
        "extra": {"a": 1, "b": 2},
    }
    assert node.variables.texts["port"] == "0644"
    assert node.scaling.max == 4
    assert infrastructure.variables["size"] == "large"


def test_files_of_variables(built, files):
    (files / "one.yaml").write_text("size: middle\nport: 8080\nextra: {b: 3}\n")
    (files / "two.yaml").write_text("port: 9090\nown: there\n")
    words = ["--var", "size=large", "--var-file", "one.yaml", "--var-file", "two.yaml"]
    assert build.main([*words, "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    found = built[0].nodes[0].variables
    assert (found["size"], found["port"], found["extra"]) == ("large", 9090, {"a": 1, "b": 3})
    assert found["own"] == "here", "the variable of a node wins"


def test_a_notice_names_the_nodes_that_override_a_variable(built, files, capsys):
    assert build.main(["--var", "own=there", "--var", "size=large", "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    complaint = capsys.readouterr().err.splitlines()
    assert "notice: the variable 'own' has other values in these nodes, which win: 'web'" in complaint
    assert not [line for line in complaint if "'size' has other values" in line]
    assert build.main(["--var", "own=here", "--nodes", "nodes.yaml", "infra.yaml"]) == 1
    assert "which win" not in capsys.readouterr().err, "it has the same value"


UNUSED = "notice: the variable '{}' is not used by any template of the description or its node definitions\n"
GIVEN = ["--var", "size=large", "--var", "most=2", "--var", "prot=80", "--var-file", "more.yaml"]


@pytest.mark.parametrize(
    ("words", "code"), [([], 1), (["--plan"], 0), (["-i", "farm-1", "-y"], 1), (["-i", "farm-1", "-y", "--plan"], 0)]
)
@pytest.mark.parametrize("imported", [True, False])
def test_variables_without_effect_get_a_notice(words, code, imported, store, built, files, capsys):
    described = Infrastructure("farm", (NodeDescription("old", "gone"),))
    store.add_infrastructure("farm-1", described, {"old": 1}, None, 0.0)
    (files / "more.yaml").write_text("port: 8080\nidle: 1\n")
    if imported:
        assert import_.main(["nodes.yaml"]) == 0
        capsys.readouterr()
    nodes = [] if imported else ["--nodes", "nodes.yaml"]
    assert build.main([*words, *GIVEN, *nodes, "infra.yaml"]) == code
    said = capsys.readouterr().err
    assert [line for line in said.splitlines(keepends=True) if "variable" in line] == [
        UNUSED.format("idle"),
        UNUSED.format("prot"),
    ]


@pytest.mark.parametrize(
    ("template", "unused"),
    [
        ("{{ variables.a }}", "bc"),
        ("{{ variables['a'] }}{% if variables.b %}x{% endif %}", "c"),
        ("{% for name in variables %}{{ name }}{% endfor %}", ""),
        ("{{ variables[variables.a] }}", ""),
        ("{{ variables.get('a') }}", ""),
        ("{{ variables|length }}", ""),
        ("plain", "abc"),
        ("{{ variables.", ""),
    ],
)
def test_which_variables_templates_use(template, unused):
    """What cannot be known counts as used."""
    definition = NodeDefinition("web", (Implementation({"type": "local", "x": [{"y": template}]}),))
    infrastructure = Infrastructure("shop", (NodeDescription("web", "web"),))
    assert unused_variables("abc", "", infrastructure, (), [definition]) == list(unused)


def test_a_configuration_manager_gets_the_variables_of_the_description():
    managed = Implementation({"type": "local"}, config_management={"type": "chef"})
    infrastructure = Infrastructure("shop", (NodeDescription("web", "web"),), outputs=(OutputTemplate("o", "{{ c }}"),))
    found = unused_variables("abcd", "a", infrastructure, ["{{ d }}"], [NodeDefinition("web", (managed,))])
    assert found == ["b"]


@pytest.mark.parametrize("nodes", [["--nodes", "nodes.yaml"], []])
def test_a_plan_creates_no_store(nodes, home, capsys):
    before = sorted(home.rglob("*"))
    code = build.main(["--plan", "-i", "new", *nodes, "--var", "x=1", "infra.yaml"])
    said = capsys.readouterr()
    if nodes:
        assert (code, said.out) == (
            0,
            "+ create 1 x web: 1 wanted, 0 there\n1 to create, 0 to replace, 0 to destroy, 0 to keep\n",
        ), said
        assert said.err == UNUSED.format("x") + NEW.replace("fram", "new")
    else:
        assert code == 2
        assert "there is no node definition 'web'" in said.err
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("word", ["size", "=x", ""])
def test_what_is_no_variable(word, capsys):
    with pytest.raises(SystemExit) as ended:
        build.main(["--var", word, "infra.yaml"])
    assert ended.value.code == 2
    assert "argument --var: expected NAME=VALUE" in capsys.readouterr().err


def test_the_faults_of_all_these_files_are_reported(files, capsys):
    (files / "vars.yaml").write_text("- a\n")
    (files / "broken.yaml").write_text("[\n")
    assert build.main(["--cfg", "broken.yaml", "--nodes", "broken.yaml", "--var-file", "vars.yaml", "infra.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.count("broken.yaml:2:1") == 1
    assert "error: vars.yaml:1:1: a mapping of variables is wanted here\n" in said


def test_check_stores_nothing(stored, files, capsys):
    assert import_.main(["--check", "nodes.yaml"]) == 0
    assert capsys.readouterr().out == "Valid node definitions: web, other\n"
    assert stored() == []
    (files / "nodes.yaml").write_text(NODES.replace("variables.size", "variables.size|shout"))
    assert import_.main(["--check", "nodes.yaml"]) == 2
    assert "No filter named 'shout'" in capsys.readouterr().err


FAULTY = """\
'node_def:web':
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template:
      runcmd:
      - "serve {{ variables.prot }}"
      - "to {{ getip('dbb') }}"
      - |
        first
        {{ variables.sise }}
  health_check:
    urls: ["http://{{ ip }}:{{ variables.prt }}"]
'node_def:other':
- resource: {type: local}
  contextualisation: {type: docker, command: "{{ variables.own }} {{ variables.size.x }}"}
"""
WHO = "node 'web', node definition 'web', implementation 'local': "
OF_TEMPLATES = [
    f"nodes.yaml:7:9: {WHO}contextualisation.context_template.runcmd[0]: variables has no 'prot'",
    f"nodes.yaml:8:9: {WHO}contextualisation.context_template.runcmd[1]: there is no node 'dbb'",
    f"nodes.yaml:9:9: {WHO}contextualisation.context_template.runcmd[2], line 2: variables has no 'sise'",
    f"nodes.yaml:13:12: {WHO}health_check.urls[0]: variables has no 'prt'",
    "nodes.yaml:16:46: node 'second', node definition 'other', implementation 'local': contextualisation.command: ",
    "infra.yaml:7:23: node 'third': there is no node definition 'none'",
]


@pytest.mark.parametrize("words", [["--plan"], []])
def test_all_faults_of_all_templates_are_reported_with_their_places(words, files, stored, capsys):
    (files / "nodes.yaml").write_text(FAULTY)
    more = "- {name: second, type: other}\n- {name: third, type: none}\n"
    (files / "infra.yaml").write_text(DESCRIPTION + more)
    assert build.main([*words, "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    for expected in OF_TEMPLATES:
        assert [line.startswith(f"error: {expected}") for line in lines].count(True) == 1, (expected, lines)
    assert len(lines) == len(OF_TEMPLATES), lines
    assert stored() == [], "what cannot be built is not imported"


def test_faults_of_stored_definitions_have_the_place_of_the_node(files, capsys):
    (files / "nodes.yaml").write_text(FAULTY)
    assert import_.main(["nodes.yaml"]) == 0
    assert build.main(["--plan", "infra.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"error: infra.yaml:5:21: {WHO}") for line in lines] == [True] * 4, lines


@pytest.mark.parametrize("words", [["--plan"], []])
def test_a_template_that_prints_a_variable_without_a_value_is_refused_with_its_place(words, files, stored, capsys):
    (files / "infra.yaml").write_text(DESCRIPTION.replace("size: small", "size: "))
    assert build.main([*words, "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    what = "variables.size has nothing behind it; give it a value in the description, or with --var size=..."
    place = f"nodes.yaml:5:33: {WHO}contextualisation.context_template.runcmd[0]"
    assert capsys.readouterr().err == f"error: {place}: {what}\n"
    assert stored() == []
    assert build.main(["--plan", "--var", "size=", "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    assert build.main(["--plan", "--var", "size=large", "--nodes", "nodes.yaml", "infra.yaml"]) == 0


REFUSED = """\
'node_def:web':
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template:
      packages: ["{{ variables.database }}"]
      runcmd: ["{{ variables.command }}"]
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template:
      write_files: [{content: a, path: /a}, {path: /b, content: "{{ variables.b }}", encoding: b64, defer: true}]
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template:
      write_files: [{path: "{{ variables.path }}", content: "{{ variables.b }}", encoding: b64}]
'node_def:other':
- resource: {type: sim, endpoint: "http://127.0.0.1:9", boot_seconds: "{{ variables.seconds|frown }}"}
- resource: {type: sim, endpoint: "http://127.0.0.1:9", boot_seconds: soon}
"""


def test_an_owner_is_accepted_at_import_and_refused_for_the_user_who_builds(files, stored, capsys):
    (files / "nodes.yaml").write_text(
        NODES.replace("runcmd:", "write_files: [{path: a, owner: 'another:group'}], runcmd:")
    )
    assert import_.main(["nodes.yaml"]) == 0
    assert stored() == ["other", "web"]
    for words in (["--plan"], []):
        capsys.readouterr()
        assert build.main([*words, "--nodes", "nodes.yaml", "infra.yaml"]) == 2
        assert "nodes.yaml:5:48: node 'web', " in (said := capsys.readouterr().err)
        assert "cannot do this `owner` of write_files[0]: its files belong to " in said


@pytest.mark.parametrize("words", [[], ["--check"]])
def test_what_a_type_refuses_is_refused_at_import_with_its_place(words, files, stored, capsys):
    (files / "nodes.yaml").write_text(REFUSED)
    assert import_.main([*words, "nodes.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    expected = (
        "nodes.yaml:6:7: node_def:web[0].contextualisation.context_template.packages: a local node cannot do",
        "nodes.yaml:12:101: node_def:web[1].contextualisation.context_template.write_files[1].defer: a local node",
        "nodes.yaml:19:71: node_def:other[0].resource.boot_seconds: No filter named 'frown'.",
        "nodes.yaml:20:57: node_def:other[1].resource.boot_seconds: ",
    )
    assert len(lines) == len(expected), lines
    assert all(line.startswith(f"error: {one}") for line, one in zip(lines, expected, strict=True)), lines
    assert stored() == []


FAULTS = [
    "nodes.yaml:5:24: node_def:web[0].contextualisation.context_template.packages: a local node cannot do 'packages'",
    "nodes.yaml:5:70: node_def:web[0].contextualisation.context_template.runcmd[1]: runcmd[1] of the cloud-config must",
]


def test_an_import_names_the_path_of_a_command_once(files, capsys):
    command = "  contextualisation:\n    type: docker\n    command: echo 'it\n"
    (files / "nodes.yaml").write_text(f"'node_def:web':\n- resource: {{type: local}}\n{command}")
    assert import_.main(["nodes.yaml"]) == 2
    path = "node_def:web[0].contextualisation.command"
    assert capsys.readouterr().err == f"error: nodes.yaml:5:5: {path}: a quotation in it is not closed\n"


def test_an_import_reports_all_that_a_type_refuses_at_once(files, capsys):
    (files / "nodes.yaml").write_text(
        NODES.replace('runcmd: ["serve', 'packages: [a], runcmd: ["{{variables.size}}", {}, "serve')
    )
    assert import_.main(["--check", "nodes.yaml"]) == 2
    assert [
        line[7:][: len(fault)] for line, fault in zip(capsys.readouterr().err.splitlines(), FAULTS, strict=True)
    ] == FAULTS


def test_a_plan_reports_all_that_a_type_refuses_where_it_depends_on_templates(files, capsys):
    (files / "nodes.yaml").write_text(
        NODES.replace(
            'runcmd: ["serve', "write_files: [{path: a, permissions: '{{variables.size}}'}, 1], runcmd: [\"serve"
        )
    )
    assert build.main(["--plan", "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    said = capsys.readouterr().err
    assert "write_files[1] of the cloud-config must be a mapping" in said
    (files / "nodes.yaml").write_text(
        NODES.replace(
            'runcmd: ["serve',
            "write_files: [{path: a, permissions: '{{variables.size}}'}, "
            "{path: b, permissions: '{{variables.size}}'}], runcmd: [\"serve",
        )
    )
    assert build.main(["--plan", "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    said = capsys.readouterr().err
    assert [line.count(f"`permissions` of write_files[{number}]") for number, line in enumerate(said.splitlines())] == [
        1,
        1,
    ]


def test_in_compatibility_with_1_x_what_a_type_refuses_is_a_warning(files, monkeypatch, capsys):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", "1.x")
    (files / "nodes.yaml").write_text(NODES.replace("runcmd:", "packages: [a], runcmd:"))
    assert import_.main(["nodes.yaml"]) == 0
    assert "warning: nodes.yaml:5:24: a local node cannot do 'packages'" in capsys.readouterr().err


def test_a_misspelt_key_of_a_health_check_is_no_checker(files, capsys):
    (files / "nodes.yaml").write_text(
        NODES.partition("'node_def:other'")[0] + "  health_check: {ping: false, timout: 20}\n"
    )
    assert import_.main(["--check", "nodes.yaml"]) == 2
    assert "health_check.timout: unknown key 'timout': did you mean 'timeout'?" in capsys.readouterr().err


def test_what_depends_on_a_template_is_not_refused_at_import(files):
    (files / "nodes.yaml").write_text(
        REFUSED.replace("packages:", "bootcmd:").replace(", defer: true", "").partition("'node_def:other'")[0]
    )
    assert import_.main(["--check", "nodes.yaml"]) == 0


def test_a_plan_names_the_place_of_what_a_type_refuses(files, capsys):
    (files / "nodes.yaml").write_text(NODES.replace("runcmd:", "runcmd: [], '{{ variables.size }}':"))
    assert build.main(["--plan", "--nodes", "nodes.yaml", "infra.yaml"]) == 2
    assert capsys.readouterr().err.startswith("error: nodes.yaml:5:36: ")


def test_check_uses_no_store(files, monkeypatch):
    monkeypatch.setenv("OCCOPUS_STORE", "postgresql://nobody@127.0.0.1:1/none")
    assert import_.main(["--check", "nodes.yaml"]) == 0


def test_exit_codes_of_plans(files, capsys, monkeypatch):
    words = ["--detailed-exitcode", "--nodes", "nodes.yaml", "infra.yaml"]
    assert build.main(["--plan", *words]) == 2
    assert build.main(words) == 2, "it never builds"
    assert build.main(["--plan", "--detailed-exitcode", "infra.yaml"]) == 1
    assert build.main(["--plan", "--detailed-exitcode", "nowhere.yaml"]) == 1
    assert build.main(["--plan", "--detailed-exitcode", "--no-such-option"]) == 1
    capsys.readouterr()
    assert build.main(["--plan", "-o", "json", *words]) == 2
    assert json.loads(capsys.readouterr().out)["steps"][0]["action"] == "create"


def test_a_plan_without_changes_ends_with_0(monkeypatch, capsys):
    monkeypatch.setattr(build, "_plan", lambda *_: (Plan((Step(Verb.KEEP, "web", "", "id-1"),)), {}))
    assert build.main(["--detailed-exitcode", "--nodes", "nodes.yaml", "infra.yaml"]) == 0
    assert "1 to keep" in capsys.readouterr().out


@pytest.fixture
def done(store, monkeypatch):
    """Builds that are done at once: everything exists already."""
    described = Infrastructure(
        "shop",
        (NodeDescription("web", "web"), NodeDescription("db", "db")),
        outputs=(OutputTemplate("at", "{{ getip('web') }}"),),
    )
    lease = store.acquire("infra-1", "test", 1000.0)
    with store.changing(lease) as change:
        change.finish_build(described, {"web": 1, "db": 1})
    store.release(lease)
    monkeypatch.setattr(build, "_build", lambda *_: 0)
    return build.main


def test_the_end_of_a_build_says_where_its_nodes_are(done, capsys):
    assert done(["-i", "infra-1", "infra.yaml"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "infra-1\n"
    assert printed.err == "web  10.0.0.1\ndb   (no address)\noutputs:\n  at = 10.0.0.1\n"


def test_the_last_line_of_a_build_in_the_form_of_1_x_is_the_id(done, capsys, monkeypatch):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", "1.x")
    assert done(["-i", "infra-1", "infra.yaml"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "List of nodes/ip addresses:\nweb:\n    10.0.0.1 (id-1)\ndb:\ninfra-1\n"
    assert printed.err == "outputs:\n  at = 10.0.0.1\n"


def test_outputs_for_programs(done, capsys):
    assert done(["-i", "infra-1", "-o", "json", "infra.yaml"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["outputs"] == {"at": "10.0.0.1"}
    assert printed.err == ""


def test_a_build_stays_done_where_it_is_destroyed_at_once_by_another_process(done, store, capsys):
    with store.changing(store.acquire("infra-1", "test", 1000.0)) as change:
        change.remove_infrastructure(0.0)
    assert done(["-i", "infra-1", "infra.yaml"]) == 0
    assert capsys.readouterr().out == "infra-1\n"
