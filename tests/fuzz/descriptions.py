"""Any bytes as a description, guided by coverage (``make fuzz``): a model or a `DescriptionError`, nothing else."""

import sys

import atheris

with atheris.instrument_imports(include=["occopus_core", "yaml"]):
    from occopus_core.descriptions.infrastructure import load_infrastructure
    from occopus_core.descriptions.node_definitions import load_node_definitions
    from occopus_core.descriptions.problems import DescriptionError
    from occopus_core.registry import Registry

REGISTRY = Registry()


def one(data: bytes) -> None:
    for load in (
        lambda: load_infrastructure(data, name="fuzz", imports=False),
        lambda: load_node_definitions(data, REGISTRY, name="fuzz", imports=False),
    ):
        try:
            load()
        except DescriptionError as error:
            str(error)


atheris.Setup(sys.argv, one)
atheris.Fuzz()
