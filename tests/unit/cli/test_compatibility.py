"""What the commands print with `compatibility: 1.x`."""

import pytest

from occopus_core.cli import maintain

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def former(monkeypatch):
    monkeypatch.setenv("OCCOPUS_COMPATIBILITY", "1.x")


def test_the_list_has_the_ids_alone(capsys):
    assert maintain.main(["-l"]) == 0
    assert capsys.readouterr().out == "infra-1\n"


def test_the_list_in_a_form_that_is_asked_for(capsys):
    assert maintain.main(["-l", "-o", "table"]) == 0
    assert capsys.readouterr().out.startswith("infra-1\tshop\tready\t1 instance\t")


@pytest.mark.parametrize("name", ["report", "report.json", "report.yaml"])
def test_a_file_gets_the_addresses(name, tmp_path):
    assert maintain.main(["-r", "-i", "infra-1", "-o", name]) == 0
    assert (tmp_path / name).read_text() == "10.0.0.1\n"


@pytest.mark.parametrize(("filter", "written"), [("e", "10.0.0.1\n"), ("web", "10.0.0.1\n"), ("d", "\n")])
def test_the_filter_takes_a_part_of_a_name(filter, written, tmp_path):
    assert maintain.main(["-r", "-i", "infra-1", "-f", filter, "-o", "report"]) == 0
    assert (tmp_path / "report").read_text() == written


def test_a_filter_that_nothing_matches(capsys):
    assert maintain.main(["-r", "-i", "infra-1", "-f", "x", "-o", "report"]) == 3
    assert "has no node 'x'" in capsys.readouterr().err


def test_without_the_setting_the_filter_is_a_whole_name(monkeypatch):
    monkeypatch.delenv("OCCOPUS_COMPATIBILITY")
    assert maintain.main(["-r", "-i", "infra-1", "-f", "we"]) == 3
