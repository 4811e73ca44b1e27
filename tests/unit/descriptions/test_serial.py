"""What the store keeps comes back equal."""

import json

import pytest

from occopus_core.descriptions import serial
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.model import HealthCheck, Implementation

TEXT = """\
infra_name: shop
user_id: me
nodes:
  - {name: web, type: t, filter: {a: 1}, scaling: {min: 2, max: 3}, variables: {x: [1, {y: null}]}}
  - {name: db, type: t}
dependencies:
  - {connection: [web, db], mappings: [[a, b], {attributes: [c, d], synch: true}]}
variables: {v: 1.5}
outputs: {url: "{{getip('web')}}"}
"""


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


def test_infrastructure():
    infrastructure = load_infrastructure(TEXT, name="i.yaml")
    back = serial.infrastructure_from_json(through_json(serial.infrastructure_to_json(infrastructure)))
    assert back == infrastructure
    assert back.dependencies[0].where == "i.yaml:7:5"
    assert back.outputs[0].where == "i.yaml:9:16"
    hash(back.dependencies[0].mappings[0])


def test_a_description_stored_before_there_were_outputs_has_none():
    stored = serial.infrastructure_to_json(load_infrastructure(TEXT, name="i.yaml"))
    del stored["outputs"]
    assert serial.infrastructure_from_json(stored).outputs == ()


@pytest.mark.parametrize("spoilt", [{"url": "x"}, ["x"], [{"name": 1, "template": "x"}], [{"nome": "x"}]])
def test_spoilt_outputs_are_refused(spoilt):
    stored = {**serial.infrastructure_to_json(load_infrastructure(TEXT, name="i.yaml")), "outputs": spoilt}
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        serial.infrastructure_from_json(stored)


@pytest.mark.parametrize(
    "implementation",
    [
        Implementation({"type": "a"}),
        Implementation({"type": "b"}, {"type": "c"}, {"type": "d"}, HealthCheck({"ports": [1]}, 5.0)),
        Implementation({"type": "b"}, health_check=HealthCheck({}, 5.0, 2.5)),
    ],
)
def test_implementation(implementation):
    back = serial.implementation_from_json(through_json(serial.implementation_to_json(implementation)))
    assert back == implementation
    assert back.digest == implementation.digest


def test_an_implementation_of_a_version_without_min_ready_seconds():
    before = Implementation({"type": "a"}, health_check=HealthCheck({"ping": True}, 5.0))
    data = through_json(serial.implementation_to_json(before))
    del data["health_check"]["min_ready_seconds"]
    assert serial.implementation_from_json(data) == before
    assert before.digest == "1985a8606473cd445193dd02dd894e04", "stored under it"
    assert before.digest != Implementation({"type": "a"}, health_check=HealthCheck({"ping": True}, 5.0, 1.0)).digest


@pytest.mark.parametrize("read", [serial.infrastructure_from_json, serial.implementation_from_json])
def test_another_format_is_refused(read):
    with pytest.raises(ValueError, match="written in format 99, and this version reads 2"):
        read({"format": 99})
