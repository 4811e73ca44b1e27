"""Passes over infrastructures: build, maintain, destroy, sweep."""
