"""The life of one instance: created, configured, checked, deleted."""
