"""User-facing error text."""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.api.errors import ProviderError
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.error_place import described, log_traceback
from occopus_core.registry import PluginError
from occopus_core.render import TemplateError
from occopus_core.store.records import LeaseLostError, StoreError

_EXPECTED = (ProviderError, TemplateError, PluginError, DescriptionError, LeaseLostError, StoreError)


def log_unexpected(error: BaseException, redact: Callable[[str], str]) -> None:
    """Log an exception that the plugin contract does not allow, with its traceback, at DEBUG level."""
    if not isinstance(error, _EXPECTED):
        log_traceback(error, redact)


def reason(error: BaseException | str) -> str:
    """The text of an error for users. An error of an unexpected type is reported as a breach of the contract."""
    if _speaks_for_itself(error):
        return str(error)
    return f"the plugin failed in a way its contract does not allow: {text_of(error)}"


def text_of(error: BaseException | str) -> str:
    """The text of an error; one of an unexpected type has its type and its place in the plugin, too."""
    return str(error) if isinstance(error, str) or _speaks_for_itself(error) else described(error)


def _speaks_for_itself(error: BaseException | str) -> bool:
    return isinstance(error, str | ProviderError | TemplateError | PluginError | DescriptionError)
