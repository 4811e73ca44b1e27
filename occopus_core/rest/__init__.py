"""Occopus as a web service: the REST API, and maintenance that goes on behind it."""
