"""The pages of the Python API and of the plugin contract, which mkdocstrings fills from the docstrings."""

from __future__ import annotations

_PAGES = {
    "python-api": (
        "Python API",
        "What programs that use Occopus as a library import. [The guide](../docs/python-api.md) introduces it.",
        [
            "occopus_core.manager.manager.InfrastructureManager",
            "occopus_core.manager.queries.Queries",
            "occopus_core.settings",
            "occopus_core.credentials",
            "occopus_core.events",
            "occopus_core.engine.passes.errors",
            "occopus_core.descriptions.problems",
        ],
    ),
    "plugin-contract": (
        "The plugin contract",
        "What plugins import of the core, and all they import of it. [The guide](../docs/plugins.md) introduces it.",
        [
            *("occopus_core.api.resource", "occopus_core.api.config", "occopus_core.api.health"),
            *("occopus_core.api.context", "occopus_core.api.notify", "occopus_core.api.errors"),
            *("occopus_core.api.schema", "occopus_core.api.deadline", "occopus_core.api.version"),
            "occopus_core.api.ssh",
        ],
    ),
    "plugin-testing": (
        "The conformance suites",
        "What the tests of a plugin import. [The guide](../docs/testing.md) introduces it.",
        [
            *("occopus_core.testing.conformance.harness", "occopus_core.testing.config.harness"),
            *("occopus_core.testing.health", "occopus_core.testing.context", "occopus_core.testing.notify"),
            *("occopus_core.testing.web", "occopus_core.testing.sshd"),
        ],
    ),
}


def pages() -> dict[str, str]:
    """The Markdown of each page, by its path in the site."""
    return {
        f"reference/{name}.md": f"# {title}\n\n{about}\n\n" + "".join(f"::: {module}\n\n" for module in modules)
        for name, (title, about, modules) in _PAGES.items()
    }
