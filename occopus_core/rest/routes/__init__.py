"""The routes of the API: a module for each resource, with its `router`."""
