"""Maps errors of the operating system to the errors of the contract."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from occopus_core.api import PermanentError, ProviderError, QuotaError, TransientError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSES = frozenset({errno.EAGAIN, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOTEMPTY})


@contextlib.contextmanager
def provider_errors(doing: str) -> Iterator[None]:
    """Raise errors of the operating system inside the block as the matching `ProviderError`."""
    try:
        yield
    except OSError as exc:
        raise _translated(exc, doing) from exc


def _translated(exc: OSError, doing: str) -> ProviderError:
    message = f"{doing}: {exc.strerror or type(exc).__name__}"
    if exc.filename:
        message += f": {exc.filename}"
    if exc.errno in _NO_ROOM:
        return QuotaError(f"{message}; make room there or give the nodes another `root`")
    if exc.errno in _PASSES:
        return TransientError(message)
    return PermanentError(f"{message}; give the nodes a `root` that this user may write to")
