"""Occopus: describe an infrastructure, build it on any cloud, keep it healthy, tear it down."""
