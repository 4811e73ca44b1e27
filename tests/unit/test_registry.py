"""Plugins as they are found among what is installed."""

import re
import subprocess
from pathlib import Path

import pytest

from occopus_core import registry
from occopus_core.registry import PluginError, Registry
from tests.unit.plugins import CHECKER as PLUGIN


def refusal(name):
    with pytest.raises(PluginError) as caught:
        Registry().health(name)
    return str(caught.value)


def test_finds_what_is_installed(install):
    install("one", "pulse", "found_pulse:Checker", PLUGIN.format(version=1))
    known = Registry()
    assert known.health("pulse").__module__ == "found_pulse"
    assert "pulse" in known.installed("health")


def test_two_of_one_name_are_refused(install):
    install("one", "twin", "first_twin:Checker", PLUGIN.format(version=1))
    install("two", "twin", "second_twin:Checker", PLUGIN.format(version=1))
    assert refusal("twin") == "the health checker 'twin' is provided by one and by two: uninstall one of them"


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("broken_pulse:Checker", "raise ImportError('no libpulse')", "cannot be imported: no libpulse"),
        (
            "zero_pulse:Checker",
            "\n\n1 / 0",
            "cannot be imported: ZeroDivisionError: division by zero (zero_pulse.py, line 3)",
        ),
        ("numeric_pulse:number", PLUGIN.format(version=1), "is not a HealthChecker"),
        ("older_pulse:Checker", PLUGIN.format(version=0), "speaks version 0 of the plugin contract"),
        (
            "silent_pulse:Checker",
            PLUGIN.replace("    contract_version = {version}\n", "").format(),
            "does not say which version of the plugin contract it is written for",
        ),
        (
            "lacking_pulse:Checker",
            PLUGIN.replace("def check", "def chek").format(version=1),
            "breaks its contract: its class Checker has no check",
        ),
    ],
)
def test_what_cannot_be_used_says_why(install, target, text, message):
    install("one", "pulse", target, text)
    assert refusal("pulse").startswith(f"the health checker 'pulse' {message}")


def test_says_what_to_install(caplog, monkeypatch):
    health = {**registry._published()["health"], "ldap": "plugins/health/ldap"}
    monkeypatch.setattr(registry, "_published", lambda: {"health": health})
    assert (
        refusal("ldap")
        == "no health checker 'ldap' is installed: pip install ./plugins/health/ldap in a checkout of Occopus"
    )
    assert refusal("pulse") == (
        "there is no health checker 'pulse'; installed are: mysqldbs, ping, ports, ssh, urls; "
        "known and not installed: ldap"
    )
    assert refusal("port").startswith("there is no health checker 'port' (did you mean 'ports'?); installed are: ")
    assert caplog.records == []


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", registry._published())
def test_what_is_advised_is_a_folder_that_has_the_plugin(kind):
    """An index has none of our names: whoever registers one there would be installed in its place."""
    for name, folder in registry._published()[kind].items():
        assert f"{name} =" in (ROOT / folder / "setup.cfg").read_text()


def test_nothing_advises_a_name_of_an_index_that_the_project_does_not_hold():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    advice = re.compile(r"pip install[^\n]*[\s'\"]occopus[-_]")
    found = [
        f"{name}: {line}"
        for name in names
        if Path(name).suffix in {".py", ".md", ".cfg", ".toml", ".expected", ".sh", ""} and (ROOT / name).is_file()
        for line in (ROOT / name).read_text(errors="replace").splitlines()
        if advice.search(line) and "advice" not in line
    ]
    assert found == []
