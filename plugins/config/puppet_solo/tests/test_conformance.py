"""The configuration manager `puppet_solo` keeps the contract, as far as something without a server can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from occopus_config_puppet_solo import PuppetSolo
from occopus_core.api import Connection
from occopus_core.testing.config import ConfigHarness, ConfigManagerConformance

_NOTHING = "there is no server that knows nodes: what a node needs is in its user data"


class PuppetHarness(ConfigHarness):
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

    def manager(self, *, call_timeout=None):
        return PuppetSolo(Connection("puppet_solo", {}, {}, call_timeout or 30.0))

    def section(self, kind="plain", variant=0):
        attributes: list[Mapping[str, Any]] = [{"page::greeting": f"hello {variant}"}]
        return {"manifests": [f"https://example.com/{kind}.pp"], "attributes": attributes}

    def settle(self):
        """Nothing is under way."""


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self):
        return PuppetHarness()
