"""The output at the end of a build."""

import dataclasses

import pytest

from occopus_core.descriptions.model import OutputTemplate
from occopus_core.report import Snapshot, outputs_of, report_of
from occopus_core.report.built import MOST_ADDRESSES, address_lines, outdated_lines, output_lines
from occopus_core.report.forms import written

from .conftest import infrastructure


@pytest.fixture
def with_outputs(instance):
    def make(*instances, **outputs):
        record = infrastructure()
        templates = tuple(OutputTemplate(name, template) for name, template in outputs.items())
        described = dataclasses.replace(record.description, outputs=templates)
        return Snapshot.of(dataclasses.replace(record, description=described), instances)

    return make


def test_each_node_has_a_line_with_its_addresses(snapshot, instance):
    assert address_lines(snapshot(instance("web", 1, "10.0.0.1"), instance("web", 2, "10.0.0.2"))) == [
        "web  10.0.0.1 10.0.0.2",
        "db   (no address)",
    ]


def test_of_many_addresses_the_first_are_shown(snapshot, instance):
    many = [instance("web", number, f"10.0.1.{number}") for number in range(1, MOST_ADDRESSES + 4)]
    (line, _) = address_lines(snapshot(*many))
    assert line.endswith("10.0.1.8 and 3 more")


def test_outputs_are_lines_without_control_characters(with_outputs, instance):
    made = with_outputs(
        instance("web", 1, "10.0.0.1"), url="http://{{ getip('web') }}/", both="a\x1b[31m\nb", db="{{ getip('db') }}"
    )
    assert output_lines(made) == [
        "outputs:",
        "  url = http://10.0.0.1/",
        "  both = a [31m",
        "      b",
        "  db = (none: node 'db' has no instance in service with an address)",
    ]
    assert outputs_of(made) == {"url": "http://10.0.0.1/", "both": "a\x1b[31m\nb", "db": None}
    assert [node["outputs"] for node in report_of(made).values()] == [outputs_of(made)] * 2
    assert written(made, "table").splitlines()[-5:] == output_lines(made)


def test_without_outputs_there_are_no_output_lines(snapshot, instance):
    assert output_lines(snapshot(instance("web", 1, "10.0.0.1"))) == []
    assert "outputs" not in written(snapshot(instance("web", 1, "10.0.0.1")), "table")


def test_each_node_with_outdated_instances_is_a_warning_with_the_command(snapshot, instance):
    made = snapshot(instance("web", 1, outdated=("db",)), instance("web", 2, outdated=("cache", "db")), instance("db"))
    (line,) = outdated_lines(made)
    assert line.startswith("warning: node 'web' is outdated: its configuration was made before other instances of db")
    assert "db and cache, without their addresses; occopus-scale -i infra-1 -n web --replace replaces it; " in line
    assert line.endswith("; a node with 'when_outdated: replace' is replaced by itself")
    assert outdated_lines(snapshot(instance("web"), instance("db"))) == []
