"""The version of the plugin contract."""

CONTRACT_VERSION = 1
"""The contract this core implements. A plugin states the version it was written for in `contract_version`."""
