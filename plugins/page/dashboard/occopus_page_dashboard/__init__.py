"""The web page of the REST service: static files, found by the entry point `occopus.page`."""
