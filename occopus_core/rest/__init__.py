"""The web service of Occopus: the REST API, and maintenance in the background."""
