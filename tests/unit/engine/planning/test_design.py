import dataclasses
import hashlib

import pytest

from occopus_core.api import PermanentError, Verdict, missing_keys
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    Infrastructure,
    NodeDescription,
    OutputTemplate,
)
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.planning.design import InvalidDesignError, Overlay, make_design
from occopus_core.events import EventKind
from occopus_core.registry import PluginError, Registry
from occopus_core.store.records import NoSuchInfrastructureError

from ..conftest import infrastructure, node, userdata
from ..fakes import config_manager, health_checker


def way(template, **more):
    return [{"contextualisation": userdata(template), **more}]


def problems(world, candidate):
    """What is wrong with a description, and nothing has been done."""
    with pytest.raises(InvalidDesignError) as caught:
        world.build(candidate)
    assert world.calls("create") == 0
    with pytest.raises(NoSuchInfrastructureError):
        world.store.infrastructure("infra")
    return list(caught.value.problems)


def creation_order(world, candidate):
    world.build(candidate, width=1)
    return world.told(EventKind.NODE_CREATING)


@pytest.mark.parametrize(
    "template",
    [
        "ping {{ getip('db') }}",
        "ping {{ getprivip('db') }}",
        "{% for ip in getipall('db') %}{{ ip }} {% endfor %}",
        "ping {{ getip(variables.server) }}",
        "{% if false %}{{ getip('db') }}{% endif %}",
    ],
)
def test_a_reference_of_a_template_is_a_dependency(world, template):
    world.define("db", boot_seconds=3)
    world.define("web", implementations=way(template))
    assert creation_order(world, infrastructure(node("web", server="db"), "db")) == ["db", "web"]


def test_a_reference_in_any_section_is_a_dependency(world):
    world.define("db", boot_seconds=3)
    world.install("config", "fake", config_manager())
    hidden = "{% if false %}{{ getip('db') }}{% endif %}"
    world.define("health", implementations=[{"checks": {"text": hidden}}])
    world.install("health", "text", health_checker(lambda probe: Verdict(True)))
    world.define("resource", implementations=[{"resource": {"image": hidden}}])
    world.define("config", implementations=[{"config": {"type": "fake", "endpoint": "chef", "note": hidden}}])
    order = creation_order(world, infrastructure("health", "resource", "config", "db"))
    assert order == ["db", "health", "resource", "config"]


def test_the_address_of_another_node_arrives(world):
    world.define("db")
    world.define("web", implementations=way("{{ getip('db') }} {{ getprivip('db') }} {{ getipall('db')|join(',') }}"))
    world.build(infrastructure("web", node("db", min=2)))
    first, second = (row.addresses for row in world.store.instances("infra") if row.node_name == "db")
    text = f"{first[0].value} {first[1].value} {first[0].value},{second[0].value}"
    (web,) = [one for one in world.live() if one["owner"]["node_name"] == "web"]
    assert web["order"]["user_data"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_without_references_the_order_of_the_list_decides(world):
    world.define("a", "b", "c")
    assert creation_order(world, infrastructure("b", "c", "a")) == ["b", "c", "a"]


def test_all_problems_are_told_at_once_and_before_anything_is_created(world):
    world.define("ok")
    world.define("typo", implementations=way("{{ variables.prot }}"))
    world.define("stranger", implementations=way("{{ getip('nobody') }}"))
    found = problems(world, infrastructure("ok", node("typo", port=1), "stranger"))
    assert len(found) == 2
    assert "node 'typo', node definition 'typo', implementation 'memory memory'" in found[0]
    assert "contextualisation.context_template" in found[0]
    assert "prot" in found[0]
    assert "there is no node 'nobody'; the nodes are: ok, stranger, typo" in found[1]


def test_a_plugin_that_breaks_its_contract_hides_no_other_problem(world):
    class Careless(world.handler):
        def check(self, request):
            if request.resource["image"] == "endless":
                raise OverflowError("cannot convert float infinity to integer")

    world.install("resource", "memory", Careless)
    world.define("web", implementations=[{"resource": {"image": "endless"}}])
    world.define("stranger", implementations=way("{{ getip('nobody') }}"))
    careless, stranger = problems(world, infrastructure("web", "stranger"))
    assert careless.startswith(
        "node 'web', node definition 'web', implementation 'memory memory': the resource handler "
    )
    assert "check() raised OverflowError (" in careless
    assert "nobody" in stranger


def test_missing_definitions_are_told_with_what_was_perhaps_meant(world):
    world.define("apache")
    found = problems(world, infrastructure(node("a", "apahce"), node("b", "zzz")))
    assert found == [
        "node 'a': there is no node definition 'apahce': import its file with occopus-import (did you mean 'apache'?)",
        "node 'b': there is no node definition 'zzz': import its file with occopus-import",
    ]


def test_a_node_that_needs_itself(world):
    world.define("web", implementations=way("{{ getip('web') }}"))
    (problem,) = problems(world, infrastructure("web"))
    assert problem == ("the nodes wait for each other: web -> web (closed by a template of the node definition 'web')")


def test_a_cycle_is_named_with_what_closed_it(world):
    world.define("db")
    world.define("web", implementations=way("{{ getip('db') }}"))
    description = infrastructure("web", "db")
    edges = (Dependency("db", "web", where="infra.yaml:7:5"),)
    (problem,) = problems(world, dataclasses.replace(description, dependencies=edges))
    assert problem == (
        "infra.yaml:7:5: the nodes wait for each other: db -> web -> db "
        "(closed by the dependency at infra.yaml:7:5 and a template of the node definition 'web')"
    )
    assert (problem.position, problem.path) == ("infra.yaml:7:5", "dependencies[0]")


def test_a_cycle_of_templates_is_at_the_template_in_its_file_else_at_the_node(world):
    text = """node_def:web:
  - resource: {type: memory, endpoint: memory}
    contextualisation:
      type: cloudinit
      context_template:
        runcmd:
          - ping {{ getip('%s') }}
"""
    world.define("web", implementations=way({"runcmd": ["ping {{ getip('web') }}"]}))
    description = Infrastructure("infra", (NodeDescription("web", "web", where="infra.yaml:4:9"),))
    scope = PassContext(world.resources(), "infra").scope(description)
    (own,) = load_node_definitions((text % "web").encode(), world.registry, name="nodes.yaml", imports=False)
    for definitions, place, path in [
        (world.store, "infra.yaml:4:9", "nodes[0].type"),
        (Overlay({"web": own}, world.store), "nodes.yaml:7:13", "contextualisation.context_template.runcmd[0]"),
    ]:
        with pytest.raises(InvalidDesignError) as caught:
            make_design(scope, definitions)
        (problem,) = caught.value.problems
        assert problem.startswith(f"{place}: the nodes wait for each other: web -> web (closed by a template of ")
        assert (problem.position, problem.path) == (place, path)


def test_faults_have_their_place_as_parts(world):
    """The path is that within the file that the position names."""
    world.define("web", implementations=way("{{ variables.nope }}"))
    nodes = (NodeDescription("a", "apahce", where="request:3:9"), NodeDescription("b", "web", where="request:5:9"))
    described = Infrastructure(
        "infra",
        nodes,
        (Dependency("a", "b", (AttributeMapping("x", "name"),), where="request:8:3"),),
        outputs=(OutputTemplate("url", "{{ zzz }}", "request:9:8"),),
    )
    missing, *mapped, template, output = problems(world, described)
    for one, position, path in [
        (missing, "request:3:9", "nodes[0].type"),
        *((one, "request:8:3", "dependencies[0]") for one in mapped),
        (template, "request:5:9", "nodes[1].type"),
        (output, "request:9:8", "outputs.url"),
    ]:
        assert (one.position, one.path) == (position, path)
        assert one.startswith(f"{position}: ")
        assert one.endswith(one.message)
    assert len(mapped) == 2
    assert output.startswith("request:9:8: outputs.url: 'zzz' is undefined")


def test_a_checker_that_is_not_installed(world):
    class Bare(Registry):
        def health(self, name):
            raise PluginError(f"there is no health checker '{name}'")

    world.registry = Bare({("resource", "memory"): world.handler})
    world.define("web", implementations=[{"checks": {"telepathy": True}}])
    assert problems(world, infrastructure("web")) == ["there is no health checker 'telepathy'"]


def test_a_checker_that_is_switched_off_need_not_be_installed(world):
    world.define("web", implementations=[{"checks": {"telepathy": False}}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})


def test_a_handler_may_refuse_beforehand(world):
    class Strict(world.handler):
        def check(self, request):
            raise PermanentError("20 kB of user data, the limit is 16384")

    world.install("resource", "memory", Strict)
    world.define("web")
    assert problems(world, infrastructure("web")) == [
        "node 'web', node definition 'web', implementation 'memory memory': 20 kB of user data, the limit is 16384"
    ]


def test_every_implementation_is_rehearsed(world):
    world.define("web", implementations=[{}, *way("{{ nothing }}", resource={"name": "other"})])
    (problem,) = problems(world, infrastructure("web"))
    assert "implementation 'other'" in problem


def test_a_reference_that_only_shows_when_it_runs_has_a_clear_message(world):
    """The node's name comes from a value that differs between the rehearsal and the run."""
    template = "{% if node_id[:8] != '00000000' %}{{ getip(variables.server) }}{% endif %}"
    world.define("db")
    world.define("web", implementations=way(template))
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure(node("web", server="db"), "db"))
    assert "it was not seen beforehand that 'web' needs 'db': add the dependency [web, db]" in str(caught.value)
    world.assert_nothing()


def fingerprint(world, candidate):
    """What is recorded of the one instance that an infrastructure is made of."""
    world.build(candidate)
    (record,) = world.store.instances("infra")
    world.destroy()
    return record.fingerprint


def test_the_fingerprint_names_what_is_asked_of_the_provider(world):
    world.define("web", implementations=way("port {{ variables.port }}"))
    world.define("other", implementations=way("port {{ variables.port }}", checks={}, timeout=5.0))
    world.define("large", implementations=way("port {{ variables.port }}"), image="large")
    first = fingerprint(world, infrastructure(node("web", port=1)))
    assert first == fingerprint(world, infrastructure(node("web", port=1, unused=2)))
    assert first == fingerprint(world, infrastructure(node("web", "other", port=1)))
    assert first != fingerprint(world, infrastructure(node("web", port=2)))
    assert first != fingerprint(world, infrastructure(node("web", "large", port=1)))


def test_faults_of_outputs_are_found_with_all_others_before_anything_is_made(world):
    world.define("web", implementations=way("{{nope}}"))
    described = dataclasses.replace(
        infrastructure("web"),
        outputs=(
            OutputTemplate("good", "http://{{ getip('web') }}:{{ variables.port | default(80) }}/"),
            OutputTemplate("typo", "{{ getip('wep') }}", "infra.yaml:7:9"),
            OutputTemplate("program", "{{ cmd('date') }}"),
        ),
    )
    found = problems(world, described)
    assert "'nope' is undefined" in found[0]
    assert found[1:] == [
        "infra.yaml:7:9: outputs.typo: there is no node 'wep'; the nodes are: web",
        "outputs.program: cmd() runs a program, which an output cannot do: outputs are rendered for every report",
    ]


def test_maintenance_does_not_stop_at_a_fault_in_an_output(world):
    world.define("web")
    described = dataclasses.replace(infrastructure("web"), outputs=(OutputTemplate("typo", "{{ nope }}"),))
    scope = PassContext(world.resources(), "infra").scope(described)
    assert make_design(scope, world.store).scope.infrastructure == described
    with pytest.raises(InvalidDesignError, match=r"outputs\.typo: 'nope' is undefined"):
        make_design(scope, world.store, with_outputs=True)


def test_credentials_that_cannot_work_end_a_build_before_it_has_begun(world, tmp_path, monkeypatch):
    world.define("web")
    world.build(infrastructure("web", name="former"), infra_id="former")
    created = world.calls("create")
    file = tmp_path / "auth.yaml"
    file.write_text("resource:\n- type: memory\n  auth_data: {passwrd: s3cret-value}\n")
    world.credentials = Credentials.load(str(file), {})
    monkeypatch.setattr(world.handler, "auth_fault", lambda auth: missing_keys(auth, ["password"]), raising=False)
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("web"))
    assert str(caught.value) == (
        "node 'web', node definition 'web', implementation 'memory memory': auth_data has no password: "
        f"did you mean 'password'?; the credentials are those at {file}:2:3"
    )
    assert world.calls("create") == created
    world.convergence(infra_id="former").maintain()


def test_nodes_that_need_the_same_are_both_named_with_their_places(world):
    world.define("db", "proxy", port="8000")
    nodes = (
        NodeDescription("db", "db", where="infra.yaml:3:9"),
        NodeDescription("proxy", "proxy", where="infra.yaml:4:9"),
    )
    described = infrastructure(*nodes)
    stored = world.store.definitions(["db"])["db"]
    (way,) = stored.implementations
    brought = dataclasses.replace(way, place=lambda at, line=None, *, key=False: f"nodes.yaml:2:5 {at}")
    own = dataclasses.replace(stored, implementations=(brought,))
    context = PassContext(world.resources(), "infra")
    for definitions, place in (
        (world.store, "infra.yaml:3:9"),
        (Overlay({"db": own}, world.store), "nodes.yaml:2:5 resource"),
    ):
        with pytest.raises(InvalidDesignError) as caught:
            make_design(context.scope(described), definitions, with_outputs=True)
        assert str(caught.value) == (
            f"infra.yaml:4:9: node 'proxy': it needs the port 8000, which node 'db' ({place}) has: "
            "change what one of them asks for"
        )
