"""Words that shells complete: ids and names of infrastructures, nodes and short ids of instances."""

import dataclasses
import subprocess

import pytest

from occopus_core.api.resource import Address
from occopus_core.cli import build, completion, destroy, logs, maintain, scale, ssh
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.store.records import InstanceRecord, Stage

MADE = "0f6c1f3e-8a57-4d0c-a9be-3a0f5b1c2d3e"


@pytest.fixture
def more(store):
    """Two infrastructures of one name, one of them with an id that Occopus has made, and an instance of such an id."""
    described = Infrastructure("twin", (NodeDescription("cache", "cache"),))
    for infra_id in (MADE, "second"):
        lease = store.add_infrastructure(infra_id, described, {"cache": 1}, "test", 1.0)
        with store.changing(lease) as change:
            change.finish_build(described, {"cache": 1})
            if infra_id == MADE:
                made_by = Implementation({"type": "memory"})
                change.add_implementations([made_by])
                change.add_instances(
                    [
                        InstanceRecord(
                            *(MADE, MADE, "cache", 1, "token", made_by.digest, "{}", "print", Stage.READY, 2.0, 1.0),
                            addresses=(Address("10.0.0.7"),),
                        )
                    ]
                )
    return store


@pytest.fixture
def complete(capsys):
    def complete(kind, *argv):
        assert maintain.main(["--complete", kind, *argv]) == 0
        return capsys.readouterr().out.split()

    return complete


def test_infrastructures_by_id_and_by_names_that_mean_one(more, complete):
    assert complete("infrastructures") == ["infra-1", MADE, "second", "shop"]


@pytest.mark.parametrize("named", [MADE, MADE[:8]])
def test_nodes_and_instances_of_one_infrastructure(more, complete, named):
    assert complete("nodes", "-i", named) == ["cache"]
    assert complete("instances", "-i", named) == [MADE[:8]]
    assert complete("places", "-i", named) == ["cache", MADE[:8]]
    assert complete("places", "-i", "shop") == ["web", "id-1"]
    assert complete("places", "-i", "none") == []


def test_nodes_of_all_infrastructures(more, complete):
    assert complete("nodes") == ["web", "cache"]


def test_without_a_store_there_is_nothing_to_complete(home, complete):
    assert complete("infrastructures") == []


def test_words_that_mean_something_to_a_shell_are_left_out(store, complete):
    (one,) = store.instances("infra-1")
    lease = store.acquire("infra-1", "test", 1000.0)
    with store.changing(lease) as change:
        change.add_instances([dataclasses.replace(one, node_id="$(reboot)", token="t")])
    assert complete("instances") == ["id-1"]


OPTIONS = [
    (build, "-i", "infrastructures"),
    (destroy, "-i", "infrastructures"),
    (destroy, "--infra_id", "infrastructures"),
    (maintain, "-i", "infrastructures"),
    (maintain, "-f", "nodes"),
    (scale, "-n", "nodes"),
    (scale, "-f", "instances"),
    (ssh, "-i", "infrastructures"),
]
ASK = """
occopus-maintain() {{ printf '%s\\n' "$*" | tr ' ' '/'; }}
{script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
{function} {command} "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def asked(capsys, command, *words):
    """What the script of a command asks for when these words are there and the last one is to be completed."""
    with pytest.raises(SystemExit):
        command.main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    name = f"occopus-{command.__name__.rpartition('.')[2]}"
    text = ASK.format(
        script=script,
        words=" ".join([name, *words]),
        function=f"_shtab_{name.replace('-', '_')}",
        command=name,
    )
    ended = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=600, check=True)
    assert ended.stderr == ""
    return ended.stdout.strip()


@pytest.mark.parametrize(("command", "option", "kind"), OPTIONS, ids=lambda one: getattr(one, "__name__", one))
def test_options(capsys, command, option, kind):
    assert asked(capsys, command, option, "''") == f"--complete/{kind}"


@pytest.mark.parametrize("command", [logs, ssh], ids=["logs", "ssh"])
def test_the_instance_is_one_of_the_infrastructure_that_is_named(capsys, command):
    assert asked(capsys, command, "--cfg", "my.yaml", "-i", "shop", "''") == "--complete/places/--cfg/my.yaml/-i/shop"


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_the_other_shells_ask_the_same(capsys, shell):
    with pytest.raises(SystemExit):
        logs.main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert "occopus-maintain --complete" in script
    assert completion.KINDS[0] in script
