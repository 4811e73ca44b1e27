"""Distributions with a plugin, as they look where they are installed."""

from __future__ import annotations

CHECKER = """
from occopus_core.api import HealthChecker

class Checker(HealthChecker):
    contract_version = {version}

    @classmethod
    def schema(cls):
        return {{}}

    def check(self, probes):
        return []

number = 5
"""


def put(folder, distribution, name, target, text, *, kind="health", requires=()):
    """Install a distribution with one module and one plugin into a folder of the search path."""
    module = target.partition(":")[0]
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{needs}")
    (info / "entry_points.txt").write_text(f"[occopus.{kind}]\n{name} = {target}\n")
