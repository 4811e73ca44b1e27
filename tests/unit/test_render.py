import pytest

from occopus_core.api import Address, AddressKind
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.registry import Registry
from occopus_core.render import Renderer, TemplateError
from occopus_core.template_functions import functions, rehearsal_functions
from occopus_core.template_inspection import NAMES, inspect, named_peers


class Town:
    def __init__(self, **nodes):
        self.nodes = nodes

    def addresses(self, node_name):
        if node_name not in self.nodes:
            raise LookupError(f"there is no node '{node_name}'")
        return self.nodes[node_name]

    def node_ids(self, node_name):
        return [f"id-of-{node_name}-{number}" for number in range(len(self.addresses(node_name)))]


WEB = [[Address("203.0.113.1"), Address("10.0.0.1", AddressKind.PRIVATE)], [Address("203.0.113.2")]]


def renderer(**names):
    return Renderer(names, functions(Town(web=WEB, empty=[])), "node 'lb'")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("ping {{getip('web')}} -c 5", "ping 203.0.113.1 -c 5"),
        ("{{ getprivip('web') }}", "10.0.0.1"),
        ("{% for ip in getipall('web') %}{{ip}};{% endfor %}", "203.0.113.1;203.0.113.2;"),
        ("{{ cut('abcdef', 1, 3) }}", "bc"),
        ("{{ cmd('echo hello world') }}", "hello world\n"),
        ("{{ cmd('echo $HOME;ls') }}", "$HOME;ls\n"),
        ("{{ 'x' | b64encode }}", "eA=="),
        ('{% raw %}{{range service "web"}}{% endraw %}', '{{range service "web"}}'),
        ("kept newline\n", "kept newline\n"),
        ("{{ variables.target }}\n", "web\n"),
        ("no template: ${HOME} {x}", "no template: ${HOME} {x}"),
    ],
)
def test_a_string_is_one_template(template, expected):
    assert renderer(variables={"target": "web"})(template, at="x") == expected


def test_values_that_are_not_strings_stay_and_keys_are_not_rendered():
    value = {"{{a}}": [1, True, None, "{{ b }}"]}
    assert renderer(b="B")(value, at="x") == {"{{a}}": [1, True, None, "B"]}


def test_a_rendered_value_cannot_break_the_structure_around_it():
    assert renderer(evil='"\n- injected: yes')({"a": "{{evil}}"}, at="x") == {"a": '"\n- injected: yes'}


GIVE = "give it a value in the description, or with --var mesage=..."


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ ip }}",
            "node 'lb': s.t: 'ip' is undefined: only health_check has the node's address; another one: getip('NODE')",
        ),
        ("{{ nothing }}", "node 'lb': s.t: 'nothing' is undefined: put quotes around it if text is meant: 'nothing'"),
        ("{{ variables.mesage }}", f"node 'lb': s.t: variables has no 'mesage'; it has: db, message, size; {GIVE}"),
        ("{{ variables['mesage'] }}", f"node 'lb': s.t: variables has no 'mesage'; it has: db, message, size; {GIVE}"),
        ("{{ variables.db.prot }}", "node 'lb': s.t: variables.db has no 'prot'; it has: name, port"),
        ("{{ empty.x }}", "node 'lb': s.t: empty has no 'x'; it is empty"),
        ("{{ {'a': 1}.b }}", "node 'lb': s.t: the mapping has no 'b'; it has: a"),
        ("{{ many.x }}", "node 'lb': s.t: many has no 'x'; it has: n0, n1, n10, n2, n3, n4, n5, n6, n7, n8, ..."),
        ("{{ variables.size.tone }}", "node 'lb': s.t: 'int object' has no attribute 'tone'"),
        ("a\nb {{ variable }}\n", "node 'lb': s.t, line 2: 'variable' is undefined: did you mean 'variables'?"),
        ("{% if %}", "node 'lb': s.t: Expected an expression, got 'end of statement block'"),
        ("{{ getip('db') }}", "node 'lb': s.t: there is no node 'db'"),
        ("{{ getip('empty') }}", "node 'lb': s.t: node 'empty' has no instance in service with an address"),
        ("{{ 1 / 0 }}", "node 'lb': s.t: ZeroDivisionError: division by zero"),
        ("{{ cmd('false secret') }}", "node 'lb': s.t: cmd: the command exited with status 1"),
        ("{{ cmd('/no/such/program') }}", "node 'lb': s.t: cmd: the command cannot be run: No such file or directory"),
        ("{{ cmd('') }}", "node 'lb': s.t: cmd: the command is not well formed or did not print text"),
    ],
)
def test_an_error_names_the_place_and_the_reason(template, message):
    with pytest.raises(TemplateError) as caught:
        renderer(
            variables={"size": 1, "message": "hunter2", "db": {"port": 1, "name": "x"}},
            empty={},
            many={f"n{number}": number for number in range(11)},
        )(template, at="s.t")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ getip.__globals__ }}",
        "{{ cmd.__globals__['subprocess'].run('id') }}",
        "{{ variables.update({'a': 1}) }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{% for i in range(100000000) %}{% endfor %}",
    ],
)
def test_the_sandbox_holds(attack):
    with pytest.raises(TemplateError):
        renderer(variables={})(attack, at="x")


def test_named_peers_are_found_in_branches_that_are_not_taken():
    assert set(named_peers({"a": ["{% if 0 %}{{ getip('db') }}{% endif %}", "{{ getipall('web')[0] }}"]})) == {
        "db",
        "web",
    }
    assert not set(named_peers(["{{ getip(variables.x) }}", "{% broken getip", "plain getip('x')"]))


def test_a_rehearsal_runs_no_command(tmp_path):
    witness = tmp_path / "ran"
    render = Renderer({}, rehearsal_functions(Town()), "x")
    assert render(f"{{{{ cmd('touch {witness}') }}}}", at="x") == ""
    assert not witness.exists()


@pytest.mark.parametrize(
    ("template", "expected"),
    [("{{ variables.x | default('y') }}", "y"), ("{{ variables.x is defined }}", "False")],
)
def test_a_template_may_ask_whether_there_is_a_variable(template, expected):
    assert renderer(variables={})(template, at="x") == expected


COMMENT = "'{#' begins a comment that has no end: write {% raw %} before and {% endraw %} after what is no template"


@pytest.mark.parametrize(
    ("text", "names", "fault"),
    [
        ("{{ ip }}:{{ variables.port }} {{ getip('db') }} {{ cut(node_id, 0, 8) }}", ("ip",), ""),
        ("{% set here = name %}{{ here }}{% for i in range(3) %}{{ i }}{{ loop.index }}{% endfor %}", (), ""),
        ("{{ note | default('') }}{% if other is defined %}{{ other }}{% endif %}", (), ""),
        ("{{ ip }} {{ zone }}", (), "'ip' is undefined; 'zone' is undefined"),
        ("{{ ipp }}", ("ip",), "'ipp' is undefined: did you mean 'ip'?"),
        ("{{ whatever }}", None, ""),
        ("{{ name | shout }}", None, "No filter named 'shout'."),
        ("one\n{{ name }\n", None, "line 2 of it: unexpected '}'"),
        (
            "one\necho ${#array[@]}\n",
            None,
            f"line 2 of it: {COMMENT}",
        ),
        ("echo {% raw %}${#array[@]}{% endraw %}", (), ""),
        ("{# a comment #}", (), ""),
        ("{{" + "(" * 5000 + "name" + ")" * 5000 + "}}", (), ""),
        ("{{ 10 ** 10 ** 10 }}", (), ""),
    ],
)
def test_a_template_is_inspected_without_what_it_is_used_for(text, names, fault):
    assert inspect(text, names) == fault


def test_the_names_that_are_inspected_are_those_of_every_node():
    scope = Scope("installation", "id", Infrastructure("name", ()), Registry(), None)
    subject = Subject(NodeDescription("web", "web"), "node", "token", Implementation({"type": "sim"}), {})
    for name in NAMES:
        scope._renderer(subject)(f"{{{{ {name} }}}}", at="here")
    assert set(scope._renderer(subject)._names) == NAMES


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ get_ip('db') }}", "'get_ip' is undefined: did you mean 'getip'?"),
        ("{{ handed_over }}", ""),
        ("{{ handed_over.strip() }}", ""),
        ("{% macro own() %}x{% endmacro %}{{ own() }}", ""),
        ("{% if helper is defined %}{{ helper() }}{% endif %}", ""),
        ("{{ range(3) }}", ""),
    ],
)
def test_a_function_that_does_not_exist_is_found_where_other_names_are_unknown(text, fault):
    assert inspect(text, None) == fault
    assert inspect(text, None, former=True) == ""
