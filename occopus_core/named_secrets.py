"""Values of a description that may be secret by their names, as texts to hide."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from occopus_core.api.scalars import canonical
from occopus_core.api.written import items_of, texts_of
from occopus_core.redaction import SECRET_NAME, hide


def named_secrets(values: Any, *, secret: bool = False) -> Iterator[str]:
    """The written text of each value that may be secret by its name, or by that of a mapping it is in."""
    for step, item in items_of(values):
        hidden = secret or (isinstance(step, str) and SECRET_NAME.search(step) is not None)
        if isinstance(item, Mapping | list | tuple):
            yield from named_secrets(item, secret=hidden)
        elif hidden and item is not None and not isinstance(item, bool):
            yield from {canonical(item), texts_of(values).get(step, canonical(item))} - {""}


def hiding(*values: Any) -> Callable[[str], str]:
    """A function that hides in a text the values that may be secret by their names."""
    secrets = functools.cache(lambda: frozenset(secret for each in values for secret in named_secrets(each)))
    return lambda text: hide(secrets(), text)
