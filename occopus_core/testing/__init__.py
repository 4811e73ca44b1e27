"""Test doubles and conformance suites for the core's own tests and for those of plugins."""
