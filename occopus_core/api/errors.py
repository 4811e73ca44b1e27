"""What a plugin may raise, and what the core does about it.

::

    ProviderError            what the core does next
    ├── TransientError       outcome unknown (network, 5xx, timeout): same call, same token, after a back-off
    │   └── ThrottledError   slows the whole connection down for `retry_after` seconds
    ├── QuotaError           no room here: next implementation of the node; this one is left alone for a while
    ├── AuthError            stops calling this connection for a while, or until the credentials file is written anew
    ├── NotFoundError        something the description names does not exist: reported with its name
    └── PermanentError       reported, never retried

A message is shown to users and written to logs as it is: it names what was refused and why, and never holds a secret.
"""

from __future__ import annotations


class ProviderError(Exception):
    """A call to a provider did not succeed.

    `request_id` is the provider's own name for the failed call, where it gave one. `unreached` is True where it
    certainly had no effect: nobody listened at the endpoint, or somebody who is not the provider, or the credentials
    were refused. What was never asked for need not be looked for.
    """

    def __init__(self, message: str, *, request_id: str | None = None, unreached: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.unreached = unreached

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class TransientError(ProviderError):
    """The outcome is unknown: the call may have taken effect or not. Safe to repeat with the same token."""


class ThrottledError(TransientError):
    """The provider asks for fewer calls. `retry_after` is in seconds, None where it did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = retry_after


class QuotaError(ProviderError):
    """No room: a quota, a limit of the account, or no host that could take the instance."""


class AuthError(ProviderError):
    """The credentials were refused, have expired, or may not do this.

    `unreached` unless it is said otherwise: who is refused has had nothing made. A `create` of several calls says
    `unreached=False` where one before the refused one may have made something.
    """

    def __init__(self, message: str, *, request_id: str | None = None, unreached: bool = True) -> None:
        super().__init__(message, request_id=request_id, unreached=unreached)


class NotFoundError(ProviderError):
    """Something the description names (an image, a network, a flavour) does not exist at the provider."""


class PermanentError(ProviderError):
    """The provider refused for good, or the request can never be met."""
