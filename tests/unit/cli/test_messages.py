"""Messages of the commands: one line for a wrong command line, `error:` once, the faults of all files."""

from __future__ import annotations

import pytest

from occopus_core.cli import build, destroy, import_, maintain, output, plugins, rest_service, scale, ssh

COMMANDS = {
    "build": build,
    "destroy": destroy,
    "import": import_,
    "maintain": maintain,
    "plugins": plugins,
    "rest-service": rest_service,
    "scale": scale,
    "ssh": ssh,
}
SECRET = "a-word-nobody-guesses"


@pytest.fixture(autouse=True)
def no_redactors(monkeypatch):
    monkeypatch.setattr(output, "_redactors", [])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_line_is_one_line(name, capsys):
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name].main(["--no-such-option"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.endswith(f" (occopus-{name} --help lists the options)\n")
    assert said.err.count("\n") == said.err.count("error") == 1


def test_a_wrong_action_names_the_command_that_lists_its_options(capsys):
    with pytest.raises(SystemExit):
        rest_service.main(["token", "create", "--name", "x"])
    assert capsys.readouterr().err == (
        "error: the following arguments are required: --scope "
        "(occopus-rest-service token create --help lists the options)\n"
    )


@pytest.mark.parametrize("value", ["{{ variables.db }}", "/srv/{% if x %}", "{# #}/srv/100%"])
def test_an_endpoint_that_is_a_template_ends_the_service_at_its_start(value, capsys):
    with pytest.raises(SystemExit) as ended:
        rest_service.main(["--endpoint", "/srv/known", "--endpoint", value])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"error: argument --endpoint: '{value}' is a template: expected the value that it is to become "
        "(occopus-rest-service --help lists the options)\n"
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [(build, ["-o", "csv", "i.yaml"]), (plugins, ["list", "-o", "csv"]), (plugins, ["show", "ec2", "--output", "csv"])],
)
def test_a_form_that_does_not_exist(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert "argument -o/--output: invalid choice: 'csv' (choose from " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-l"], ["-r", "-i", "infra-1"], ["--graph", "dot", "-i", "infra-1"]])
@pytest.mark.parametrize("form", ["csv", "yml", "jsno", "JSON", "text"])
def test_such_a_form_is_not_taken_for_a_file(words, form, store, home, capsys):
    assert maintain.main([*words, "-o", form]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: there is no form '{form}'")
    assert said.err.endswith(f"; for a file of this name: -o ./{form}\n")
    assert not (home / form).exists()
    assert maintain.main([*words, "-o", f"./{form}"]) == 0
    assert (home / form).exists()


def test_a_file_of_1x_may_be_called_so(store, home, monkeypatch):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", "1.x")
    assert maintain.main(["-r", "-i", "infra-1", "-o", "csv"]) == 0
    assert (home / "csv").read_text() == "10.0.0.1\n"


def test_the_faults_of_all_files_are_reported(home, capsys):
    (home / "config.yaml").write_text("store: [\n")
    (home / "auth.yaml").write_text(f"resource: [{{type: ec2, auth_data: {{secretkey: {SECRET}}}}}\n")
    (home / "infra.yaml").write_text("infra_name: a.b\nnodes: [{name: w}]\n")
    for command, words in ((build, ["infra.yaml"]), (destroy, ["-i", "x"]), (maintain, ["-i", "x"])):
        assert command.main(["--cfg", "config.yaml", "--auth_data_path", "auth.yaml", *words]) == 2
        said = capsys.readouterr().err.splitlines()
        files = [line.removeprefix("error: ").partition(":")[0] for line in said]
        assert all(line.startswith("error: ") and line.count("error") == 1 for line in said if "not valid" in line)
        assert list(dict.fromkeys(files)) == ["config.yaml", "auth.yaml", *(["infra.yaml"] if command is build else [])]
        assert SECRET not in "".join(said)


def test_what_both_files_refuse_is_reported_once(home, capsys):
    (home / "folder").mkdir()
    assert destroy.main(["--cfg", "folder", "--auth_data_path", "folder", "-i", "x"]) == 2
    assert capsys.readouterr().err == "error: folder: this is a folder, not a file\n"
