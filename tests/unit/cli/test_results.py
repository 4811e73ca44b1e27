"""Only results are on standard output, whatever plugins print."""

from __future__ import annotations

import io
import sys

import pytest

from occopus_core.cli import entry, output
from occopus_core.cli.session import guarded

SECRET = "open-sesame"


@pytest.fixture(autouse=True)
def redacting(monkeypatch):
    monkeypatch.setattr(output, "_redactors", [lambda text: text.replace(SECRET, "***")])


def test_what_a_plugin_prints_goes_to_stderr_redacted(capsys):
    def run():
        print("debug", SECRET)
        sys.stdout.write(f"{SECRET}, too\n")
        sys.stdout.flush()
        output.result("the-id")
        return 7

    assert guarded(run) == 7
    assert capsys.readouterr() == ("the-id\n", "debug ***\n***, too\n")


def test_stdout_is_back_after_the_command(capsys):
    def run():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(run)
    print("after")
    output.result("and a result")
    assert capsys.readouterr() == ("after\nand a result\n", "")


def test_prints_do_not_fail_where_stderr_is_gone(monkeypatch, capsys):
    class Gone:
        encoding = "utf-8"

        def write(self, text):
            raise BrokenPipeError

        flush = write

    def run():
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", Gone())
            print("lost")
        output.result("the-id")
        return 0

    assert guarded(run) == 0
    assert capsys.readouterr().out == "the-id\n"


def test_a_text_that_the_encoding_lacks_is_written_with_escapes(monkeypatch):
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="ascii"))
    entry._write_any_text()
    output.result("caf\u00e9 \ud83d")
    output.say("caf\u00e9 \ud83d")
    assert [stream.getvalue() for stream in written.values()] == [b"caf\\xe9 \\ud83d\n"] * 2
