"""A world with a configuration manager in memory."""

from __future__ import annotations

from occopus_core.testing.simmanager.memory import MemoryConfigManager, MemoryManager

from .conftest import userdata


class Managers:
    """The managers of a world, by endpoint; what is asked of each is in its log."""

    def __init__(self, world):
        self.world = world
        self.stores = {}
        managers = self

        class Plugin(MemoryConfigManager):
            def __init__(self, connection):
                super().__init__(connection, managers.at(connection.settings.get("endpoint", "")))

        self.plugin = world.install("config", "memory", Plugin)

    def at(self, endpoint="chef"):
        if endpoint not in self.stores:
            self.stores[endpoint] = MemoryManager(self.world.clock.now)
        return self.stores[endpoint]

    def define(self, name, *, timeout=600.0, attributes=None, context=None, resource=None, **section):
        """A node definition with a `config_management` section on the manager `chef`."""
        contextualisation = userdata(context or "#cloud-config")
        if attributes is not None:
            contextualisation["attributes"] = attributes
        way = {
            "config": {"type": "memory", "endpoint": "chef", **section},
            "contextualisation": contextualisation,
            "timeout": timeout,
        }
        self.world.define(name, implementations=[way], **(resource or {}))

    def held(self, endpoint="chef"):
        """By node name: what the manager holds."""
        found = {}
        for node in self.at(endpoint).service.nodes.values():
            found.setdefault(node.node_name, []).append(node)
        return found

    def assert_nothing(self):
        for store in self.stores.values():
            assert store.service.nodes == {}
            assert store.service.infrastructures == set()
        assert self.world.store.configurations.abandoned() == []
        assert self.world.store.configurations.abandoned_managers() == []
