"""Recognises the files of Docker Compose."""

from __future__ import annotations

from occopus_core.descriptions.document import Document
from occopus_core.descriptions.problems import DescriptionError


def refuse_compose(document: Document, expected: str) -> None:
    """Report a file of Docker Compose as one fault: otherwise every key would be one. Raises `DescriptionError`."""
    data = document.data
    if isinstance(data, dict) and isinstance(data.get("services"), dict) and not data.keys() & {"infra_name", "nodes"}:
        message = (
            f"this is a file of Docker Compose; expected {expected}: each service becomes a node, with a node "
            "definition of the type docker (see docs/descriptions.md#from-docker-compose)"
        )
        raise DescriptionError([document.problem(("services",), message, key=True)])
