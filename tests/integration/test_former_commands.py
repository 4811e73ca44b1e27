"""Commands in scripts of 1.x: dry runs, standard input, the output of a build, limits that are templates."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def dry(ready):
    ready.environ["OCCOPUS_CONFIG_PATH"] = ready.write("c.yaml", "components: {dry_run: True}\n")
    return ready


def test_a_build_is_a_plan(dry, cloud):
    built = dry.ready("build", "trial.yaml", "-i", "shop")
    assert built.complaint == [
        f"'dry_run' is set in {dry.folder}/c.yaml: this is the plan; nothing is changed",
        "notice: there is no infrastructure 'shop': this is the plan of a new one",
    ]
    assert "3 to create" in built.stdout
    assert (cloud.created, dry.run("maintain", "-r", "-i", "shop").code) == (set(), 3)


def test_nothing_that_is_there_is_changed(ready, cloud):
    ready.ready("build", "trial.yaml", "-i", "shop", "--parallelize")
    cloud.change(cloud.machines("shop")[0]["id"], "fail")
    before = cloud.inventory()
    ready.environ["OCCOPUS_CONFIG_PATH"] = ready.write("c.yaml", "dry_run: true\n")
    for words in (["-i", "shop"], ["-i", "shop", "-c"], ["--sweep"]):
        assert ready.ready("maintain", *words).complaint[0].startswith("'dry_run' is set")
    for command, words in (
        ("destroy", ["-i", "shop"]),
        ("scale", ["-i", "shop", "-n", "web", "-c", "1"]),
        ("rest-service", []),
    ):
        refused = ready.run(command, *words)
        assert (refused.code, refused.complaint) == (
            2,
            [f"error: nothing was changed: 'dry_run' is set in {ready.folder}/c.yaml"],
        )
    assert cloud.inventory() == before
    assert ready.report("shop")["web"]["scaling"]["pending"] == []


def test_a_description_from_standard_input(ready, tmp_path):
    with (tmp_path / "trial.yaml").open() as given:
        built = ready.ready("build", "-", "-i", "shop", "--parallelize", stdin=given)
    assert built.stdout == "shop\n"


def test_what_is_printed_at_the_end_of_a_build_with_compatibility(ready, cloud):
    ready.environ["OCCOPUS_COMPATIBILITY"] = "1.x"
    printed = ready.ready("build", "trial.yaml", "-i", "shop", "--parallelize").stdout.splitlines()
    assert (printed[0], printed[-1]) == ("List of nodes/ip addresses:", "shop")
    ((node_id, db),) = ready.report("shop")["db"]["instances"].items()
    assert printed[1:3] == ["db:", f"    {' '.join(db['addresses'])} ({node_id})"]


def test_limits_that_are_templates(ready, cloud):
    ready.write(
        "limits.yaml",
        "{user_id: me, infra_name: farm, variables: {FEW: 2}, "
        "nodes: [{name: a, type: worker, scaling: {min: '{{FEW}}', max: '{{ FEW + 1 }}'}}]}",
    )
    ready.ready("build", "limits.yaml", "-i", "farm", "--parallelize")
    scaling = ready.report("farm")["a"]["scaling"]
    assert (scaling["min"], scaling["max"], len(cloud.machines("farm"))) == (2, 3, 2)
