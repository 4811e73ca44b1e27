"""The version of the plugin contract."""

CONTRACT_VERSION = 1
"""The contract version of this core. A plugin declares its version in `contract_version`."""
