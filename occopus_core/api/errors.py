"""The errors that a plugin may raise, and the reaction of the core to each.

::

    ProviderError            what the core does next
    ├── TransientError       outcome unknown (network, 5xx, timeout): same call, same token, after a back-off
    │   └── ThrottledError   pauses calls on the whole connection for `retry_after` seconds
    ├── AuthError            stops calling this connection for a while, or until the credentials file changes
    ├── NotFoundError        something the description names does not exist: reported with its name
    └── PermanentError       reported, never retried

A message is shown to users and logged unchanged: it names what was refused and why, and never contains a secret.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

NO_REASON = "the plugin gives no reason"
"""The message of an error without one."""


class ProviderError(Exception):
    """A call to a provider failed.

    `request_id` is the provider's id of the failed call, if known. `unreached` is True if the call certainly had no
    effect: nothing listened at the endpoint, or not the provider, or the credentials were refused. The core does not
    search for results of such a call.

    A message that is no text becomes one: that of an exception is its type and text. `has_text` is False then.
    """

    def __init__(self, message: str, *, request_id: str | None = None, unreached: bool = False) -> None:
        text = _text(message)
        super().__init__(text)
        self.message = text
        self.has_text = isinstance(message, str) and bool(message.strip())
        self.request_id = None if request_id is None else _text(request_id)
        self.unreached = unreached

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class TransientError(ProviderError):
    """The outcome is unknown: the call may or may not have taken effect. Safe to repeat with the same token."""


class ThrottledError(TransientError):
    """The provider asks for fewer calls. `retry_after` is in seconds, None if the provider does not say.

    A header's text that is a number becomes that number; what is no number of seconds becomes None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = _seconds(retry_after)


class QuotaError(ProviderError):
    """No room: a quota, a limit of the account, or no host with enough capacity."""


class AuthError(ProviderError):
    """The credentials were refused, have expired, or lack a permission.

    `unreached` is True by default: a refused call creates nothing. A `create` that consists of several calls sets
    `unreached=False` if a call before the refused one may have created something.
    """

    def __init__(self, message: str, *, request_id: str | None = None, unreached: bool = True) -> None:
        super().__init__(message, request_id=request_id, unreached=unreached)


class NotFoundError(ProviderError):
    """An object that the description names (an image, a network, a flavour) does not exist at the provider."""


class PermanentError(ProviderError):
    """The provider refused permanently, or the request is impossible.

    `at` is the place in the node definition that is wrong, such as ``contextualisation.context_template.packages``, if
    it is known: messages then begin with its file, line and column. Errors of `check` that do not depend on what
    templates render to are reported at import already, if the value at `at` is not a template itself. `here` is True if
    the request may be possible for another user or on another machine than those of this process: such an error is
    reported by builds, not by an import. `more` has what else `check` finds wrong with the same request, also in the
    `more` of those errors: all of it is reported at once.
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        unreached: bool = False,
        at: str = "",
        here: bool = False,
        more: Iterable[PermanentError] = (),
    ) -> None:
        super().__init__(message, request_id=request_id, unreached=unreached)
        self.at = at if isinstance(at, str) else ""
        self.here = here
        others = [each for each in more if isinstance(each, PermanentError)]
        self.more: tuple[PermanentError, ...] = tuple(each for other in others for each in (other, *other.more))


def _text(message: object) -> str:
    """The message as text, whatever a plugin passes."""
    if message is None or (isinstance(message, str) and not message.strip()):
        return NO_REASON
    if isinstance(message, str):
        return str(message)
    try:
        text = str(message)
    except Exception:  # noqa: BLE001  # an object of the plugin's own may raise anything
        text = ""
    if isinstance(message, BaseException):
        return f"{type(message).__name__}: {text}" if text else type(message).__name__
    return text or type(message).__name__


def _seconds(value: object) -> float | None:
    """A number of seconds, at least 0; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
