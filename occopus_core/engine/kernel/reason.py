"""What a user is told of an error."""

from __future__ import annotations

from occopus_core.api.errors import ProviderError
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import PluginError
from occopus_core.render import TemplateError


def reason(error: Exception | str) -> str:
    """The message of an error that was meant for people; of any other, that a plugin has broken its contract."""
    if isinstance(error, str | ProviderError | TemplateError | PluginError | DescriptionError):
        return str(error)
    return f"the plugin failed in a way its contract does not allow: {type(error).__name__}: {error}"
