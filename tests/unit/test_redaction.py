"""Secrets in every form in which providers and libraries repeat them."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import re
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occopus_core.credentials import Credentials
from occopus_core.redaction import MOST_SHOWN, RedactingFilter, Redactor, hide

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA1234567890\nabc\n-----END RSA PRIVATE KEY-----\n"

SECRET = 'a "quoted" & <odd>/+ p\'ä\\ss-word'
FORMS = {
    "as it is": str,
    "repr": repr,
    "JSON": json.dumps,
    "JSON in the characters of all languages": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"p": text})),
    "the repr of JSON": lambda text: repr(json.dumps({"p": text})),
    "the repr of a repr": lambda text: repr(repr({"p": text})),
    "a URL": lambda text: quote(text, safe=""),
    "a URL in lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "a form": quote_plus,
    "HTML": html.escape,
    "XML": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "a URL in JSON": lambda text: json.dumps(quote(text)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, "demo password/1", "hunter22"])
def test_every_form_of_a_secret_is_hidden(form, secret):
    written = FORMS[form](secret)
    hidden = Redactor([secret])(f"it said {written}, no more")
    assert "***" in hidden
    for word in re.findall(r"\w{4,}", secret):
        assert word not in hidden


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, "demo password/1", "hunter22", "ab", "&!", "ä☃ é", KEY])
def test_secrets_are_found_in_every_form_among_many(form, secret):
    others = [f"other-{number}" for number in range(MOST_SHOWN + 1)]
    for written in (FORMS[form](secret), FORMS[form](b64(f"u:{secret}")), b64(f"user:{secret} ")):
        text = f"it said {written}, no more"
        assert hide([*others, secret], text) == Redactor([secret])(text)


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("secret", [SECRET, "demo password/1", "hunter22", "four"])
@pytest.mark.parametrize("before", ["", "u:", "user:", "admin:"])
@pytest.mark.parametrize("after", ["", "\n", ":x", " and more"])
@pytest.mark.parametrize("spelt", ["standard", "for URLs", "quoted", "in JSON"])
def test_base64_gives_no_secret_away(secret, before, after, spelt):
    code = b64(f"{before}{secret}{after}")
    code = {
        "standard": code,
        "for URLs": code.replace("+", "-").replace("/", "_"),
        "quoted": quote(code, safe=""),
        "in JSON": code.replace("/", "\\/"),
    }[spelt]
    hidden = Redactor([secret])(f"Authorization: Basic {code}.")
    assert "***" in hidden
    # What is left are the texts around it, with at most the bits that share a character with them.
    assert len(hidden.replace("***", "")) - len("Authorization: Basic .") <= len(code) - len(b64(secret)) + 4


@pytest.mark.parametrize("length", [64, 76])
def test_folded_base64_of_a_key_is_hidden(length):
    secret = "".join(map(str, range(100)))
    code = b64(secret)
    folded = "\n".join(code[at : at + length] for at in range(0, len(code), length))
    assert set(Redactor([secret])(folded)) <= {"*", "\n"}


def test_a_key_within_json_within_base64_is_hidden():
    hidden = Redactor([KEY])(b64(json.dumps({"key": KEY})))
    assert b64("MIIEowIBAAKCAQEA1234567890")[4:-6] not in hidden
    assert "***" in hidden


def test_the_header_of_basic_authentication_is_hidden_whatever_the_length(tmp_path):
    file = tmp_path / "auth_data.yaml"
    file.write_text("resource:\n- {type: nova, auth_data: {username: demo, password: x7}}\n")
    redact = Redactor(Credentials.load(str(file), {}).secrets())
    assert redact(f"Authorization: Basic {b64('demo:x7')} (demo)") == "Authorization: Basic *** (demo)"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4).filter(lambda text: len(text.strip()) >= 4))
def test_no_secret_is_left_whatever_its_characters(secret):
    redact = Redactor([secret])
    for form in (str, json.dumps, repr):
        assert secret.strip() not in redact(f"<{form(secret)}>") or secret.strip() in "<***>"


def test_many_keys_cost_little():
    key = "-----BEGIN KEY-----\n" + "\n".join(b64(f"{number:048}") for number in range(27)) + "\n-----END KEY-----\n"
    redact = Redactor([*(key.replace("A", letter) for letter in "BCDEFGHIJK"), *(f"password/{n}" for n in range(50))])
    redact("first")
    began = time.process_time()
    for _ in range(20):
        redact("a line of an ordinary log, of 1,000 characters; " * 21)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("nothing to hide", "nothing to hide"),
        ("a demo password/1 b", "a *** b"),
        ("https://h/?p=demo%20password%2F1&x", "https://h/?p=***&x"),
        ("https://h/demo%20password/1", "https://h/***"),
        ("very-special-and-long", "***"),
        ("very-special", "***"),
        ("line MIIEowIBAAKCAQEA1234567890 of the key", "line *** of the key"),
        (repr({"key": KEY}), "{'key': '***'}"),
    ],
)
def test_redactor(text, redacted):
    assert Redactor(["demo password/1", "very-special", "very-special-and-long", KEY])(text) == redacted


def test_no_secrets_hide_nothing():
    assert Redactor([])("abc") == "abc"
    assert Redactor(["", " "])("abc - .") == "abc - ."


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("login with x7 failed", "login with *** failed"),
        ("p=x7&q", "p=***&q"),
        ('{"password": "x7"}', '{"password": "***"}'),
        (f"Basic {base64.b64encode(b'x7').decode()}", "Basic ***"),
        ("node x78 of ax7 and x7_", "node x78 of ax7 and x7_"),
    ],
)
def test_short_secrets_are_hidden_where_they_stand_alone(text, redacted):
    assert Redactor(["x7"])(text) == redacted


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter(["hunter22"]))
    logger = logging.getLogger("test_redaction")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream.getvalue
    logger.removeHandler(handler)


def test_messages_and_arguments(log):
    logger, text = log
    logger.error("hunter22 %s %r", "hunter22", {"password": "hunter22"})
    logger.error("plain %d%%", 5)
    assert text() == "*** *** {'password': '***'}\nplain 5%\n"


def test_arguments_that_do_not_fit(log, capsys):
    logger, text = log
    logger.error("%d", "hunter22")
    assert text() == "%d (with arguments that do not fit)\n"
    assert "hunter22" not in capsys.readouterr().err


def test_exceptions_and_stacks(log):
    logger, text = log
    try:
        raise ValueError("hunter22") from KeyError("hunter22")
    except ValueError:
        logger.exception("failed", stack_info=True)
    assert "hunter22" not in text()
    assert "ValueError: ***" in text()
    assert "KeyError: '***'" in text()


def test_no_formatter_can_write_an_exception_again(log):
    logger, _ = log
    error = ValueError("hunter22")
    record = logger.makeRecord("x", logging.ERROR, "f", 1, "failed", (), (ValueError, error, None))
    logger.handlers[0].filter(record)
    assert (record.exc_text, record.exc_info) == ("ValueError: ***", None)


def test_other_handlers_see_the_same_record(log):
    logger, _ = log
    record = logger.makeRecord("x", logging.INFO, "f", 1, "hunter22 %s", ("a",), None)
    assert logger.handlers[0].filter(record)
    assert (record.msg, record.args, record.getMessage()) == ("*** a", (), "*** a")
