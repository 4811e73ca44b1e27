"""Real engines on this machine for tests, each behind a proxy with fault injection, and a registry.

Needs root, and the programs that `missing` names.
"""

from occopus_resource_docker.testing.engines import DockerEngine, Engine, PodmanEngine, missing
from occopus_resource_docker.testing.network import Network
from occopus_resource_docker.testing.proxy import Proxy, Rule
from occopus_resource_docker.testing.registry import PASSWORD, USERNAME, Registry

__all__ = [
    "PASSWORD",
    "USERNAME",
    "DockerEngine",
    "Engine",
    "Network",
    "PodmanEngine",
    "Proxy",
    "Registry",
    "Rule",
    "missing",
]
