"""The page of the REST service: files that it serves, found by the entry point `occopus.page`."""
