"""Redaction of secrets in texts, in every encoding in which providers and libraries repeat them."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "***"

SECRET_NAME = re.compile(r"pass|pw|secret|token|credential|private|cert|key$", re.IGNORECASE)
"""Names of values that may be secret."""

LOGIN = re.compile(r"(?<!\bssh:)//[^/\s]*@|//[^/\s@]*:[^/\s]*@")
"""The user and the password in a URL, each of which may be a secret. A user of SSH without a password is not hidden."""

MIN_SECRET = 4
"""A shorter text is part of too many words: it is hidden where it stands as a word of its own."""
_MIN_SECRET_LINE = 16
"""A line of a key shorter than this gives nothing away."""
MOST_SHOWN = 1000
"""The most secrets, and lines of secrets, that are replaced one by one in a text by `hide`."""
_WORD = re.compile(r"[A-Za-z0-9]+")
"""What no escape changes."""
_LINES = (64, 76)
"""The lengths of the lines that base64 is folded into (PEM and MIME)."""


class Redactor:
    """Replaces secrets in a text, also where they are escaped, as in a `repr`, JSON, HTML or a URL, or in base64.

    In base64 they are found within other text, too, as in the header of basic authentication; the base64 of a secret
    of fewer than four bytes only where it stands alone. Safe to repeat. Secrets that are added to those it was given
    are replaced, too.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = secrets
        self._count = 0
        self._pattern: re.Pattern[str] | None = None

    def __call__(self, text: str) -> str:
        """The text with every secret replaced."""
        if self._count != len(self._secrets):
            known = tuple(self._secrets)
            self._pattern, self._count = _pattern(known), len(known)
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


def among(secrets: Iterable[str], text: str) -> set[str]:
    """The secrets that may be in the text in any form."""
    return {secret for secret in secrets if _may_be_in(text, secret)}


def hide(secrets: Iterable[str], text: str) -> str:
    """The text with every secret replaced, as by a `Redactor` of them; quick where most secrets are not in the text.

    A text with more than `MOST_SHOWN` of them is hidden as a whole.
    """
    found, lines = [], 0
    for secret in secrets:
        if _may_be_in(text, secret):
            found.append(secret)
            lines += 1 + secret.count("\n")
            if lines > MOST_SHOWN:
                return HIDDEN
    return Redactor(found)(text)


def _may_be_in(text: str, secret: str) -> bool:
    """False only if no form of the secret is in the text."""
    bare = secret.strip()
    lines = [line for line in map(str.strip, bare.splitlines()) if _is_telling(line)] if "\n" in bare else []
    return any(_may_hold(text, part) for part in (bare, *lines))


def _may_hold(text: str, part: str) -> bool:
    words = _WORD.findall(part)
    if len(part) < MIN_SECRET or not words:
        return any(form in text for form in _forms(part))
    if all(word in text for word in words):
        return True
    return any(_may_hold_encoded(text, written) for written in {part, _json(part)})


def _may_hold_encoded(text: str, part: str) -> bool:
    data = _bytes(part)
    if len(data) * 4 > min(_LINES) * 3:  # it may be folded
        return any(form in text for form in _encoded(part))
    return any(all(word in text for word in _WORD.findall(_core(data, before))) for before in range(3))


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    anywhere: set[str] = set()
    words: set[str] = set()
    for secret in secrets:
        (anywhere if len(secret.strip()) >= MIN_SECRET else words).update(_forms(secret))
    words = {form for form in words if any(map(str.isalnum, form))}
    anywhere = {form for form in anywhere if len(form) >= MIN_SECRET}
    found = [*_alternatives(anywhere), *(rf"(?<!\w){one}(?!\w)" for one in _alternatives(words))]
    return re.compile("|".join(found)) if found else None


def _alternatives(forms: Iterable[str]) -> Iterator[str]:
    """Patterns for the texts, one for each first character: few have to be tried at each place of a text."""
    by_first: dict[str, list[str]] = {}
    # The longest first, or a part of a secret would be replaced and the rest shown.
    for form in sorted(forms, key=len, reverse=True):
        by_first.setdefault(form[0], []).append(re.escape(form[1:]))
    for first, rests in by_first.items():
        yield f"{re.escape(first)}(?:{'|'.join(rests)})"


def _forms(secret: str) -> Iterator[str]:
    """Every text that reveals a secret."""
    text = secret.strip()
    if len(text) < MIN_SECRET:
        for written in filter(None, _escaped(_escaped([text]))):
            yield from (written, *_alone(written))
    elif "\n" in text:
        yield from _escaped([secret, text])
        yield from _encoded(text)
        for line in filter(_is_telling, map(str.strip, text.splitlines())):
            yield from (*_escaped([line]), *_encoded(line))
    else:
        yield from _escaped(_escaped([secret, text]))
        for written in {text, _json(text)}:
            yield from _encoded(written)


def _is_telling(line: str) -> bool:
    return len(line) >= _MIN_SECRET_LINE and not line.startswith("-----")


# Escaped


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


_ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: repr(text)[1:-1],
    lambda text: repr(f"'{text}")[2:-1],  # as within a text that has an apostrophe
    _json,
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: _json(text).replace("/", "\\/"),
    lambda text: quote(text, safe=""),
    quote,
    quote_plus,
    lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    html.escape,
    lambda text: html.escape(text, quote=False),
    lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
)


def _escaped(texts: Iterable[str]) -> dict[str, None]:
    """The texts and what becomes of them when they are escaped; twice is as in the `repr` of a body in JSON."""
    return {written: None for text in texts for written in (text, *(escape(text) for escape in _ESCAPES))}


# In base64


def _encoded(text: str) -> Iterator[str]:
    """What is the same in the base64 of every text that holds this one, and what that is folded into."""
    data = _bytes(text)
    for before in range(3):
        yield from _spelt(_core(data, before))
    whole = base64.b64encode(data).decode()
    for length in _LINES:
        if len(whole) > length:
            yield from (
                line for at in range(0, len(whole), length) if len(line := whole[at : at + length]) >= _MIN_SECRET_LINE
            )


def _core(data: bytes, before: int) -> str:
    """What only these bytes decide of their base64 after `before` other bytes: it takes three at a time."""
    ends = (before * 8 + 5) // 6, (before + len(data)) * 8 // 6
    return base64.b64encode(bytes(before) + data).decode()[slice(*ends)]


def _alone(text: str) -> Iterator[str]:
    whole = base64.b64encode(_bytes(text)).decode()
    yield from (*_spelt(whole), *_spelt(whole.rstrip("=")))


def _spelt(code: str) -> tuple[str, ...]:
    """Base64 as it is, with the alphabet for URLs, and escaped in a URL."""
    return code, code.translate(_FOR_URLS), quote(code, safe=""), code.replace("/", "\\/")


_FOR_URLS = str.maketrans("+/", "-_")


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


class RedactingFilter(logging.Filter):
    """For handlers: hides secrets in messages, their arguments, and the texts of exceptions and stacks."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        self._redact = Redactor(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place and let it pass."""
        try:
            message = record.getMessage()
            redacted = self._redact(message)
        except Exception:  # noqa: BLE001 - logging would print arguments that do not fit their message
            message, redacted = "", self._redact(f"{record.msg} (with arguments that do not fit)")
        if redacted != message:
            record.msg, record.args = redacted, ()
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            # Without the exception itself no formatter can write its text again.
            record.exc_text, record.exc_info = self._redact(record.exc_text), None
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return True
