"""Where instances are, in reports."""

import dataclasses
import json

import pytest

from occopus_core.descriptions.model import Implementation
from occopus_core.report import Snapshot, report_of
from occopus_core.report.forms import written
from occopus_core.report.places import InstancePlace, place_of

EC2 = {"type": "ec2", "endpoint": "https://ec2.example", "regionname": "eu-west-1"}


@pytest.mark.parametrize(
    ("resource", "connection", "place"),
    [
        (EC2, EC2, InstancePlace("ec2 https://ec2.example", "eu-west-1", "ec2 https://ec2.example")),
        ({**EC2, "name": "cheap"}, EC2, InstancePlace("ec2 https://ec2.example", "eu-west-1", "cheap")),
        ({"type": "local"}, {"root": "/n"}, InstancePlace("local", "", "local")),
        ({"type": "azure_vm", "location": "westeurope"}, {}, InstancePlace("azure_vm", "westeurope", "azure_vm")),
        (
            {"type": "nova", "endpoint": "{{ variables.cloud }}", "name": "n"},
            {"endpoint": "https://me:secret@nova.example/v3", "region_name": "R1"},
            InstancePlace("nova https://nova.example/v3", "R1", "n"),
        ),
        ({"type": "nova", "endpoint": "{{ variables.cloud }}", "name": "n"}, None, InstancePlace("nova", "", "n")),
    ],
)
def test_a_place_is_cloud_region_and_implementation(instance, resource, connection, place):
    record = dataclasses.replace(instance(), connection="" if connection is None else json.dumps(connection))
    assert place_of(record, Implementation(resource)) == place


def test_an_implementation_that_is_lost_leaves_the_place_empty(instance):
    assert place_of(dataclasses.replace(instance(), connection="x"), None) == InstancePlace()


def test_reports_have_the_place_of_each_instance(instance, snapshot):
    implementation = Implementation({**EC2, "name": "cheap"})
    record = dataclasses.replace(instance(), implementation=implementation.digest, connection=json.dumps(EC2))
    taken = Snapshot.of(snapshot().infrastructure, [record], used={implementation.digest: implementation})
    (one,) = report_of(taken)[record.node_name]["instances"].values()
    assert (one["cloud"], one["region"], one["implementation"]) == ("ec2 https://ec2.example", "eu-west-1", "cheap")
    assert "ec2 https://ec2.example eu-west-1 (cheap)" in written(taken, "table")
