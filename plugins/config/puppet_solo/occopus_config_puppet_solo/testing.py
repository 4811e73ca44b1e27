"""The harness of the manager for the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_config_puppet_solo import PuppetSolo
from occopus_core.api import ConfigManager, Connection
from occopus_core.testing.config import ConfigHarness
from occopus_core.testing.config.harness import Kind

_NOTHING = "there is no server that knows nodes: what a node needs is in its user data"


class PuppetHarness(ConfigHarness):
    """A harness without a server: the user data of a node contains everything."""

    holds: ClassVar[bool] = False
    not_applicable: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "cancel_ends_jobs",
                "configure_repeated",
                "configure_returns_soon",
                "configure_without_register",
                "errors_keep_secrets",
                "failed_says_why",
                "forget_as_registered",
                "hang",
                "only_provider_errors",
                "registered_is_not_ready",
                "side_by_side",
                "silence_is_not_unknown",
                "status_answers_every_node",
            ),
            _NOTHING,
        ),
        "older_generation_is_not_ready": "another generation is another instance: the manager is not `live`",
        "repr_keeps_secrets": "it has no credentials",
        "schema_imports_no_sdk": "there is no library",
        "status_costs_pages": _NOTHING,
    }

    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new manager."""
        return PuppetSolo(Connection("puppet_solo", {}, {}, call_timeout or 30.0))

    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A manifest, and an attribute that identifies the variant."""
        attributes: list[Mapping[str, Any]] = [{"page::greeting": f"hello {variant}"}]
        return {"manifests": [f"https://example.com/{kind}.pp"], "attributes": attributes}

    def settle(self) -> None:
        """Nothing is in progress."""
