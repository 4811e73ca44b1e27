"""What was written is what is meant: text, numbers and truths follow the schema, templates print what was written."""

import pytest

from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import Registry
from occopus_core.render import Renderer, TemplateError, expander
from occopus_core.templates_1x import Templates1x

INFRA = "infra_name: x\nuser_id: me\nnodes:\n- name: n\n  type: t\n"


def infrastructure(text):
    warnings = []
    found = load_infrastructure(text, name="i.yaml", warn=warnings.append, render=expander())
    return found, [str(one) for one in warnings]


def node(text):
    found, warnings = infrastructure(INFRA + text)
    return found.nodes[0], warnings


def definition(text, plugins=None):
    warnings = []
    (found,) = load_node_definitions(text, plugins or Registry(), name="n.yaml", warn=warnings.append)
    return found.implementations[0], [str(one) for one in warnings]


def rendered(text, variables):
    found, _ = node(f"  variables: {variables}\n")
    return Renderer({"variables": found.variables}, {}, "place")(text, at="at")


# Where text is wanted


@pytest.mark.parametrize(
    "written", ["3", "012345", "1.10", "true", "yes", "22:22", "1_000", "1e3", "0x1F", ".inf", "9" * 30]
)
def test_where_text_is_wanted_a_scalar_is_its_written_text(plugins, written):
    found, _ = definition(f"node_def:x: [{{resource: {{type: container, image: {written}}}}}]", plugins)
    assert found.resource["image"] == written


def test_a_password_that_looks_like_a_number(tmp_path):
    (tmp_path / "auth.yaml").write_text(
        "resource:\n- type: ec2\n  auth_data: {accesskey: 012, secretkey: 12345678901234567890123}\n"
    )
    found = Credentials.load(str(tmp_path / "auth.yaml"), {}).find("resource", {"type": "ec2"})
    assert dict(found) == {"accesskey": "012", "secretkey": "12345678901234567890123"}


def test_names_may_be_numbers():
    found, _ = infrastructure(
        "infra_name: 2024\nuser_id: 7\nnodes:\n- &a {name: 1, type: true}\n- {name: 2, type: x}\n"
        "dependencies: [[2, *a]]\n"
    )
    assert (found.name, found.user_id, found.nodes[0].type) == ("2024", "7", "true")
    assert [(one.dependent, one.dependee) for one in found.dependencies] == [("2", "1")]


# Where a number or a truth is wanted


@pytest.mark.parametrize("least", ["2", "'2'", '"2"', "'{{variables.least}}'", "'{{ least }}'", "'{{ least * 1 }}'"])
def test_digits_in_quotes_and_from_templates_are_numbers(least):
    found, _ = node(f"  scaling: {{min: {least}, max: '{{{{MOST}}}}'}}\n  variables: {{MOST: 4, least: 2}}\n")
    assert (found.scaling.min, found.scaling.max) == (2, 4)


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ("{min: two}", "i.yaml:6:18: nodes[0].scaling.min: 'two' is text, not a whole number"),
        (
            "{min: '{{least}}'}",
            "i.yaml:6:18: nodes[0].scaling.min: 'least' is undefined: put quotes around it if text is meant: 'least'",
        ),
        ("{min: '1.5'}", "i.yaml:6:18: nodes[0].scaling.min: '1.5' is text, not a whole number"),
        (
            "{max: '{{ getip(1) }}'}",
            "i.yaml:6:18: nodes[0].scaling.max: 'getip' is undefined: put quotes around it if text is meant: 'getip'",
        ),
        ("{min: -1}", "i.yaml:6:18: nodes[0].scaling.min: -1 is less than the minimum of 0"),
    ],
)
def test_what_gives_no_number_is_refused_with_its_place(scaling, message):
    with pytest.raises(DescriptionError) as raised:
        node(f"  scaling: {scaling}\n")
    assert str(raised.value) == message


def test_limits_that_are_too_small_are_raised_with_a_warning():
    found, warnings = node("  scaling: {min: 0, max: 0}\n")
    assert (found.scaling.min, found.scaling.max) == (1, 1)
    assert warnings == [
        "i.yaml:6:18: nodes[0].scaling.min: 'min' is 0 and is raised to 1",
        "i.yaml:6:26: nodes[0].scaling.max: 'max' is 0 and is raised to 'min', which is 1",
    ]
    assert node("  scaling: {min: 4, max: 2}\n")[0].scaling.max == 4


@pytest.mark.parametrize(
    ("word", "meant"), [("off", False), ("no", False), ("yes", True), ("On", True), ("'no'", False)]
)
def test_a_truth_of_yaml_1_1_is_taken_for_what_it_means_with_a_warning(plugins, word, meant):
    found, warnings = definition(
        f"node_def:x:\n- resource: {{type: cloud, endpoint: http://c, public: {word}}}\n", plugins
    )
    assert found.resource["public"] is meant
    text, truth = word.strip("'"), str(meant).lower()
    message = f"'{text}' is text in YAML 1.2 and is taken for {truth} here: write {truth}"
    assert warnings == [f"n.yaml:2:55: node_def:x[0].resource.public: {message}"]


def test_a_check_is_switched_off_by_such_a_word_too(plugins):
    found, warnings = definition(
        "node_def:x: [{resource: {type: container, image: i}, health_check: {ping: off, ports: no}}]", plugins
    )
    assert found.health_check.checks == {}
    assert len(warnings) == 2


def test_a_number_of_a_template_reaches_the_plugin_as_one(plugins):
    class Typing(Registry):
        def schema(self, kind, name):
            return plugins.schema(kind, name)

    source = {"type": "cloud", "cpu": "{{n}}", "public": "{{yes}}", "zone": "{{n}}", "ports": ["{{n}}", "53/UDP"]}
    answer = {"type": "cloud", "cpu": "4", "public": "true", "zone": "4", "ports": ["80", "53/UDP"]}
    typed = Typing().typed("resource", "cloud", answer, source, "digest")
    assert typed == {"type": "cloud", "cpu": 4, "public": True, "zone": "4", "ports": [80, "53/UDP"]}


# Nothing behind a key


def test_a_key_with_nothing_behind_it_is_absent(plugins):
    found, _ = definition(
        "node_def:x:\n- resource:\n    type: cloud\n    endpoint: http://c\n    zone:\n    groups: ~\n    disks: null\n"
        "  health_check:\n  contextualisation:\n",
        plugins,
    )
    assert found.resource == {"type": "cloud", "endpoint": "http://c"}
    assert found.contextualisation is None


def test_a_required_key_with_nothing_behind_it_is_refused_at_its_place(plugins):
    with pytest.raises(DescriptionError, match=r"^n.yaml:1:60: .*endpoint: there is no value here: one is required$"):
        definition("node_def:x: [{resource: {type: cloud, zone: ab, endpoint:  }}]", plugins)


# In templates


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        *[
            (text, text)
            for text in ("0644", "1.10", "1e3", "0x1F", "+5", "yes", "12:30", "1_000", "true", "False", "TRUE")
        ],
        *[("~", "~"), ("null", "null"), ("'0644'", "0644"), (".inf", ".inf"), ("3", "3")],
    ],
)
def test_a_variable_prints_as_it_was_written(written, printed):
    assert rendered("{{variables.v}}", f"{{v: {written}}}") == printed
    assert rendered("{% for v in variables.l %}{{v}};{% endfor %}", f"{{l: [{written}]}}") == f"{printed};"


@pytest.mark.parametrize(
    ("template", "name", "advice"),
    [
        ("{{variables.v}}", "v", "; give it a value in the description, or with --var v=..."),
        ("a {{variables.v ~ 'x'}}", "v", "; give it a value in the description, or with --var v=..."),
        ("{{variables['v']|upper}}", "v", "; give it a value in the description, or with --var v=..."),
        ("{{variables.v|b64encode}}", "v", "; give it a value in the description, or with --var v=..."),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(variables.v) }}", "v", "; give it a value in the description, "),
        ("{{variables.map.w}}", "map.w", ""),
    ],
)
def test_a_variable_with_nothing_behind_it_is_not_printed(template, name, advice):
    with pytest.raises(TemplateError) as caught:
        rendered(template, "{v: , map: {w: }}")
    assert f"variables.{name} has nothing behind it{advice}" in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("variables.v | default('x')", "x"),
        ("variables.v is defined or variables.v is not undefined", "False"),
        ("'a' if variables.v else 'b'", "b"),
        ("variables.v is none and variables.v == none", "True"),
        ("variables | tojson", '{"v": null}'),
    ],
)
def test_a_template_can_ask_whether_a_variable_has_something_behind_it(expression, value):
    assert rendered(f"{{{{ {expression} }}}}", "{v: }") == value


def test_in_compatibility_with_1_x_a_variable_with_nothing_behind_it_prints_as_there():
    found, _ = infrastructure("variables: {v: }\n" + INFRA)
    manners = Templates1x(former=True)
    made = Renderer({"variables": found.variables}, {}, "", manners=manners)("{{ variables.v }}", at="")
    assert made == "None"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("variables.n + 1", "645"),
        ("variables.n > 600", "True"),
        ("range(variables.two) | list", "[0, 1]"),
        ("'y' if variables.no else 'n'", "n"),
        ("variables.no is false", "True"),
        ("variables.no is boolean", "True"),
        ("variables.no == false", "True"),
        ("variables.n is number and variables.n is integer", "True"),
        ("variables.none is none", "True"),
        ("variables.none == none", "True"),
        ("variables.none | default('x', true)", "x"),
        ("variables.f * 2", "2.2"),
        ("variables.n ~ variables.no ~ variables.none", "0644False~"),
        ("[variables.n, variables.f] | join(' ')", "0644 1.10"),
        ("variables.map | tojson", '{"a": 1, "b": true, "c": null}'),
        ("'%05d' | format(variables.n)", "00644"),
    ],
)
def test_a_variable_is_a_value_all_the_same(expression, value):
    variables = "{n: 0644, two: 0x2, no: False, none: ~, f: 1.10, map: {a: 0x1, b: True, c: ~}}"
    assert rendered(f"{{{{ {expression} }}}}", variables) == value


def test_variables_of_the_infrastructure_keep_their_texts_below_those_of_the_node():
    found, _ = infrastructure(
        "variables: {a: {x: 0644, y: 1.10}, b: no}\n" + INFRA + "  variables: {a: {x: 0755}, b: 'q'}\n"
    )
    text = "{{variables.a.x}} {{variables.a.y}} {{variables.b}}"
    assert Renderer({"variables": found.nodes[0].variables}, {}, "")(text, at="") == "0755 1.10 q"


def test_a_filter_compares_what_was_written(plugins):
    found, _ = definition("node_def:x: [{resource: {type: container, image: 1.10}}]", plugins)
    assert found.passes(node("  filter: {image: 1.10}\n")[0].filter)
    assert not found.passes(node("  filter: {image: 1.1}\n")[0].filter)


# In a context template


def test_a_plain_scalar_of_a_context_template_arrives_as_it_was_written(plugins):
    found, _ = definition(
        "node_def:x:\n- resource: {type: cloud, endpoint: http://c}\n  contextualisation:\n    type: cloudinit\n"
        "    context_template:\n      mode: 0644\n      on: [yes, ~, 1e3, 'yes', \"{{v}}\"]\n      k: x {{v}}\n",
        plugins,
    )
    made = CloudInit().contextualise(found.contextualisation, Renderer({"v": "0755"}, {}, ""))
    assert made.user_data == "#cloud-config\nmode: 0644\non:\n- yes\n- ~\n- 1e3\n- 'yes'\n- '0755'\nk: x 0755\n"


def test_another_way_to_write_a_scalar_is_another_implementation(plugins):
    text = (
        "node_def:x: [{resource: {type: cloud, endpoint: http://c}, "
        "contextualisation: {type: cloudinit, context_template: {a: %s}}}]"
    )
    digests = {definition(text % written, plugins)[0].digest for written in ("0644", "644", "'0644'", "0x284")}
    assert len(digests) == 4


# Free keys


def test_keys_that_begin_with_x_are_free(plugins):
    found, _ = definition("x-common: &c {type: container, image: 1.10}\nnode_def:x: [{resource: *c}]", plugins)
    assert found.resource["image"] == "1.10"
    assert infrastructure(f"x-base: &b {{a: 1}}\n{INFRA}  variables: {{<<: *b, c: 2}}\n")[0].nodes[0].variables == {
        "a": 1,
        "c": 2,
    }
