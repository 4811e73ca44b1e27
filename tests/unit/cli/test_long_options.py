"""The long options that scripts of 1.x use."""

import pytest

from occopus_core.cli import build, destroy, maintain, scale


@pytest.mark.parametrize("option", ["-i", "--infra_id", "--infraid"])
def test_the_id_of_an_infrastructure(option, monkeypatch):
    seen = []
    for module in (build, destroy, scale):
        monkeypatch.setattr(module, "_run", lambda options: seen.append(options.infra_id) or 0)
    assert build.main([option, "one", "infra.yaml"]) == 0
    assert destroy.main([option, "one"]) == 0
    assert scale.main([option, "one", "-n", "web", "-c", "1"]) == 0
    assert maintain._parser().parse_args([option, "one"]).infra_id == "one"
    assert seen == ["one"] * 3


@pytest.mark.parametrize("option", ["-t", "--interval"])
def test_the_interval_of_maintenance(option):
    assert maintain._parser().parse_args(["-c", "-i", "one", option, "5"]).interval == 5.0
